"""Stripe's words to ours: objects to snapshots, events to commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from adapters.stripe import shapes
from adapters.stripe.shapes import Expandable, needed, reference
from domain import commands
from domain.commands import Command, Owner
from domain.errors import InvalidMoney
from domain.events import PaymentFailure
from domain.money import Money
from domain.plans import Offer, Plan, PriceList
from domain.subscription import ENDED, Snapshot, Status
from domain.watermark import Rank, watermark
from ports.webhooks import Unhandled, UnreadableWebhook

# An id or a status as Stripe writes them. Anything else does not go into our columns.
_REFERENCE: Final = re.compile(r"[\x21-\x7e]{1,255}")
_STATUS: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")
_INTERVAL: Final = re.compile(r"[a-z]{1,20}")
_LONGEST_TEXT: Final = 255

Object = TypeVar("Object")

_STATUSES: Final = {"incomplete_expired": Status.EXPIRED}


@dataclass(frozen=True, slots=True)
class Event:
    """What an event says besides its object."""

    created: datetime
    livemode: bool


class _Data(msgspec.Struct, Generic[Object]):
    object: Object


class _Stored(msgspec.Struct, Generic[Object]):
    created: int
    data: _Data[Object]


@dataclass(frozen=True, slots=True)
class _Translation(Generic[Object]):
    """How an event of some type is read, and what its object then comes to."""

    decoder: msgspec.json.Decoder[_Stored[Object]]
    translate: Callable[[Object, Event, PriceList], Command | Unhandled]


_SUBSCRIPTION: Final = msgspec.json.Decoder(_Stored[shapes.Subscription])
_INVOICE: Final = msgspec.json.Decoder(_Stored[shapes.Invoice])
_CUSTOMER: Final = msgspec.json.Decoder(_Stored[shapes.Customer])
_CHECKOUT_SESSION: Final = msgspec.json.Decoder(_Stored[shapes.CheckoutSession])


def to_command(
    event_type: str, payload: bytes, livemode: bool, prices: PriceList
) -> Command | Unhandled:
    """What an event tells us to do. Raises UnreadableWebhook where its shape is not as we know."""
    translation = _TRANSLATIONS.get(event_type)
    if translation is None:
        return Unhandled("nothing of ours follows from this type of event")
    try:
        # Once, since it takes as long as all the rest, for the whole of the event.
        read = translation.decoder.decode(payload)
        created = moment(read.created)
        assert created is not None, "created is required"
        return translation.translate(read.data.object, Event(created, livemode), prices)
    except (msgspec.DecodeError, InvalidMoney, ValueError, RecursionError) as error:
        raise UnreadableWebhook(f"{event_type}: {error}") from error


def to_snapshot(
    subscription: shapes.Subscription, prices: PriceList, *, ended_at: datetime | None = None
) -> Snapshot:
    """A subscription in our terms. `ended_at` is taken where it has ended but says not when.

    Raises ValueError, by its name where a field is absent that this cannot be told without.
    """
    return _snapshot(subscription, *_what_was_bought(subscription, prices), ended_at)


def _snapshot(
    subscription: shapes.Subscription,
    item: shapes.SubscriptionItem | None,
    offer: Offer | None,
    ended_at: datetime | None,
) -> Snapshot:
    status = _status(subscription)
    price_ref, interval = _price_of(item, subscription.plan)
    period_start, period_end = _period(subscription, item)
    trial_end = needed(subscription.trial_end, "trial_end")
    has_ended = status in ENDED
    end = _end(subscription) if has_ended else None
    scheduled = None if has_ended else _scheduled_end(subscription, period_end or trial_end)
    return Snapshot(
        status=status,
        plan=str(offer.plan) if offer else str(Plan.UNKNOWN),
        interval=str(offer.interval) if offer else interval,
        price_ref=price_ref,
        start=moment(
            subscription.start_date or needed(subscription.created, "start_date", "created")
        ),
        end=(moment(end) or ended_at) if has_ended else None,
        trial_end=moment(trial_end),
        current_period_start=moment(period_start),
        current_period_end=moment(period_end),
        cancel_at=moment(scheduled),
    )


def moment(seconds: int | None) -> datetime | None:
    """Unix seconds as an aware datetime. Raises ValueError out of range."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError):  # which of them depends on the number and the platform
        raise ValueError(f"{seconds} is no time in Unix seconds") from None


