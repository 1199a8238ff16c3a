"""LISTEN: hears notifications for ever, on one connection that is taken for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from ports.unit_of_work import StorageUnavailable

log = structlog.get_logger(__name__)

# Seconds between attempts to listen again. Meanwhile whoever waits looks for themselves.
_RECONNECT: Final = 1.0
# Seconds between signs that the connection still lives: a half-open one says nothing.
_KEEPALIVE: Final = 15.0


async def listen(
    engine: AsyncEngine,
    channels: Mapping[str, Callable[[str], None]],
    connected: Callable[[], None] = lambda: None,
) -> None:
    """Call a channel's function with the payload of each of its notifications, until cancelled.

    `connected` is called whenever listening begins, to catch up on what was missed before.
    """
    while True:
        try:
            with storage_errors():
                await _listen(engine, channels, connected)
        except StorageUnavailable as error:
            log.warning("not_listening", error=str(error))
        await asyncio.sleep(_RECONNECT)


async def _listen(
    engine: AsyncEngine,
    channels: Mapping[str, Callable[[str], None]],
    connected: Callable[[], None],
) -> None:
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection  # asyncpg's own: SQLAlchemy has no LISTEN
        assert driver is not None, "a fresh connection has a driver"
        lost = asyncio.Event()
        driver.add_termination_listener(lambda _: lost.set())
        for channel, hear in channels.items():
            await driver.add_listener(
                channel, lambda _driver, _pid, _channel, payload, hear=hear: hear(payload)
            )
        connected()
        try:
            while not lost.is_set():
                try:
                    await asyncio.wait_for(lost.wait(), _KEEPALIVE)
                except TimeoutError:
                    await driver.execute("SELECT 1")
        finally:
            await connection.invalidate()
