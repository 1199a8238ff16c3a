"""The fields of Stripe's objects that we rely on, and nothing else.

Both generations are covered: since 2025-03-31.basil the billing period stands on the items and
an invoice names its subscription under `parent`; older endpoints still send it the old way.
A field that may be absent or null in any version has a default; where one without a default is
missing, or one has another type, decoding fails by the field's name. (Stripe: API reference)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class Expanded(msgspec.Struct):
    """An object where usually only its id stands."""

    id: str
    status: str | None = None


Expandable = str | Expanded | None


class Recurring(msgspec.Struct):
    interval: str | None = None
    interval_count: int | None = None


class Price(msgspec.Struct):
    id: str | None = None
    lookup_key: str | None = None
    recurring: Recurring | None = None
    product: Expandable = None
    unit_amount: int | None = None
    currency: str | None = None
    active: bool = True

    @property
    def is_of_one_interval(self) -> bool:
        """Whether it is billed every month or year, not every third: we sell nothing else."""
        return self.recurring is None or self.recurring.interval_count in (None, 1)


class PricePage(msgspec.Struct):
    data: list[Price]
    has_more: bool = False


class LegacyPlan(msgspec.Struct):
    """What prices were called before there were prices."""

    id: str | None = None
    interval: str | None = None


class SubscriptionItem(msgspec.Struct):
    price: Price | str | None = None
    plan: LegacyPlan | None = None
    current_period_start: int | None = None
    current_period_end: int | None = None


class SubscriptionItems(msgspec.Struct):
    data: Sequence[SubscriptionItem] = ()


class Subscription(msgspec.Struct):
    id: str
    status: str
    customer: Expandable = None
    metadata: dict[str, Any] | None = None
    items: SubscriptionItems | None = None
    plan: LegacyPlan | None = None
    created: int | None = None
    start_date: int | None = None
    ended_at: int | None = None
    canceled_at: int | None = None
    cancel_at: int | None = None
    cancel_at_period_end: bool | None = None
    trial_end: int | None = None
    current_period_start: int | None = None
    current_period_end: int | None = None
    pending_setup_intent: Expandable = None


class SubscriptionDetails(msgspec.Struct):
    subscription: Expandable = None
    metadata: dict[str, Any] | None = None


class InvoiceParent(msgspec.Struct):
    subscription_details: SubscriptionDetails | None = None


class PriceDetails(msgspec.Struct):
    price: Price | str | None = None


class LinePricing(msgspec.Struct):
    price_details: PriceDetails | None = None


class InvoiceLine(msgspec.Struct):
    pricing: LinePricing | None = None
    price: Price | str | None = None
    plan: LegacyPlan | None = None


class InvoiceLines(msgspec.Struct):
    data: list[InvoiceLine] = []


class Invoice(msgspec.Struct):
    id: str
    currency: str
    customer: Expandable = None
    parent: InvoiceParent | None = None
    subscription: Expandable = None
    subscription_details: SubscriptionDetails | None = None
    lines: InvoiceLines | None = None
    amount_paid: int = 0
    amount_due: int = 0
    amount_remaining: int | None = None
    attempt_count: int | None = None
    next_payment_attempt: int | None = None
    hosted_invoice_url: str | None = None
    invoice_pdf: str | None = None


class Customer(msgspec.Struct):
    id: str
    email: str | None = None
    name: str | None = None
    created: int | None = None
    metadata: dict[str, Any] | None = None
    deleted: bool = False


class CheckoutSession(msgspec.Struct):
    id: str
    customer: Expandable = None
    subscription: Expandable = None
    metadata: dict[str, Any] | None = None
    client_reference_id: str | None = None


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
    livemode: bool = False
    api_version: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")


def reference(value: Expandable) -> str | None:
    """The id of something that may be expanded."""
    return value.id if isinstance(value, Expanded) else value


def subscription_of(invoice: Invoice | Head) -> str | None:
    """The subscription an invoice or Checkout session belongs to, in either generation."""
    if invoice.parent is not None and invoice.parent.subscription_details is not None:
        named = reference(invoice.parent.subscription_details.subscription)
        if named is not None:
            return named
    return reference(invoice.subscription)
