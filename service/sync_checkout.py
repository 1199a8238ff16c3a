"""The buyer is back before the webhook: have the purchase worked off now.

The same code as for a webhook does it, in the worker that holds the subscription: what the
provider says now goes into the inbox like a delivery, and we wait until it was worked off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec

from ports.authentication import User
from ports.inbox import Intake, ReceivedWebhook
from ports.purchases import CheckoutStatus, Purchases
from ports.settlements import Settlements
from ports.unit_of_work import UnitOfWork
from service.refusals import NotFound
from service.tracing import continue_trace
from service.view_subscription import SubscriptionView, ViewSubscription

# Seconds. A worker takes milliseconds; where none runs, the page should not hang for long.
_PATIENCE: Final = 5.0
# Webhooks of one purchase come within seconds, so more than one seldom overtakes.
_ROUNDS: Final = 3


class SyncedCheckout(msgspec.Struct, rename="camel", frozen=True):
    """The Checkout, and the subscription as far as it is known.

    `settled` is false where a purchase was made but has not been worked off yet: ask again.
    """

    status: CheckoutStatus
    settled: bool
    subscription: SubscriptionView


class SyncCheckout:
    """Brings our record up to date with a Checkout."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        purchases: Purchases,
        intake: Intake,
        settlements: Settlements,
        view_subscription: ViewSubscription,
        *,
        patience: float = _PATIENCE,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._purchases = purchases
        self._intake = intake
        self._settlements = settlements
        self._view_subscription = view_subscription
        self._patience = patience

    async def __call__(
        self, user: User, session_ref: str, traceparent: str | None = None
    ) -> SyncedCheckout:
        """Raises NotFound, Overloaded, StorageUnavailable and ProviderUnavailable."""
        checkout = await self._purchases.find_checkout(session_ref)
        if checkout is None or checkout.user_id != user.id:
            raise NotFound("checkout-not-found", "you have no such checkout")
        settled = True
        if checkout.subscription_ref is not None:
            settled = await self._settle(checkout.subscription_ref, continue_trace(traceparent))
        return SyncedCheckout(checkout.status, settled, await self._view_subscription(user))

    async def _settle(self, subscription_ref: str, traceparent: str) -> bool:
        """Have the present state applied; again where a webhook overtook the report of it."""
        as_of = await self._watermark(subscription_ref)
        for _ in range(_ROUNDS):
            report = await self._purchases.report(subscription_ref, as_of)
            if report is None:
                return True
            if not await self._work_off(replace(report, traceparent=traceparent)):
                return False
            as_of = await self._watermark(subscription_ref)
            if as_of is None or as_of.replace(microsecond=0) <= report.created:
                return True
        return True

    async def _watermark(self, subscription_ref: str) -> datetime | None:
        async with self._unit_of_work() as uow:
            known = await uow.subscriptions.find([subscription_ref])
        return known[0].as_of if known else None

    async def _work_off(self, report: ReceivedWebhook) -> bool:
        with self._settlements.expect(report.event_id) as settlement:
            await self._intake.record(report)
            async with self._unit_of_work() as uow:
                if await uow.inbox.is_processed(report.event_id):
                    return True
            return await settlement.wait(self._patience)
