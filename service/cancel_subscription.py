"""A user cancels, or takes a scheduled cancellation back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from domain.subscription import Snapshot, Status, Subscription
from ports.authentication import User
from ports.billing import Billing
from ports.claims import Claims
from ports.clock import Clock
from ports.payment_provider import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from ports.purchases import Closing, OperationConflict, ProviderSubscription, Purchases
from service.change_claim import changing
from service.own_webhooks import OwnWebhooks
from service.owned_subscription import Owned, OwnedSubscription
from service.refusals import confirmed_meanwhile, no_such_subscription, payment_in_hand
from service.view_subscription import SubscriptionView, Viewer
from service.waiting_change import discard

log = structlog.get_logger(__name__)


class CancelSubscription:
    """Asks the provider; our own record follows with its webhooks."""

    def __init__(
        self,
        owned: OwnedSubscription,
        billing: Billing,
        purchases: Purchases,
        viewer: Viewer,
        clock: Clock,
        claims: Claims,
        own_webhooks: OwnWebhooks,
    ) -> None:
        self._owned = owned
        self._billing = billing
        self._purchases = purchases
        self._viewer = viewer
        self._clock = clock
        self._claims = claims
        self._own_webhooks = own_webhooks

    async def __call__(
        self, user: User, subscription_id: UUID, *, immediately: bool
    ) -> SubscriptionView:
        """Have it end with the period, or at once; one that was never confirmed ends at once.

        Raises NotFound, AlreadyCanceled, NoActiveSubscription, Conflict, ProviderUnavailable,
        OutcomeUnknown and ProviderRefused.
        """
        owned = await self._owned(user, subscription_id)
        async with changing(self._claims, subscription_id, self._clock.now()):
            if _is_an_attempt(owned):
                return await self._ask(user, owned, _CLOSE, self._close)
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
        """End it, and with it a change of plan that waits: nobody is to pay for that any more.

        A change that was begun elsewhere at the same moment is given up afterwards.
        """
        state = await self._billing.plan_state(subscription_ref)
        if state is not None and state.pending is not None:
            await discard(self._billing, self._own_webhooks, subscription_ref, state.pending)
        ended = await self._billing.cancel_now(subscription_ref)
        await self._give_up_what_came_after(state.invoice_ref if state else None, subscription_ref)
        return ended

    async def _give_up_what_came_after(self, known: str | None, subscription_ref: str) -> None:
        """Have an invoice that is newer than the `known` one never be paid.

        It has ended, and that is told whatever comes of this; an operator hears of what was paid.
        """
        try:
            state = await self._billing.plan_state(subscription_ref)
            if state is None or state.invoice_ref in (None, known):
                return
            closing = await self._billing.give_up_payment(state.invoice_ref)
        except (ProviderUnavailable, ProviderRefused, OperationConflict) as error:
            log.error("ended_with_unknown_debts", subscription=subscription_ref, error=str(error))
            return
        if closing is not Closing.CLOSED:
            log.error(
                "paid_after_the_end", subscription=subscription_ref, invoice=state.invoice_ref
            )

    async def _close(self, subscription_ref: str) -> ProviderSubscription:
        """End what was begun and never confirmed, unless it is being confirmed right now."""
        match await self._purchases.close_attempt(subscription_ref):
            case Closing.PROCESSING:
                raise payment_in_hand()
            case Closing.FINISHED:
                await self._own_webhooks.tell(subscription_ref)
                raise confirmed_meanwhile()
        found = await self._billing.find_subscription(subscription_ref)
        if found is None:
            raise no_such_subscription()
        return found

    def _show(self, user: User, seen: ProviderSubscription) -> SubscriptionView:
        return self._viewer.show(seen.as_aggregate(user.id), self._clock.now())


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is wanted: whether a user may ask for it, and whether it is so."""

    check: Callable[[Subscription], None]
    is_so: Callable[[Snapshot], bool]


def _is_an_attempt(owned: Owned) -> bool:
    """Whether it was never confirmed; closed meanwhile, as far as is known here."""
    if owned.found.snapshot.has_ended:
        return owned.record is None or owned.record.status == Status.INCOMPLETE
    return owned.found.snapshot.status == Status.INCOMPLETE


_CLOSE: Final = _Wish(lambda _: None, lambda seen: seen.has_ended)
_CANCEL_NOW: Final = _Wish(Subscription.check_cancelable, lambda seen: seen.has_ended)
_SCHEDULE: Final = _Wish(
    Subscription.check_schedulable,
    lambda seen: not seen.has_ended and seen.cancel_at is not None,
)
_RESUME: Final = _Wish(
    Subscription.check_resumable, lambda seen: not seen.has_ended and seen.cancel_at is None
)
