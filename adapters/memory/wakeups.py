"""Waking stages, also those of others on the same store."""

from __future__ import annotations

import asyncio
import contextlib

from adapters.memory.store import MemoryStore
from ports.wakeups import Stage


class MemoryWakeups:
    """Hears what is committed to the store while it listens."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._events = {stage: asyncio.Event() for stage in Stage}

    async def wait(self, stage: Stage, timeout: float) -> None:
        """Return when the stage is woken, or after `timeout` seconds."""
        event = self._events[stage]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), timeout)
        event.clear()

    async def listen(self) -> None:
        """Hear the wake-ups of others, until cancelled."""
        self._store.listeners.append(self.wake)
        try:
            for stage in Stage:  # what was notified while nobody listened
                self.wake(stage)
            await asyncio.Event().wait()
        finally:
            self._store.listeners.remove(self.wake)

    def wake(self, stage: Stage) -> None:
        """Wake the stage within this process."""
        self._events[stage].set()
