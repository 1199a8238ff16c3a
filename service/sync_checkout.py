"""The buyer is back before the webhook: have the purchase worked off now."""

from __future__ import annotations

import msgspec

from ports.authentication import User
from ports.purchases import CheckoutStatus, Purchases
from service.own_webhooks import OwnWebhooks
from service.refusals import NotFound
from service.tracing import continue_trace
from service.view_subscription import SubscriptionView, ViewSubscription


class SyncedCheckout(msgspec.Struct, rename="camel", frozen=True):
    """The Checkout, and the subscription as far as it is known.

    `settled` is false where a purchase was made but has not been worked off yet: ask again.
    """

    status: CheckoutStatus
    settled: bool
    subscription: SubscriptionView


class SyncCheckout:
    """Brings our record up to date with a Checkout, and waits until it is."""

    def __init__(
        self, purchases: Purchases, own_webhooks: OwnWebhooks, view_subscription: ViewSubscription
    ) -> None:
        self._purchases = purchases
        self._own_webhooks = own_webhooks
        self._view_subscription = view_subscription

    async def __call__(
        self, user: User, session_ref: str, traceparent: str | None = None
    ) -> SyncedCheckout:
        """Raises NotFound, Overloaded, StorageUnavailable and ProviderUnavailable."""
        checkout = await self._purchases.find_checkout(session_ref)
        if checkout is None or checkout.user_id != user.id:
            raise NotFound("checkout-not-found", "you have no such checkout")
        settled = True
        if checkout.subscription_ref is not None:
            settled = await self._own_webhooks.settle(
                checkout.subscription_ref, continue_trace(traceparent)
            )
        return SyncedCheckout(checkout.status, settled, await self._view_subscription(user))
