"""LISTEN/NOTIFY: the inbox and the outbox say when there is something new."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.listening import listen
from ports.wakeups import Stage


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
        await listen(
            self._engine,
            {stage: partial(self._hear, stage) for stage in Stage},
            connected=self._wake_all,  # for what was notified while nobody listened
        )

    def _hear(self, stage: Stage, payload: str) -> None:
        self.wake(stage)

    def _wake_all(self) -> None:
        for stage in Stage:
            self.wake(stage)
