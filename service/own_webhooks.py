"""What the provider says now, given to the inbox as if it had been delivered.

The same code as for a webhook works it off, in the worker that holds the subscription, so that
nothing has to be safe beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from ports.clock import Clock
from ports.inbox import Intake, Overloaded, ReceivedWebhook
from ports.payment_provider import ProviderRefused, ProviderUnavailable
from ports.purchases import Purchases
from ports.settlements import Settlements
from ports.unit_of_work import StorageUnavailable, UnitOfWork
from service.tracing import continue_trace

log = structlog.get_logger(__name__)

# Seconds. A worker takes milliseconds; where none runs, nobody should hang for long.
PATIENCE: Final = 5.0
# Webhooks of one purchase come within seconds, so more than one seldom overtakes.
_ROUNDS: Final = 3


class OwnWebhooks:
    """Brings our record up to date where a webhook is late or lost."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        purchases: Purchases,
        intake: Intake,
        settlements: Settlements,
        clock: Clock,
        *,
        livemode: bool,
        patience: float = PATIENCE,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._purchases = purchases
        self._intake = intake
        self._settlements = settlements
        self._clock = clock
        self._livemode = livemode
        self._patience = patience

    async def tell(self, subscription_ref: str) -> None:
        """Have the present state applied soon. Nothing is raised: the webhook may still come."""
        try:
            report = await self._purchases.report(
                subscription_ref, await self._watermark(subscription_ref)
            )
            if report is not None:
                await self._intake.record(replace(report, traceparent=continue_trace(None)))
        except (ProviderUnavailable, ProviderRefused, Overloaded, StorageUnavailable) as error:
            log.warning("sync_failed", subscription=subscription_ref, error=str(error))

    async def settle(self, subscription_ref: str, traceparent: str) -> bool:
        """Have the present state applied; again where a webhook overtook the report of it.

        False where it was not worked off in time. Raises Overloaded, StorageUnavailable and
        ProviderUnavailable.
        """
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

    async def let_go_of(self, customer_ref: str) -> bool:
        """Retire the link to a customer that the provider has deleted; False where it has not.

        Raises ProviderUnavailable where no worker has retired it in time, and what `settle` does.
        """
        report = await self._purchases.report_deletion(
            customer_ref, self._clock.now(), livemode=self._livemode
        )
        if report is None:
            return False
        log.warning("customer_was_deleted", customer=customer_ref)
        if not await self._work_off(replace(report, traceparent=continue_trace(None))):
            raise ProviderUnavailable(f"the link to {customer_ref} waits to be retired")
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
