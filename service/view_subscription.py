"""What a user may see of their subscription."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from domain.plans import PriceList
from domain.subscription import AccessPolicy, Status, Subscription
from ports.authentication import User
from ports.clock import Clock
from ports.unit_of_work import UnitOfWork


class NextCharge(msgspec.Struct, rename="camel", frozen=True):
    """What is charged next, in minor currency units; null where the price is not known."""

    at: datetime
    amount: int | None
    currency: str | None


class SubscriptionView(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A subscription. With `status` none there is none, and everything else says so.

    `access_until` is when access ends or has ended; null while no end is known.
    `trial_available` says whether a purchase now would begin with the free trial.
    """

    id: UUID | None = None
    status: str = "none"
    has_access: bool = False
    access_until: datetime | None = None
    plan: str | None = None
    interval: str | None = None
    price_id: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    trial_end_date: datetime | None = None
    trial_days_left: int = 0
    trial_available: bool = False
    current_period_end: datetime | None = None
    cancel_at: datetime | None = None
    next_charge: NextCharge | None = None


class Viewer:
    """Shows subscriptions as they are at a moment."""

    def __init__(self, prices: PriceList, access: AccessPolicy) -> None:
        self._prices = prices
        self._access = access

    def show(
        self, seen: Subscription, at: datetime, *, trial_available: bool = False
    ) -> SubscriptionView:
        """The subscription at this moment."""
        facts = seen.facts
        return SubscriptionView(
            id=seen.id,
            status=str(seen.status),
            has_access=seen.has_active_subscription(at, self._access),
            access_until=seen.access_until(at, self._access),
            plan=str(facts.plan),
            interval=facts.interval,
            price_id=facts.price_ref,
            start_date=facts.start,
            end_date=facts.end,
            trial_end_date=facts.trial_end,
            trial_days_left=_days_left(seen, at),
            trial_available=trial_available,
            current_period_end=facts.current_period_end,
            cancel_at=facts.cancel_at,
            next_charge=self._next_charge(seen),
        )

    def current_of(
        self, subscriptions: Sequence[Subscription], at: datetime
    ) -> Subscription | None:
        """Of a user's subscriptions, the newest first, the one that matters at this moment."""

        def weight(subscription: Subscription) -> int:
            if subscription.has_ended:
                return 3 if subscription.activated else 4
            if subscription.has_active_subscription(at, self._access):
                return 0
            return 2 if subscription.status in (Status.NONE, Status.INCOMPLETE) else 1

        return min(subscriptions, key=weight, default=None)

    def _next_charge(self, seen: Subscription) -> NextCharge | None:
        facts = seen.facts
        due = facts.trial_end if seen.status == Status.TRIALING else facts.current_period_end
        if due is None or seen.status not in (Status.TRIALING, Status.ACTIVE):
            return None
        if facts.cancel_at is not None and facts.cancel_at <= due:
            return None
        offer = self._prices.find(price_ref=facts.price_ref)
        return NextCharge(
            due,
            offer.price.amount if offer else None,
            offer.price.currency if offer else None,
        )


class ViewSubscription:
    """Shows a user the subscription that matters now."""

    def __init__(
        self, unit_of_work: Callable[[], UnitOfWork], viewer: Viewer, clock: Clock
    ) -> None:
        self._unit_of_work = unit_of_work
        self._viewer = viewer
        self._clock = clock

    async def __call__(self, user: User) -> SubscriptionView:
        """The current subscription, else the one that ended last, else none."""
        async with self._unit_of_work() as uow:
            subscriptions = await uow.subscriptions.of_user(user.id)
            trial_available = not await uow.trials.redeemed(user.id)
        now = self._clock.now()
        current = self._viewer.current_of(subscriptions, now)
        if current is None:
            return SubscriptionView(trial_available=trial_available)
        return self._viewer.show(current, now, trial_available=trial_available)


def _days_left(seen: Subscription, at: datetime) -> int:
    end = seen.facts.trial_end
    if seen.status != Status.TRIALING or end is None or end <= at:
        return 0
    return -(-(end - at) // timedelta(days=1))