def user_of(metadata: Mapping[str, Any] | None) -> UUID | None:
    """The user we named in an object's metadata; what is not one of our ids names nobody."""
    try:
        return UUID(metadata["user_id"]) if metadata else None
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def clean(text: str | None) -> str | None:
    """A name or an address as our columns take it."""
    return None if text is None else text.replace("\x00", "")[:_LONGEST_TEXT]


def email_of(customer: shapes.Customer) -> str | None:
    """The email; one that is too long to be an address is none (RFC 5321: at most 254)."""
    email = needed(customer.email, "email")
    return None if email is None or len(email) > _LONGEST_TEXT else clean(email) or None


def _apply_change(rank: Rank, *, trial_ending: bool = False) -> _Translation[shapes.Subscription]:
    def translate(seen: shapes.Subscription, event: Event, prices: PriceList) -> Command:
        if rank is Rank.DELETED and seen.status not in ("canceled", "incomplete_expired"):
            seen.status = "canceled"  # what is deleted has ended, whatever its last status was
        item, offer = _what_was_bought(seen, prices)
        return commands.ApplySubscriptionChange(
            subscription_ref=_required(seen.id, "subscription.id"),
            owner=Owner(
                customer_ref=_reference(needed(seen.customer, "customer"), "subscription.customer"),
                user_id=user_of(needed(seen.metadata, "metadata")),
                ours=offer is not None or not prices.is_learned,
                livemode=event.livemode,
                at=event.created,
            ),
            snapshot=_snapshot(seen, item, offer, event.created),
            as_of=watermark(event.created, rank),
            trial_ending=trial_ending,
            plan_is_certain=offer is not None or prices.is_learned,
        )

    return _Translation(_SUBSCRIPTION, translate)


def _invoice_paid(invoice: shapes.Invoice, event: Event, prices: PriceList) -> Command | Unhandled:
    subscription_ref = _subscription_ref(invoice)
    if subscription_ref is None:
        return _NO_SUBSCRIPTION
    return commands.RecordInvoicePaid(
        subscription_ref=subscription_ref,
        owner=_owner_of_invoice(invoice, event, prices),
        invoice_ref=_required(invoice.id, "invoice.id"),
        amount=Money(needed(invoice.amount_paid, "amount_paid"), invoice.currency.lower()),
        at=event.created,
        hosted_invoice_url=invoice.hosted_invoice_url,
        invoice_pdf=invoice.invoice_pdf,
    )


def _payment_failed(reason: PaymentFailure) -> _Translation[shapes.Invoice]:
    def translate(invoice: shapes.Invoice, event: Event, prices: PriceList) -> Command | Unhandled:
        subscription_ref = _subscription_ref(invoice)
        if subscription_ref is None:
            return _NO_SUBSCRIPTION
        owed = needed(invoice.amount_remaining, "amount_remaining")
        return commands.RecordPaymentFailure(
            subscription_ref=subscription_ref,
            owner=_owner_of_invoice(invoice, event, prices),
            invoice_ref=_required(invoice.id, "invoice.id"),
            amount=Money(owed, invoice.currency.lower()),
            reason=reason,
            attempt_count=needed(invoice.attempt_count, "attempt_count"),
            next_attempt_at=moment(needed(invoice.next_payment_attempt, "next_payment_attempt")),
            at=event.created,
            hosted_invoice_url=invoice.hosted_invoice_url,
        )

    return _Translation(_INVOICE, translate)


def _update_customer(rank: Rank) -> _Translation[shapes.Customer]:
    def translate(customer: shapes.Customer, event: Event, prices: PriceList) -> Command:
        return commands.UpdateCustomer(
            customer_ref=_required(customer.id, "customer.id"),
            user_id=user_of(needed(customer.metadata, "metadata")),
            email=email_of(customer),
            name=clean(needed(customer.name, "name")),
            provider_created_at=moment(needed(customer.created, "created")),
            as_of=watermark(event.created, rank),
            livemode=event.livemode,
        )

    return _Translation(_CUSTOMER, translate)


