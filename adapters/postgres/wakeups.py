"""LISTEN/NOTIFY: the inbox and the outbox say when there is something new."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from ports.unit_of_work import StorageUnavailable
from ports.wakeups import Stage

log = structlog.get_logger(__name__)

# Seconds between attempts to listen again. Meanwhile the stages look for work by themselves.
_RECONNECT: Final = 1.0
# Seconds between signs that the connection still lives: a half-open one says nothing.
_KEEPALIVE: Final = 15.0


class PostgresWakeups:
    """Hears notifications on one connection, taken from this engine for good."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._events = {stage: asyncio.Event() for stage in Stage}

    async def wait(self, stage: Stage, timeout: float) -> None:
        """Return when the stage is woken, or after `timeout` seconds."""
        event = self._events[stage]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), timeout)
        event.clear()

    def wake(self, stage: Stage) -> None:
        """Wake the stage within this process."""
        self._events[stage].set()

    async def listen(self) -> None:
        """Hear the wake-ups of other processes, until cancelled."""
        while True:
            try:
                with storage_errors():
                    await self._listen()
            except StorageUnavailable as error:
                log.warning("not_listening", error=str(error))
            await asyncio.sleep(_RECONNECT)

    async def _listen(self) -> None:
        async with self._engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver: Any = raw.driver_connection  # asyncpg's own: SQLAlchemy has no LISTEN
            assert driver is not None, "a fresh connection has a driver"
            lost = asyncio.Event()
            driver.add_termination_listener(lambda _: lost.set())
            for stage in Stage:
                await driver.add_listener(stage, lambda *_, stage=stage: self.wake(stage))
            for stage in Stage:  # what was notified while nobody listened
                self.wake(stage)
            try:
                while not lost.is_set():
                    try:
                        await asyncio.wait_for(lost.wait(), _KEEPALIVE)
                    except TimeoutError:
                        await driver.execute("SELECT 1")
            finally:
                await connection.invalidate()
