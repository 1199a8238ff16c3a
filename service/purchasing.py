"""What every purchase has in common, whether on the provider's page or on ours.

One open subscription per user. Whatever was begun before and not finished is reused where its
terms are the same, and closed where they are not, so that two tabs cannot buy twice.

No lock is needed for that. A purchase is begun as the operation "the next one after the newest
there is", and the provider carries an operation out once: of several requests that have seen the
same history one begins, those with equal terms get its result, and the others look again.

Where one has failed, the provider keeps that under the operation's name, and tells those with
other terms no more than that the name is taken. So terms are written down before they are asked
for, and whoever finds the name taken asks for the first ones again, to learn what came of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from domain.plans import Offer, PriceList
from domain.subscription import Snapshot, Status, Subscription
from ports.asked_terms import AskedTerms
from ports.authentication import User
from ports.clock import Clock
from ports.payment_provider import (
    CustomerMissing,
    OutcomeUnknown,
    ProviderUnavailable,
    RecordedFailure,
)
from ports.purchases import (
    Checkout,
    CheckoutStatus,
    Closing,
    FirstPayment,
    History,
    OperationConflict,
    OperationUnderWay,
    ProviderSubscription,
    Purchases,
    Terms,
)
from ports.unit_of_work import UnitOfWork
from service.ensure_customer import EnsureCustomer
from service.learn_prices import LearnPrices
from service.operation_names import nth, wait_a_moment
from service.own_webhooks import OwnWebhooks
from service.refusals import Conflict, Unacceptable, payment_in_hand, purchase_under_way

T = TypeVar("T")

# How often a request looks again because another one was faster, or is not done yet.
_ROUNDS: Final = 5


class Offers:
    """Which prices may be bought."""

    def __init__(self, prices: PriceList, learn_prices: LearnPrices) -> None:
        self._prices = prices
        self._learn_prices = learn_prices

    async def find(self, price_ref: str) -> Offer:
        """The offer behind a price that is sold now.

        Raises Unacceptable, and ProviderUnavailable where nobody can tell.
        """
        offer = self._prices.sold_as(price_ref)
        if offer is None:  # a catalog that was just synced sells at prices that are not known yet
            await self._learn_prices.look_again()
            offer = self._prices.sold_as(price_ref)
        if offer is None:
            raise Unacceptable(
                "price-not-offered",
                "this price is not for sale: choose another one",
                instead="GET /api/payments/config",
            )
        return offer


@dataclass(frozen=True, slots=True)
class Situation:
    """What a purchase starts from. `operation` names it; see above."""

    customer_ref: str
    history: History
    trial_days: int
    operation: str

    @property
    def seen(self) -> set[str]:
        """Every subscription there was."""
        return {s.subscription_ref for s in self.history.subscriptions}

    @property
    def unfinished(self) -> list[ProviderSubscription]:
        """Subscriptions that were begun and not confirmed."""
        return [s for s in self.history.subscriptions if s.snapshot.status == Status.INCOMPLETE]


class Purchasing:
    """Lets a user begin one purchase at a time."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        purchases: Purchases,
        ensure_customer: EnsureCustomer,
        offers: Offers,
        own_webhooks: OwnWebhooks,
        asked_terms: AskedTerms,
        clock: Clock,
        *,
        trial_period_days: int,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._purchases = purchases
        self._ensure_customer = ensure_customer
        self._offers = offers
        self._own_webhooks = own_webhooks
        self._asked_terms = asked_terms
        self._clock = clock
        self._trial_period_days = trial_period_days

    async def begin(
        self,
        user: User,
        price_ref: str,
        attempt: Callable[[Situation], Awaitable[T | None]],
        *,
        begun: Callable[[Situation, ProviderSubscription], T | None] = lambda *_: None,
    ) -> T:
        """The result of `attempt`, which returns None where the situation was no longer so.

        Where the answer to an attempt was lost and a new subscription runs afterwards, `begun` says
        what the attempt has come to if that subscription is its result. Raises Unacceptable,
        Conflict, ProviderUnavailable, OutcomeUnknown and ProviderRefused.
        """
        await self._offers.find(price_ref)
        customer_ref = await self._customer_of(user)
        try:
            return await self._begin(user, customer_ref, attempt, begun)
        except CustomerMissing:
            if not await self._own_webhooks.let_go_of(customer_ref):
                raise
        return await self._begin(user, await self._customer_of(user), attempt, begun)

    async def start_checkout(self, user: User, situation: Situation, terms: Terms) -> Checkout:
        """Have a page to buy on made, as the operation of this situation."""
        await self._asked_terms.note(situation.operation, terms, self._clock.now())
        return await self._purchases.start_checkout(
            situation.customer_ref, user.id, terms, operation=situation.operation
        )

    async def subscribe(self, user: User, situation: Situation, terms: Terms) -> FirstPayment:
        """Have a subscription begun, as the operation of this situation."""
        await self._asked_terms.note(situation.operation, terms, self._clock.now())
        begun = await self._purchases.subscribe(
            situation.customer_ref, user.id, terms, operation=situation.operation
        )
        if begun.subscription.snapshot.status != Status.INCOMPLETE:
            await self._has_begun(user, begun.subscription)
        return begun

    async def close_checkouts(self, history: History, *, keep: str | None = None) -> bool:
        """Close every open Checkout but `keep`; False where one was finished before."""
        for checkout in history.checkouts:
            if checkout.status is not CheckoutStatus.OPEN or checkout.session_ref == keep:
                continue
            if not await self._purchases.expire_checkout(checkout.session_ref):
                return False
        return True

    async def close_unfinished(self, situation: Situation, *, keep: str | None = None) -> bool:
        """End every unconfirmed subscription but `keep`; False where one was confirmed before.

        Raises Conflict where a payment is under way that nobody can take back.
        """
        for subscription in situation.unfinished:
            if subscription.subscription_ref == keep:
                continue
            match await self._purchases.close_attempt(subscription.subscription_ref):
                case Closing.PROCESSING:
                    raise payment_in_hand()
                case Closing.FINISHED:
                    return False
        return True

    async def _begin(
        self,
        user: User,
        customer_ref: str,
        attempt: Callable[[Situation], Awaitable[T | None]],
        begun: Callable[[Situation, ProviderSubscription], T | None],
    ) -> T:
        async with self._unit_of_work() as uow:
            had_trial = await uow.trials.redeemed(user.id)
            known = await uow.subscriptions.of_user(user.id)
        await self._refuse_one_elsewhere(known, customer_ref)
        recorded = {s.subscription_ref: s.status for s in known}
        failure: OutcomeUnknown | None = None
        tried: Situation | None = None
        spoilt = unknown = 0
        for turn in range(_ROUNDS):
            history = await self._look(customer_ref, failure)
            for running in history.subscriptions:
                status = running.snapshot.status
                if not _runs(status, running.snapshot.has_ended):
                    continue
                if recorded.get(running.subscription_ref) != status:
                    await self._own_webhooks.tell(running.subscription_ref)
                if status == Status.TRIALING and not had_trial:
                    await self._redeem_trial(user)
                if failure and tried and running.subscription_ref not in tried.seen:
                    result = begun(tried, running)
                    if result is not None:
                        return result
                raise _already_subscribed(running.snapshot)
            if unknown > 1:
                break
            used = had_trial or history.shows_a_used_trial
            if tried and tried.history.position != history.position:
                spoilt = 0  # what comes next is another operation, with failures of its own
            situation = tried = Situation(
                customer_ref,
                history,
                0 if used else self._trial_period_days,
                nth(f"purchase:{user.id}:{customer_ref}:{history.position}", spoilt),
            )
            try:
                result = await self._try(user, situation, attempt)
            except OperationUnderWay:
                if turn < _ROUNDS - 1:
                    await wait_a_moment()
                continue
            except RecordedFailure as error:
                failure, spoilt = error, spoilt + 1
                continue
            except OutcomeUnknown as error:
                # It may have been done. To ask once more under the same name does nothing twice.
                failure, unknown = error, unknown + 1
                continue
            if result is not None:
                return result
        if failure is not None:
            raise failure
        raise purchase_under_way()

    async def _try(
        self, user: User, situation: Situation, attempt: Callable[[Situation], Awaitable[T | None]]
    ) -> T | None:
        """What `attempt` returns; None also where the operation was carried out on other terms.

        Raises OperationUnderWay, and RecordedFailure where it failed, on whatever terms.
        """
        try:
            return await attempt(situation)
        except OperationUnderWay:
            raise
        except OperationConflict:
            await self._ask_as_before(user, situation)
            return None

    async def _ask_as_before(self, user: User, situation: Situation) -> None:
        """Ask for what was asked for first under this name, to hear again what came of it."""
        operation = situation.operation
        for terms in await self._asked_terms.of(operation, self._clock.now()):
            ask = self._purchases.subscribe if terms.on_our_page else self._purchases.start_checkout
            try:
                await ask(situation.customer_ref, user.id, terms, operation=operation)
            except OperationUnderWay:
                raise
            except OperationConflict:
                continue  # these were turned down in favour of others
            return

    async def _has_begun(self, user: User, begun: ProviderSubscription) -> None:
        """Take note of what needs no confirmation: the answer is all that proves it was begun.

        Once it has ended, a trial on a card that was on file looks like one never confirmed.
        """
        if begun.snapshot.status == Status.TRIALING:
            await self._redeem_trial(user)
        await self._own_webhooks.tell(begun.subscription_ref)

    async def _redeem_trial(self, user: User) -> None:
        async with self._unit_of_work() as uow:
            await uow.trials.redeem([user.id])
            await uow.commit()

    async def _customer_of(self, user: User) -> str:
        customer = await self._ensure_customer(user)
        assert customer.customer_ref is not None, "an ensured customer has a reference"
        return customer.customer_ref

    async def _refuse_one_elsewhere(self, known: Sequence[Subscription], customer_ref: str) -> None:
        """One of an earlier customer's that still runs counts, too.

        Whose customer was deleted, or whose last webhook was lost, may have ended since.
        """
        for subscription in known:
            elsewhere = subscription.customer_ref != customer_ref
            if not elsewhere or not _runs(subscription.status, subscription.has_ended):
                continue
            reference = subscription.subscription_ref
            found = await self._purchases.first_payment(reference)
            if found is None:
                continue
            snapshot = found.subscription.snapshot
            if snapshot.status != subscription.status:
                await self._own_webhooks.tell(reference)
            if _runs(snapshot.status, snapshot.has_ended):
                raise _already_subscribed(snapshot)

    async def _look(self, customer_ref: str, failure: OutcomeUnknown | None) -> History:
        """The history; where it cannot be had either, what failed before is what is to be told."""
        try:
            return await self._purchases.history(customer_ref)
        except ProviderUnavailable:
            if failure is not None:
                raise failure from None
            raise


