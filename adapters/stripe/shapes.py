"""The fields of Stripe's objects that we rely on, and nothing else.

Both generations are covered: since 2025-03-31.basil the billing period stands on the items and
an invoice names its subscription under `parent`; older endpoints still send it the old way.
Null is what Stripe says; absent is not. A field without a default is needed wherever its object is,
and one whose default is UNSET where translation asks for it by `needed`: without it, and where one
has another type, reading fails by the field's name. None as a default says that nothing is lost, or
that another generation has it elsewhere. (Stripe: API reference)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

Value = TypeVar("Value")


class Expanded(msgspec.Struct):
    """An object where usually only its id stands."""

    id: str
    status: str | UnsetType | None = UNSET


Expandable = str | Expanded | None


class Recurring(msgspec.Struct):
    interval: str
    interval_count: int


class Price(msgspec.Struct):
    id: str
    lookup_key: str | None
    recurring: Recurring | None
    product: Expandable = None
    unit_amount: int | None = None
    currency: str | None = None
    active: bool = True

    @property
    def is_of_one_interval(self) -> bool:
        """Whether it is billed every month or year, not every third: we sell nothing else."""
        return self.recurring is None or self.recurring.interval_count == 1


class PricePage(msgspec.Struct):
    data: list[Price]
    has_more: bool = False


class LegacyPlan(msgspec.Struct):
    """What prices were called before there were prices."""

    id: str
    interval: str


class SubscriptionItem(msgspec.Struct):
    price: Price | str | UnsetType | None = UNSET
    plan: LegacyPlan | None = None
    current_period_start: int | UnsetType | None = UNSET
    current_period_end: int | UnsetType | None = UNSET


class SubscriptionItems(msgspec.Struct):
    data: Sequence[SubscriptionItem]


class Subscription(msgspec.Struct):
    id: str
    status: str
    customer: Expandable | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    items: SubscriptionItems | UnsetType | None = UNSET
    plan: LegacyPlan | None = None
    created: int | UnsetType | None = UNSET
    start_date: int | None = None
    ended_at: int | UnsetType | None = UNSET
    canceled_at: int | UnsetType | None = UNSET
    cancel_at: int | UnsetType | None = UNSET
    cancel_at_period_end: bool | UnsetType | None = UNSET
    trial_end: int | UnsetType | None = UNSET
    current_period_start: int | UnsetType | None = UNSET
    current_period_end: int | UnsetType | None = UNSET
    pending_setup_intent: Expandable | UnsetType = UNSET


class SubscriptionDetails(msgspec.Struct):
    subscription: Expandable | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET


class InvoiceParent(msgspec.Struct):
    subscription_details: SubscriptionDetails | UnsetType | None = UNSET


class PriceDetails(msgspec.Struct):
    price: Price | str | UnsetType | None = UNSET


class LinePricing(msgspec.Struct):
    price_details: PriceDetails | UnsetType | None = UNSET


class InvoiceLine(msgspec.Struct):
    pricing: LinePricing | UnsetType | None = UNSET
    price: Price | str | UnsetType | None = UNSET
    plan: LegacyPlan | UnsetType | None = UNSET


class InvoiceLines(msgspec.Struct):
    data: list[InvoiceLine] | UnsetType = UNSET


class Invoice(msgspec.Struct):
    id: str
    currency: str
    customer: Expandable | UnsetType = UNSET
    parent: InvoiceParent | UnsetType | None = UNSET
    subscription: Expandable | UnsetType = UNSET
    subscription_details: SubscriptionDetails | None = None
    lines: InvoiceLines | UnsetType | None = UNSET
    amount_paid: int | UnsetType = UNSET
    amount_remaining: int | UnsetType = UNSET
    attempt_count: int | UnsetType = UNSET
    next_payment_attempt: int | UnsetType | None = UNSET
    hosted_invoice_url: str | None = None
    invoice_pdf: str | None = None


class Customer(msgspec.Struct):
    id: str
    email: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    created: int | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    deleted: bool = False


class CheckoutSession(msgspec.Struct):
    id: str
    customer: Expandable | UnsetType = UNSET
    subscription: Expandable | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET


class Head(msgspec.Struct):
    """What is needed of any object to know what must be worked on one at a time."""

    id: str | None = None
    object: str | None = None
    customer: Expandable = None
    subscription: Expandable = None
    parent: InvoiceParent | None = None


class HeadData(msgspec.Struct):
    object: Head


class Envelope(msgspec.Struct):
    """An event without what it is about."""

    id: str | None = None
    object: str | None = None
    type: str | None = None
    created: int | str | None = None  # text in a thin event, which is refused by its name
    livemode: bool | None = None
    api_version: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")


def needed(value: Value | UnsetType, *names: str) -> Value:
    """The value of a field that must not be absent. Raises ValueError where it is, by its name or,
    where it may stand in one of several places, by all of them.
    """
    if value is UNSET:
        named = " or ".join(f"`{name}`" for name in names)
        raise ValueError(f"Object missing required field {named}")
    return value


def reference(value: Expandable | UnsetType) -> str | None:
    """The id of something that may be expanded; None where there is none."""
    return value.id if isinstance(value, Expanded) else None if value is UNSET else value


def subscription_of(invoice: Invoice | Head) -> str | None:
    """The subscription an invoice or Checkout session belongs to, in either generation."""
    if invoice.parent and invoice.parent.subscription_details:
        named = reference(invoice.parent.subscription_details.subscription)
        if named is not None:
            return named
    return reference(invoice.subscription)
