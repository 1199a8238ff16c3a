"""The fields of Stripe's objects that we rely on, and nothing else.

Both generations are covered: since 2025-03-31.basil the billing period stands on the items and
an invoice names its subscription under `parent`; older endpoints still send it the old way.
What is done without a field is the same as with it where that has a default, but for what the
tests list; where one without a default is missing, or one has another type, decoding fails by the
field's name. Null is nothing missing. (Stripe: API reference)
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
    id: str
    lookup_key: str | None
    recurring: Recurring | None = None
    product: Expandable = None
    unit_amount: int | None = None
    currency: str | None = None

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
    price: Price | str | msgspec.UnsetType | None = msgspec.UNSET
    plan: LegacyPlan | None = None
    current_period_start: int | None = None
    current_period_end: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where neither a price nor a plan says what was bought."""
        if self.price is msgspec.UNSET:
            if self.plan is None:
                raise ValueError("Object missing required field `price`")
            self.price = None


class SubscriptionItems(msgspec.Struct):
    data: Sequence[SubscriptionItem]


class Subscription(msgspec.Struct, kw_only=True):
    id: str
    status: str
    customer: Expandable
    metadata: dict[str, Any] | None = None
    items: SubscriptionItems | None
    plan: LegacyPlan | None = None
    created: int
    start_date: int | None
    ended_at: int | None
    canceled_at: int | None = None
    cancel_at: int | None
    cancel_at_period_end: bool | None
    trial_end: int | None
    current_period_start: int | None = None
    current_period_end: int | None = None
    pending_setup_intent: Expandable


class LegacyDetails(msgspec.Struct):
    """What an older invoice says of the subscription that it names elsewhere."""

    metadata: dict[str, Any] | None = None


class SubscriptionDetails(LegacyDetails, kw_only=True):
    subscription: Expandable


class InvoiceParent(msgspec.Struct):
    subscription_details: SubscriptionDetails | None


class PriceDetails(msgspec.Struct):
    price: Price | str | None = None


class LinePricing(msgspec.Struct):
    price_details: PriceDetails | None = None


class InvoiceLine(msgspec.Struct):
    pricing: LinePricing | None = None
    price: Price | str | None = None
    plan: LegacyPlan | None = None


class InvoiceLines(msgspec.Struct):
    data: list[InvoiceLine]


class Invoice(msgspec.Struct, kw_only=True):
    id: str
    currency: str
    customer: Expandable
    parent: InvoiceParent | msgspec.UnsetType | None = msgspec.UNSET
    subscription: Expandable | msgspec.UnsetType = msgspec.UNSET
    subscription_details: LegacyDetails | None = None
    lines: InvoiceLines
    amount_paid: int
    amount_remaining: int
    attempt_count: int
    next_payment_attempt: int | None
    hosted_invoice_url: str | None = None
    invoice_pdf: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where it says in neither generation's way what it belongs to."""
        if self.parent is msgspec.UNSET and self.subscription is msgspec.UNSET:
            raise ValueError("Object missing required field `parent` (of old, `subscription`)")


class Customer(msgspec.Struct, kw_only=True):
    id: str
    email: str | None
    name: str | None = None
    created: int
    metadata: dict[str, Any] | None


class DeletedCustomer(msgspec.Struct):
    id: str


class CheckoutSession(msgspec.Struct, kw_only=True):
    id: str
    customer: Expandable
    subscription: Expandable
    metadata: dict[str, Any] | None


class HeadDetails(msgspec.Struct):
    subscription: Expandable = None


class HeadParent(msgspec.Struct):
    subscription_details: HeadDetails | None = None


class Head(msgspec.Struct):
    """What is needed of any object to know what must be worked on one at a time."""

    id: str | None = None
    object: str | None = None
    customer: Expandable = None
    subscription: Expandable = None
    parent: HeadParent | None = None


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


def reference(value: Expandable) -> str | None:
    """The id of something that may be expanded."""
    return value.id if isinstance(value, Expanded) else value


def subscription_of(invoice: Invoice | Head) -> str | None:
    """The subscription an invoice or Checkout session belongs to, in either generation."""
    if invoice.parent and invoice.parent.subscription_details:
        named = reference(invoice.parent.subscription_details.subscription)
        if named is not None:
            return named
    return reference(invoice.subscription or None)