def _runs(status: str, has_ended: bool) -> bool:
    return not has_ended and status not in (Status.NONE, Status.INCOMPLETE)


def _already_subscribed(running: Snapshot) -> Conflict:
    what_to_do, instead = _INSTEAD_OF_A_SECOND[_situation_of(running)]
    return Conflict(
        "already-subscribed",
        f"you have a subscription {what_to_do.format(status=running.status)}",
        instead=instead,
    )


def _situation_of(running: Snapshot) -> str:
    if running.status not in (Status.TRIALING, Status.ACTIVE):
        return "paused" if running.status == Status.PAUSED else "in debt"
    return "running" if running.cancel_at is None else "ending"


_SUBSCRIPTION: Final = "/api/payments/subscriptions/{id}"
_INSTEAD_OF_A_SECOND: Final = {
    "paused": (
        "that is paused: end it before you buy another one",
        f"DELETE {_SUBSCRIPTION}?immediately=true",
    ),
    "ending": (
        "whose end is scheduled: resume it instead of buying a second one, then change its plan "
        "if you want another",
        f"POST {_SUBSCRIPTION}/resume",
    ),
    "running": (
        "that runs: change its plan instead of buying a second one",
        f"PATCH {_SUBSCRIPTION}",
    ),
    "in debt": (
        "that is {status}: settle what is owed in the portal, or end it, instead of buying a "
        "second one",
        "POST /api/payments/create-portal-session",
    ),
}
