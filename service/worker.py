"""The worker: holds its share of the partitions, works off the inbox, empties the outbox."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog

from ports.event_publisher import EventPublisher
from ports.partitions import Partitions
from ports.unit_of_work import StorageUnavailable
from ports.wakeups import Stage, Wakeups
from service import lanes, loop
from service.provider_lookups import ProviderLookups

log = structlog.get_logger(__name__)

# A lease lives for several of these, so that one missed renewal costs nothing.
RENEW_EVERY: Final = 2.0


class Worker:
    """Runs the two stages side by side until it is told to stop."""

    def __init__(
        self,
        process_inbox: lanes.Stage,
        relay_outbox: lanes.Stage,
        lookups: ProviderLookups,
        partitions: Partitions,
        wakeups: Wakeups,
        publisher: EventPublisher,
    ) -> None:
        self._process_inbox = process_inbox
        self._relay_outbox = relay_outbox
        self._lookups = lookups
        self._partitions = partitions
        self._wakeups = wakeups
        self._publisher = publisher

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish what is in hand and give the partitions back."""
        background = [
            asyncio.create_task(self._wakeups.listen()),
            asyncio.create_task(self._keep_partitions()),
            asyncio.create_task(self._wake_on(stop)),
        ]
        try:
            await asyncio.gather(
                loop.run(
                    Stage.INBOX,
                    self._process_inbox.run_once,
                    self._process_inbox.idle_time,
                    self._wakeups,
                    stop,
                ),
                loop.run(
                    Stage.OUTBOX,
                    self._relay_outbox.run_once,
                    self._relay_outbox.idle_time,
                    self._wakeups,
                    stop,
                ),
            )
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await self._lookups.close()
            await self._publisher.close()
            with contextlib.suppress(StorageUnavailable):  # they expire by themselves
                await self._partitions.release()

    async def _keep_partitions(self) -> None:
        while True:
            try:
                if await self._partitions.renew():
                    log.info("partitions_changed", held=len(self._partitions.held().partitions))
                    self._wake_all()
            except StorageUnavailable as error:
                log.warning("partitions_not_renewed", error=str(error))
            except Exception:
                log.exception("partitions_not_renewed")
            await asyncio.sleep(RENEW_EVERY)

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake_all()

    def _wake_all(self) -> None:
        for stage in Stage:
            self._wakeups.wake(stage)
