"""A user cancels, or takes a scheduled cancellation back."""

from __future__ import annotations

from uuid import UUID

from ports.authentication import User
from ports.billing import Billing
from ports.clock import Clock
from ports.purchases import ProviderSubscription
from service.owned_subscription import OwnedSubscription
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

        Raises NotFound, AlreadyCanceled, NoActiveSubscription, ProviderUnavailable and
        ProviderRefused.
        """
        found = await self._owned(user, subscription_id)
        if immediately:
            found.as_aggregate(user.id).check_cancelable()
            return self._show(user, await self._billing.cancel_now(found.subscription_ref))
        found.as_aggregate(user.id).check_schedulable()
        return self._show(user, await self._billing.schedule_cancellation(found.subscription_ref))

    async def resume(self, user: User, subscription_id: UUID) -> SubscriptionView:
        """Take a scheduled cancellation back. Raises NothingToResume besides."""
        found = await self._owned(user, subscription_id)
        found.as_aggregate(user.id).check_resumable()
        return self._show(user, await self._billing.withdraw_cancellation(found.subscription_ref))

    def _show(self, user: User, seen: ProviderSubscription) -> SubscriptionView:
        return self._viewer.show(seen.as_aggregate(user.id), self._clock.now())