def _retire_customer(customer: shapes.Customer, event: Event, prices: PriceList) -> Command:
    return commands.RetireCustomer(
        customer_ref=_required(customer.id, "customer.id"),
        at=event.created,
        livemode=event.livemode,
    )


def _checkout_completed(
    session: shapes.CheckoutSession, event: Event, prices: PriceList
) -> Command | Unhandled:
    subscription = needed(session.subscription, "subscription")
    subscription_ref = _reference(subscription, "checkout.session.subscription")
    if subscription_ref is None:
        return _NO_SUBSCRIPTION
    return commands.CompleteCheckout(
        session_ref=_required(session.id, "checkout.session.id"),
        owner=_owner_of_session(session, event),
        subscription_ref=subscription_ref,
    )


def _checkout_expired(session: shapes.CheckoutSession, event: Event, prices: PriceList) -> Command:
    return commands.ExpireCheckout(
        session_ref=_required(session.id, "checkout.session.id"),
        owner=_owner_of_session(session, event),
    )


# Every type of event we act on. What the product needs is listed first, then what keeps it
# right; the endpoint at Stripe should be subscribed to exactly these.
_TRANSLATIONS: Final[Mapping[str, _Translation[Any]]] = {
    "customer.subscription.created": _apply_change(Rank.CREATED),
    "customer.subscription.updated": _apply_change(Rank.UPDATED),
    "customer.subscription.deleted": _apply_change(Rank.DELETED),
    "customer.subscription.trial_will_end": _apply_change(Rank.UPDATED, trial_ending=True),
    "invoice.payment_succeeded": _Translation(_INVOICE, _invoice_paid),
    "invoice.payment_failed": _payment_failed(PaymentFailure.DECLINED),
    "customer.subscription.paused": _apply_change(Rank.UPDATED),
    "customer.subscription.resumed": _apply_change(Rank.UPDATED),
    "invoice.paid": _Translation(_INVOICE, _invoice_paid),
    "invoice.payment_action_required": _payment_failed(PaymentFailure.ACTION_REQUIRED),
    "checkout.session.completed": _Translation(_CHECKOUT_SESSION, _checkout_completed),
    "checkout.session.expired": _Translation(_CHECKOUT_SESSION, _checkout_expired),
    "customer.created": _update_customer(Rank.CREATED),
    "customer.updated": _update_customer(Rank.UPDATED),
    "customer.deleted": _Translation(_CUSTOMER, _retire_customer),
}
HANDLED_TYPES: Final = frozenset(_TRANSLATIONS)

_NO_SUBSCRIPTION: Final = Unhandled("it belongs to no subscription", foreign=True)


def _status(subscription: shapes.Subscription) -> str:
    status = subscription.status
    if not _STATUS.fullmatch(status):
        raise ValueError("subscription.status is not the name of a status")
    if status == Status.TRIALING and _awaits_a_card(
        needed(subscription.pending_setup_intent, "pending_setup_intent")
    ):
        return Status.INCOMPLETE
    return _STATUSES.get(status, status)


def _awaits_a_card(setup_intent: Expandable) -> bool:
    if isinstance(setup_intent, shapes.Expanded):
        return needed(setup_intent.status, "status") != "succeeded"
    return setup_intent is not None


def _period(
    subscription: shapes.Subscription, item: shapes.SubscriptionItem | None
) -> tuple[int | None, int | None]:
    """The billing period, which stands on the item or, in older events, on the subscription."""
    start = (item and item.current_period_start) or subscription.current_period_start
    end = (item and item.current_period_end) or subscription.current_period_end
    if item or subscription.plan:  # else nothing was bought that would be billed
        return needed(start, "current_period_start"), needed(end, "current_period_end")
    return start or None, end or None


def _end(subscription: shapes.Subscription) -> int | None:
    """When it ended; of what only says when that was asked for, then."""
    return needed(subscription.ended_at, "ended_at") or needed(
        subscription.canceled_at, "canceled_at"
    )


