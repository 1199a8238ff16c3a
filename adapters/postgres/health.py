"""Whether the database can be worked with."""

from __future__ import annotations

import asyncio
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from adapters.postgres.tables import REVISION, SCHEMA, stripe_webhook_events
from ports.health import Health
from ports.unit_of_work import StorageUnavailable

_PATIENCE: Final = 3.0  # seconds; an orchestrator's probe is seldom more patient
_OLD: Final = "the schema is older than this release: run `payments migrate`"

_AT: Final = sa.select(sa.table("alembic_version", sa.column("version_num"), schema=SCHEMA))
_TABLE: Final = sa.select(stripe_webhook_events).limit(0)
_READ_ONLY: Final = sa.text("SHOW transaction_read_only")


class PostgresHealth:
    """Reaches the database, and finds a schema in it that is this release's or newer.

    A newer one is what the next release brings while this one still runs.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def check(self) -> Health:
        """Its state now."""
        try:
            async with asyncio.timeout(_PATIENCE):
                with storage_errors():
                    async with self._engine.connect() as connection:
                        at = await connection.scalar(_AT)
                        await connection.execute(_TABLE)
                        read_only = await connection.scalar(_READ_ONLY)
        except TimeoutError:
            return Health("database", well=False, hint=f"no answer within {_PATIENCE:.0f} s")
        except StorageUnavailable as error:
            return Health("database", well=False, hint=str(error))
        if at is None or at < REVISION:
            return Health("database", well=False, hint=_OLD)
        if read_only == "on":
            return Health("database", well=False, hint="it takes no writes: is it a standby?")
        return Health("database", well=True)
