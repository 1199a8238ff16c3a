"""The fields of Stripe's answers that we rely on beyond those of its webhooks (see shapes)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from adapters.stripe import shapes
from adapters.stripe.api import readable
from adapters.stripe.shapes import needed
from adapters.stripe.translation import moment, to_snapshot, user_of
from domain.money import Money
from domain.plans import PriceList
from ports.purchases import ProviderSubscription

# Where the fingerprint of the terms stands in an object's metadata, beside `user_id`.
TERMS: Final = "terms"


class SubscriptionItem(shapes.SubscriptionItem):
    id: str = ""
    quantity: int | None = None


class SubscriptionItems(shapes.SubscriptionItems):
    data: Sequence[SubscriptionItem]


class Secret(msgspec.Struct):
    client_secret: str | None = None


class SetupIntent(shapes.Expanded):
    client_secret: str | None = None


class LatestInvoice(msgspec.Struct):
    id: str
    status: str | None = None
    currency: str = ""
    amount_due: int = 0
    starting_balance: int = 0
    ending_balance: int | None = None
    confirmation_secret: Secret | None = None
    hosted_invoice_url: str | None = None


class PendingItem(msgspec.Struct):
    price: shapes.Price | str | None = None


class PendingUpdate(msgspec.Struct):
    subscription_items: list[PendingItem] | None = None

    @property
    def price_ref(self) -> str | None:
        """The price it changes to, where it is a single one."""
        prices = [item.price for item in self.subscription_items or ()]
        if len(prices) != 1:
            return None
        [price] = prices
        return price.id if isinstance(price, shapes.Price) else price


class PaymentError(msgspec.Struct):
    code: str | None = None
    decline_code: str | None = None


class PaymentIntent(msgspec.Struct):
    id: str
    status: str
    last_payment_error: PaymentError | None = None


class Payment(msgspec.Struct):
    payment_intent: PaymentIntent | str | None = None


class InvoicePayment(msgspec.Struct):
    payment: Payment
    is_default: bool = True


class InvoiceSettings(msgspec.Struct):
    default_payment_method: shapes.Expandable = None


class Payer(shapes.Expanded):
    """A customer, as far as cards go."""

    default_source: shapes.Expandable = None
    invoice_settings: InvoiceSettings | None = None

    @property
    def has_card(self) -> bool:
        """Whether there is one for whatever has none of its own."""
        settings = self.invoice_settings
        own = settings.default_payment_method if settings else None
        return own is not None or self.default_source is not None


class Subscription(shapes.Subscription):
    """A subscription, with what may be expanded in it."""

    customer: Payer | str | UnsetType | None = UNSET
    items: SubscriptionItems | UnsetType | None = UNSET
    livemode: bool = False
    latest_invoice: LatestInvoice | str | None = None
    pending_setup_intent: SetupIntent | str | UnsetType | None = UNSET
    pending_update: PendingUpdate | None = None
    default_payment_method: shapes.Expandable = None
    default_source: shapes.Expandable = None

    @property
    def can_be_charged(self) -> bool:
        """Whether Stripe has a card to charge; where it does not show the customer's, it may have.

        (Stripe: Subscription default_payment_method, default_source)
        """
        if self.default_payment_method is not None or self.default_source is not None:
            return True
        return self.customer.has_card if isinstance(self.customer, Payer) else True

    def item_with(self, price_ref: str | None) -> SubscriptionItem | None:
        """The item with this price."""
        items = self.items.data if self.items else ()
        for item in items:
            if (item.price.id if isinstance(item.price, shapes.Price) else item.price) == price_ref:
                return item
        return None


class CheckoutSession(shapes.CheckoutSession):
    status: str = "open"
    url: str | None = None
    expires_at: int | None = None


class PortalSession(msgspec.Struct):
    url: str


class ItemDetails(msgspec.Struct):
    proration: bool = False


class LineParent(msgspec.Struct):
    subscription_item_details: ItemDetails | None = None
    invoice_item_details: ItemDetails | None = None


class PreviewLine(msgspec.Struct):
    amount: int
    currency: str
    id: str = ""
    description: str | None = None
    parent: LineParent | None = None

    @property
    def is_proration(self) -> bool:
        """Whether it stands for a part of a period."""
        if self.parent is None:
            return False
        details = (self.parent.subscription_item_details, self.parent.invoice_item_details)
        return any(one is not None and one.proration for one in details)


class PreviewLines(msgspec.Struct):
    data: list[PreviewLine] = []
    has_more: bool = False


class Preview(msgspec.Struct):
    """An invoice that does not exist yet."""

    currency: str
    amount_due: int
    lines: PreviewLines
    id: str = ""
    total: int = 0
    starting_balance: int = 0


class Invoice(msgspec.Struct):
    id: str
    currency: str
    created: int
    status: str | None = None
    number: str | None = None
    total: int = 0
    amount_paid: int = 0
    amount_remaining: int = 0
    period_start: int | None = None
    period_end: int | None = None
    hosted_invoice_url: str | None = None
    invoice_pdf: str | None = None


class Customer(msgspec.Struct):
    deleted: bool = False


class Referred(msgspec.Struct):
    """Any object, by its id."""

    id: str


def to_subscription(seen: Subscription, prices: PriceList) -> ProviderSubscription:
    """A subscription in our terms. Raises ProviderUnavailable where it is not as we know it."""
    with readable():
        return _to_subscription(seen, prices)


def _to_subscription(seen: Subscription, prices: PriceList) -> ProviderSubscription:
    snapshot = to_snapshot(seen, prices)
    item = seen.item_with(snapshot.price_ref)
    price = item.price if item and isinstance(item.price, shapes.Price) else None
    return ProviderSubscription(
        subscription_ref=seen.id,
        customer_ref=shapes.reference(needed(seen.customer, "customer")),
        user_id=user_of(needed(seen.metadata, "metadata")),
        livemode=seen.livemode,
        snapshot=snapshot,
        price=_amount(price),
        item_ref=item.id if item else None,
        fingerprint=terms_of(seen.metadata),
        created_at=moment(needed(seen.created, "created")),
        has_card=seen.default_payment_method is not None,
    )


def latest_invoice_of(seen: Subscription) -> str | None:
    """The reference of a subscription's latest invoice."""
    invoice = seen.latest_invoice
    return invoice.id if isinstance(invoice, LatestInvoice) else invoice


def terms_of(metadata: dict[str, Any] | UnsetType | None) -> str | None:
    """The fingerprint of the terms that something was begun with."""
    found = (metadata or {}).get(TERMS)
    return found if isinstance(found, str) else None


def _amount(price: shapes.Price | None) -> Money | None:
    if price is None or price.unit_amount is None or price.currency is None:
        return None
    return Money(price.unit_amount, price.currency.lower())
