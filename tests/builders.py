"""Snapshots, commands and a desk to work on them, with defaults for all that does not matter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from domain.commands import (
    ApplySubscriptionChange,
    Command,
    CompleteCheckout,
    Owner,
    RecordInvoicePaid,
    RecordPaymentFailure,
    RetireCustomer,
    UpdateCustomer,
)
from domain.customer import Customer
from domain.errors import CustomerAlreadyLinked, OwnerUnknown
from domain.events import PaymentFailure
from domain.money import Money
from domain.plans import Interval, Offer, Plan, PriceList
from domain.subscription import AccessPolicy, Snapshot, Subscription
from domain.watermark import Rank, watermark
from ports.payment_provider import ProviderCustomer
from service import message_bus
from service.outcomes import Held, Result
from service.working_set import (
    Answer,
    CustomerLookup,
    Lookup,
    LookupNeeded,
    WorkingSet,
)
from tests.stripe_payloads import DAY, START, USER, at

OTHER_USER: Final = UUID("00000000-0000-4000-8000-000000000b0b")
POLICY: Final = AccessPolicy(past_due_grace=timedelta(days=7))
TRACE: Final = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
OFFERS: Final = (
    Offer("general_monthly", Plan.GENERAL, Interval.MONTH, Money(1000, "usd")),
    Offer("general_annual", Plan.GENERAL, Interval.YEAR, Money(10000, "usd")),
    Offer("event_organizer_monthly", Plan.EVENT_ORGANIZER, Interval.MONTH, Money(1500, "usd")),
    Offer("event_organizer_annual", Plan.EVENT_ORGANIZER, Interval.YEAR, Money(15000, "usd")),
)


def price_list(*, learned: bool = False) -> PriceList:
    """Every offer; where `learned`, with the references that `stripe_payloads.price` gives."""
    prices = PriceList(OFFERS)
    if learned:
        refs = {f"price_{offer.lookup_key}": offer for offer in OFFERS}
        prices.learn(refs, {offer.lookup_key: ref for ref, offer in refs.items()})
    return prices


def snapshot(status: str = "active", **more: Any) -> Snapshot:
    """A monthly General subscription since START; an ended one ended ten days later."""
    ended = {"end": at(START + 10 * DAY)} if status in ("canceled", "expired") else {}
    trial = {"trial_end": at(START + 180 * DAY)} if status == "trialing" else {}
    defaults: dict[str, Any] = {
        "plan": Plan.GENERAL,
        "interval": Interval.MONTH,
        "price_ref": "price_general_monthly",
        "start": at(START),
        "current_period_start": at(START),
        "current_period_end": at(START + 30 * DAY),
        **ended,
        **trial,
    }
    return Snapshot(status, **{**defaults, **more})


def owner(
    user_id: UUID | None = USER, customer_ref: str | None = "cus_1", *, ours: bool = True
) -> Owner:
    """What an event says about whose it is."""
    return Owner(customer_ref=customer_ref, user_id=user_id, ours=ours)


def change(
    seen: Snapshot | str = "active",
    seconds: int = START,
    rank: Rank = Rank.UPDATED,
    *,
    ref: str = "sub_1",
    whose: Owner | None = None,
    trial_ending: bool = False,
) -> ApplySubscriptionChange:
    """The command that a subscription's event becomes."""
    return ApplySubscriptionChange(
        subscription_ref=ref,
        owner=replace(whose or owner(), at=at(seconds)),
        snapshot=snapshot(seen) if isinstance(seen, str) else seen,
        as_of=watermark(at(seconds), rank),
        trial_ending=trial_ending,
    )


def invoice_paid(
    invoice_ref: str = "in_1", *, amount: int = 1000, whose: Owner | None = None
) -> RecordInvoicePaid:
    """The command that a paid invoice becomes."""
    return RecordInvoicePaid(
        "sub_1", whose or owner(), invoice_ref, Money(amount, "usd"), at(START + 30 * DAY)
    )


