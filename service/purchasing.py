"""What every purchase has in common, whether on the provider's page or on ours.

One open subscription per user. Whatever was begun before and not finished is reused where its
terms are the same, and closed where they are not, so that two tabs cannot buy twice.

No lock is needed for that. A purchase is begun as the operation "the next one after the newest
there is", and the provider carries an operation out once: of several requests that have seen the
same history one begins, those with equal terms get its result, and the others look again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from domain.plans import Offer, PriceList
from domain.subscription import Status
from ports.authentication import User
from ports.payment_provider import RecordedFailure
from ports.purchases import (
    CheckoutStatus,
    History,
    OperationConflict,
    ProviderSubscription,
    Purchases,
)
from ports.unit_of_work import UnitOfWork
from service.ensure_customer import EnsureCustomer
from service.learn_prices import LearnPrices
from service.operation_names import nth
from service.refusals import Conflict, Unacceptable

T = TypeVar("T")

# How often a request looks again because another one was faster.
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
                "price-not-offered", "this price is not for sale: take one from /config"
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
        *,
        trial_period_days: int,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._purchases = purchases
        self._ensure_customer = ensure_customer
        self._offers = offers
        self._trial_period_days = trial_period_days

    async def begin(
        self, user: User, price_ref: str, attempt: Callable[[Situation], Awaitable[T | None]]
    ) -> T:
        """The result of `attempt`, which returns None where the situation was no longer so.

        Raises Unacceptable, Conflict, ProviderUnavailable and ProviderRefused.
        """
        await self._offers.find(price_ref)
        customer = await self._ensure_customer(user)
        assert customer.customer_ref is not None, "an ensured customer has a reference"
        async with self._unit_of_work() as uow:
            had_trial = await uow.trials.redeemed(user.id)
            elsewhere = [
                s
                for s in await uow.subscriptions.of_user(user.id)
                if s.customer_ref != customer.customer_ref and _runs(s.status, s.has_ended)
            ]
        if elsewhere:
            raise _already_subscribed(elsewhere[0].status)
        failure: RecordedFailure | None = None
        spoilt = 0
        for _ in range(_ROUNDS):
            history = await self._purchases.history(customer.customer_ref)
            for running in history.subscriptions:
                if _runs(running.snapshot.status, running.snapshot.has_ended):
                    raise _already_subscribed(running.snapshot.status)
            used = had_trial or any(s.snapshot.shows_a_used_trial for s in history.subscriptions)
            situation = Situation(
                customer.customer_ref,
                history,
                0 if used else self._trial_period_days,
                nth(f"purchase:{user.id}:{customer.customer_ref}:{history.position}", spoilt),
            )
            try:
                result = await attempt(situation)
            except OperationConflict:
                continue
            except RecordedFailure as error:
                failure, spoilt = error, spoilt + 1
                continue
            if result is not None:
                return result
        if failure is not None:
            raise failure
        raise Conflict(
            "purchase-under-way",
            "another purchase of yours is just being started: try again in a moment",
        )

    async def close_checkouts(self, history: History, *, keep: str | None = None) -> bool:
        """Close every open Checkout but `keep`; False where one was finished meanwhile."""
        for checkout in history.checkouts:
            if checkout.status is not CheckoutStatus.OPEN or checkout.session_ref == keep:
                continue
            if not await self._purchases.expire_checkout(checkout.session_ref):
                return False
        return True

    async def close_unfinished(self, situation: Situation, *, keep: str | None = None) -> bool:
        """End every unconfirmed subscription but `keep`; False where one just was confirmed."""
        for subscription in situation.unfinished:
            if subscription.subscription_ref == keep:
                continue
            now = await self._purchases.first_payment(subscription.subscription_ref)
            if now is None or now.subscription.snapshot.status != Status.INCOMPLETE:
                return False
            await self._purchases.abandon(subscription.subscription_ref)
        return True


def _runs(status: str, has_ended: bool) -> bool:
    return not has_ended and status not in (Status.NONE, Status.INCOMPLETE)


def _already_subscribed(status: str) -> Conflict:
    if status in (Status.TRIALING, Status.ACTIVE):
        return Conflict(
            "already-subscribed",
            "you have a running subscription: change its plan instead of buying a second one "
            "(PATCH /api/payments/subscriptions/{id})",
        )
    return Conflict(
        "already-subscribed",
        f"you have a subscription that is {status}: settle what is owed in the portal "
        "(POST /api/payments/create-portal-session) instead of buying a second one",
    )
