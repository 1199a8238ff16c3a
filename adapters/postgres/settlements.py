"""LISTEN: the inbox says which of our own webhooks were worked off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.listening import listen

CHANNEL: Final = "payments_settled"


class _Settlement:
    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def wait(self, timeout: float) -> bool:
        """Return True once it was worked off, False after `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.event.wait(), timeout)
        return self.event.is_set()


class PostgresSettlements:
    """Hears notifications on one connection, taken from this engine for good."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._waiting: dict[str, set[_Settlement]] = {}

    @contextlib.contextmanager
    def expect(self, event_id: str) -> Iterator[_Settlement]:
        """Listen for this webhook from now on."""
        settlement = _Settlement()
        self._waiting.setdefault(event_id, set()).add(settlement)
        try:
            yield settlement
        finally:
            others = self._waiting[event_id]
            others.discard(settlement)
            if not others:
                del self._waiting[event_id]

    async def listen(self) -> None:
        """Hear of webhooks that were worked off, until cancelled."""
        await listen(self._engine, {CHANNEL: self._settled})

    def _settled(self, event_id: str) -> None:
        for settlement in self._waiting.get(event_id, ()):
            settlement.event.set()
