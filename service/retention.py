"""What was kept long enough is erased or removed, in small steps beside the work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from ports.retention import Kept, Retention, Swept
from service.redaction import people_removed

log = structlog.get_logger(__name__)

# Rows in one transaction: a few milliseconds, so that nobody waits and a crash undoes little.
BATCH: Final = 500


class ApplyRetention:
    """Erases the payloads of old webhooks, then forgets their ids; takes people out of those that
    wait or were given up; removes old messages, and answers that are not given again any more.

    A crash in between leaves the rest for the next time.
    """

    def __init__(self, retention: Retention, kept: Kept, *, batch: int = BATCH) -> None:
        self._retention = retention
        self._kept = kept
        self._batch = batch

    async def __call__(self, *, dry_run: bool = False) -> Swept:
        """Do it until nothing is left; with `dry_run` only count. Raises StorageUnavailable."""
        if dry_run:
            return await self._retention.count(self._kept)
        kept, retention = self._kept, self._retention
        swept = Swept(
            payloads=await self._repeat(
                lambda: retention.erase_payloads(kept.payloads, limit=self._batch)
            ),
            masked=await self._repeat(
                lambda: retention.mask_payloads(kept.payloads, people_removed, limit=self._batch)
            ),
            event_ids=await self._repeat(
                lambda: retention.remove_webhooks(kept.event_ids, limit=self._batch)
            ),
            messages=await self._repeat(
                lambda: retention.remove_messages(kept.messages, limit=self._batch)
            ),
            answers=await self._repeat(
                lambda: retention.remove_answers(kept.answers, limit=self._batch)
            ),
        )
        log.info(
            "retention_applied",
            payloads_erased=swept.payloads,
            payloads_masked=swept.masked,
            webhooks_removed=swept.event_ids,
            messages_removed=swept.messages,
            answers_removed=swept.answers,
        )
        return swept

    async def _repeat(self, step: Callable[[], Awaitable[int]]) -> int:
        total = 0
        while changed := await step():
            total += changed
            if changed < self._batch:
                break
        return total