def _scheduled_end(subscription: shapes.Subscription, period_end: int | None) -> int | None:
    """When it will end, if that is not taken back."""
    cancel_at = needed(subscription.cancel_at, "cancel_at")
    if cancel_at is not None:
        return cancel_at
    at_period_end = needed(subscription.cancel_at_period_end, "cancel_at_period_end")
    return period_end if at_period_end else None


def _what_was_bought(
    subscription: shapes.Subscription, prices: PriceList
) -> tuple[shapes.SubscriptionItem | None, Offer | None]:
    """The item with one of our prices, else the first one, and our offer behind it."""
    if not subscription.plan:
        needed(subscription.items, "items")
    items = subscription.items.data if subscription.items else ()
    for item in items:
        price = item.price if item.plan else needed(item.price, "price")
        offer = _offer(price, item.plan, prices)
        if offer is not None:
            return item, offer
    return (items[0] if items else None), _offer(None, subscription.plan, prices)


def _price_of(
    item: shapes.SubscriptionItem | None, plan: shapes.LegacyPlan | None
) -> tuple[str | None, str | None]:
    """The reference of the price and how often it is billed."""
    price = item.price if item else None
    plan = (item.plan if item else None) or plan
    reference_ = price.id if isinstance(price, shapes.Price) else price
    recurring = price.recurring if isinstance(price, shapes.Price) else None
    interval = (recurring and recurring.interval) or (plan and plan.interval) or ""
    return (
        _reference(reference_ or (plan.id if plan else None), "price.id"),
        interval if _INTERVAL.fullmatch(interval) else None,
    )


def _offer(
    price: shapes.Price | str | UnsetType | None,
    plan: shapes.LegacyPlan | None,
    prices: PriceList,
) -> Offer | None:
    if isinstance(price, shapes.Price):
        if not price.is_of_one_interval:
            return None
        return prices.find(lookup_key=price.lookup_key, price_ref=price.id)
    return prices.find(price_ref=price or (plan.id if plan else None))


def _owner_of_invoice(invoice: shapes.Invoice, event: Event, prices: PriceList) -> Owner:
    details = (invoice.parent and invoice.parent.subscription_details) or (
        invoice.subscription_details
    )
    return Owner(
        customer_ref=_reference(needed(invoice.customer, "customer"), "invoice.customer"),
        user_id=user_of(needed(details.metadata, "metadata") if details else None),
        ours=not prices.is_learned or _may_be_over_ours(invoice, prices),
        livemode=event.livemode,
        at=event.created,
    )


def _may_be_over_ours(invoice: shapes.Invoice, prices: PriceList) -> bool:
    """Whether a price on it is ours, or it does not say what is on it."""
    lines = invoice.lines and invoice.lines.data
    return lines is UNSET or any(_may_be_ours(line, prices) for line in lines or ())


def _may_be_ours(line: shapes.InvoiceLine, prices: PriceList) -> bool:
    details = line.pricing and line.pricing.price_details
    new, old, plan = details and details.price, line.price, line.plan
    if new is old is plan is UNSET:
        return True
    return _offer(new or old, plan or None, prices) is not None


def _owner_of_session(session: shapes.CheckoutSession, event: Event) -> Owner:
    return Owner(
        customer_ref=_reference(needed(session.customer, "customer"), "checkout.session.customer"),
        user_id=user_of(needed(session.metadata, "metadata")),
        livemode=event.livemode,
        at=event.created,
    )


def _subscription_ref(invoice: shapes.Invoice) -> str | None:
    if invoice.subscription is UNSET:
        needed(invoice.parent, "parent", "subscription")
    if invoice.parent:
        details = needed(invoice.parent.subscription_details, "subscription_details")
        if details:
            needed(details.subscription, "subscription")
    return _reference(shapes.subscription_of(invoice), "invoice.subscription")


def _reference(value: Expandable, name: str) -> str | None:
    found = reference(value)
    return None if found is None else _required(found, name)


def _required(value: str, name: str) -> str:
    if not _REFERENCE.fullmatch(value):
        raise ValueError(f"{name} is not an id")
    return value
