"""Purchases that were begun and never confirmed are closed after a day.

The provider would let one within a trial live to the trial's end, and then charge whatever card the
customer has by that time, for something that nobody ever confirmed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog

from ports.clock import Clock
from ports.payment_provider import ProviderRefused
from ports.purchases import Closing, OperationUnderWay, Purchases
from ports.unit_of_work import UnitOfWork
from service.own_webhooks import OwnWebhooks

log = structlog.get_logger(__name__)

# As long as the provider keeps a first payment open, and an hour.
ABANDONED_AFTER: Final = timedelta(days=1)
_PAGE: Final = 100


class CloseAbandoned:
    """Closes what our record says was begun a day ago and not confirmed, unless it was since."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        purchases: Purchases,
        clock: Clock,
        own_webhooks: OwnWebhooks,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._purchases = purchases
        self._clock = clock
        self._own_webhooks = own_webhooks

    async def __call__(self) -> int:
        """Returns how many were closed; our record follows with their webhooks, or with what is
        told here of one that was confirmed and whose webhooks must have been lost.

        One that cannot be closed is logged and left for the next time. Raises ProviderUnavailable
        and StorageUnavailable.
        """
        begun_before = self._clock.now() - ABANDONED_AFTER
        closed, after = 0, ""
        while True:
            async with self._unit_of_work() as uow:
                page = await uow.subscriptions.unconfirmed(begun_before, after, limit=_PAGE)
            for reference in page:
                closed += await self._close(reference)
            if len(page) < _PAGE:
                return closed
            after = page[-1]

    async def _close(self, reference: str) -> bool:
        try:
            closing = await self._purchases.close_attempt(reference)
        except OperationUnderWay as busy:  # the next run looks again
            log.warning("attempt_is_busy", subscription_ref=reference, error=str(busy))
            return False
        except ProviderRefused as refusal:
            log.error("attempt_not_closed", subscription_ref=reference, error=str(refusal))
            return False
        if closing is Closing.FINISHED:
            await self._own_webhooks.tell(reference)
        log.info("attempt_abandoned", subscription_ref=reference, outcome=closing)
        return closing is Closing.CLOSED
