"""Whether the database can be worked with."""

from __future__ import annotations

import asyncio
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from adapters.postgres.tables import stripe_webhook_events
from ports.health import Health
from ports.unit_of_work import StorageUnavailable

_PATIENCE: Final = 3.0  # seconds; an orchestrator's probe is seldom more patient


class PostgresHealth:
    """Reaches the database, and finds the schema in it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def check(self) -> Health:
        """Its state now."""
        try:
            async with asyncio.timeout(_PATIENCE):
                with storage_errors():
                    async with self._engine.connect() as connection:
                        await connection.execute(sa.select(stripe_webhook_events).limit(0))
                        read_only = await connection.scalar(sa.text("SHOW transaction_read_only"))
        except TimeoutError:
            return Health("database", well=False, hint=f"no answer within {_PATIENCE:.0f} s")
        except StorageUnavailable as error:
            return Health("database", well=False, hint=str(error))
        if read_only == "on":
            return Health("database", well=False, hint="it takes no writes: is it a standby?")
        return Health("database", well=True)