def payment_failed(invoice_ref: str = "in_1", *, attempt: int = 1) -> RecordPaymentFailure:
    """The command that a failed attempt to collect an invoice becomes."""
    return RecordPaymentFailure(
        subscription_ref="sub_1",
        owner=owner(),
        invoice_ref=invoice_ref,
        amount=Money(1000, "usd"),
        reason=PaymentFailure.DECLINED,
        attempt_count=attempt,
        next_attempt_at=at(START + 33 * DAY),
        at=at(START + 30 * DAY),
    )


def customer_update(
    email: str | None = "alice@example.com",
    seconds: int = START,
    rank: Rank = Rank.UPDATED,
    *,
    ref: str = "cus_1",
    user_id: UUID | None = USER,
    name: str | None = "Alice",
) -> UpdateCustomer:
    """The command that a customer's event becomes."""
    return UpdateCustomer(
        ref, user_id, email, name, at(START), watermark(at(seconds), rank), livemode=False
    )


def customer_deletion(seconds: int = START, *, ref: str = "cus_1") -> RetireCustomer:
    """The command that a deleted customer becomes."""
    return RetireCustomer(ref, at(seconds), livemode=False)


def checkout(whose: Owner | None = None) -> CompleteCheckout:
    """The command that a finished Checkout becomes."""
    return CompleteCheckout("cs_1", whose or owner(ours=False), "sub_1")


def linked(
    ref: str = "cus_1",
    user_id: UUID | None = USER,
    *,
    email: str | None = "alice@example.com",
    retired_at: datetime | None = None,
) -> Customer:
    """A customer as it lies in the table."""
    return Customer(user_id, ref, email=email, name="Alice", retired_at=retired_at)


def stripe_customer(
    ref: str = "cus_1",
    user_id: UUID | None = USER,
    *,
    email: str | None = "alice@example.com",
    deleted: bool = False,
) -> ProviderCustomer:
    """A customer as the provider has it now."""
    return ProviderCustomer(ref, user_id, email, "Alice", at(START), deleted)


@dataclass(slots=True)
class Desk:
    """Works commands off one after the other, and asks a provider that has these answers.

    Without an answer the provider knows nothing of what it is asked for.
    """

    work: WorkingSet = field(default_factory=lambda: WorkingSet(POLICY))
    provider: dict[Lookup, Answer] = field(default_factory=dict)
    asked: list[Lookup] = field(default_factory=list)

    def handle(self, command: Command, *, attempts: int = 0) -> Result:
        """Carry the command out, with what it asks for looked up as often as it takes."""
        answers: dict[Lookup, Answer] = {}
        while True:
            self.work.turn_to(TRACE, attempts, answers)
            try:
                return message_bus.handle(command, self.work)
            except LookupNeeded as needed:
                self.asked.append(needed.lookup)
                answers[needed.lookup] = self.provider.get(needed.lookup)

    def handle_all(self, commands: Iterable[Command]) -> list[Command]:
        """Carry all of them out; what is held or cannot be decided yet is tried again for as long
        as that helps. Returns those that were left.
        """
        waiting = list(commands)
        while waiting:
            left = [command for command in waiting if not self._is_done(command)]
            if len(left) == len(waiting):
                break
            waiting = left
        return waiting

    def subscription(self, ref: str = "sub_1") -> Subscription:
        """The subscription as it is now."""
        found = self.work.subscription(ref)
        assert found is not None, f"there is no {ref}"
        return found

    def customer(self, ref: str = "cus_1") -> Customer:
        """The customer as it is now."""
        found = self.work.customer(ref)
        assert found is not None, f"there is no {ref}"
        return found

    def told(self) -> list[str]:
        """The kinds of the messages so far, without prefix and version."""
        return [message.type.split(".", 1)[1].rsplit(".", 1)[0] for message in self.work.messages]

    def _is_done(self, command: Command) -> bool:
        try:
            return not isinstance(self.handle(command), Held)
        except (CustomerAlreadyLinked, OwnerUnknown):
            return False


def desk(
    *customers: Customer, provider: Iterable[ProviderCustomer] = (), paid: Iterable[str] = ()
) -> Desk:
    """A desk with these customers in the table, and these at the provider."""
    return Desk(
        WorkingSet(POLICY, customers=customers, paid_invoices=set(paid)),
        {CustomerLookup(found.customer_ref): found for found in provider},
    )
