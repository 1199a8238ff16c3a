"""A user cancels, or takes a scheduled cancellation back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.subscription import Snapshot, Status, Subscription
from ports.authentication import User
from ports.billing import Billing
from ports.clock import Clock
from ports.payment_provider import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from ports.purchases import Closing, ProviderSubscription
from service.owned_subscription import Owned, OwnedSubscription
from service.refusals import payment_in_hand
from service.view_subscription import SubscriptionView, Viewer


class CancelSubscription:
    """Asks the provider; our own record follows with its webhooks."""

    def __init__(
        self, owned: OwnedSubscription, billing: Billing, viewer: Viewer, clock: Clock
    ) -> None:
        self._owned = owned
        self._billing = billing
        self._viewer = viewer
        self._clock = clock

    async def __call__(
        self, user: User, subscription_id: UUID, *, immediately: bool
    ) -> SubscriptionView:
        """Have it end with the period, or at once.

        Raises NotFound, AlreadyCanceled, NoActiveSubscription, ProviderUnavailable, OutcomeUnknown
        and ProviderRefused.
        """
        owned = await self._owned(user, subscription_id)
        if immediately:
            return await self._ask(user, owned, _CANCEL_NOW, self._end)
        return await self._ask(user, owned, _SCHEDULE, self._billing.schedule_cancellation)

    async def resume(self, user: User, subscription_id: UUID) -> SubscriptionView:
        """Take a scheduled cancellation back. Raises NothingToResume besides."""
        owned = await self._owned(user, subscription_id)
        return await self._ask(user, owned, _RESUME, self._billing.withdraw_cancellation)

    async def _ask(
        self,
        user: User,
        owned: Owned,
        wish: _Wish,
        ask: Callable[[str], Awaitable[ProviderSubscription]],
    ) -> SubscriptionView:
        found = owned.found
        recorded = owned.record.facts if owned.record else Snapshot(Status.NONE)
        if wish.is_so(found.snapshot) and not wish.is_so(recorded):
            # It was done a moment ago and the answer may have been lost: this is the same wish.
            return self._show(user, found)
        wish.check(found.as_aggregate(user.id))
        reference = found.subscription_ref
        try:
            return self._show(user, await ask(reference))
        except (OutcomeUnknown, ProviderRefused) as failure:
            # It may have been done all the same, by this request or by another one.
            try:
                now = await self._billing.find_subscription(reference)
            except ProviderUnavailable:
                raise failure from None
            if now is None or not wish.is_so(now.snapshot):
                raise
            return self._show(user, now)

    async def _end(self, subscription_ref: str) -> ProviderSubscription:
        """End it, and with it a change of plan that waits: nobody is to pay for that any more."""
        state = await self._billing.plan_state(subscription_ref)
        if state is not None and state.pending is not None:
            closing = await self._billing.give_up_payment(state.pending.invoice_ref)
            if closing is Closing.PROCESSING:
                raise payment_in_hand()
        return await self._billing.cancel_now(subscription_ref)

    def _show(self, user: User, seen: ProviderSubscription) -> SubscriptionView:
        return self._viewer.show(seen.as_aggregate(user.id), self._clock.now())


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is wanted: whether a user may ask for it, and whether it is so."""

    check: Callable[[Subscription], None]
    is_so: Callable[[Snapshot], bool]


_CANCEL_NOW: Final = _Wish(Subscription.check_cancelable, lambda seen: seen.has_ended)
_SCHEDULE: Final = _Wish(
    Subscription.check_schedulable,
    lambda seen: not seen.has_ended and seen.cancel_at is not None,
)
_RESUME: Final = _Wish(
    Subscription.check_resumable, lambda seen: not seen.has_ended and seen.cancel_at is None
)
