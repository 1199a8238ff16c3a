"""`claims`: what one request at a time may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from adapters.postgres.tables import claims as t
from ports.unit_of_work import StorageUnavailable

log = structlog.get_logger(__name__)

# Longer than the longest request: several calls to the provider, each with time-outs and retries.
_RUNS_OUT_AFTER: Final = timedelta(minutes=5)


class PostgresClaims:
    """The claims of all processes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def hold(self, name: str, now: datetime) -> AsyncIterator[bool]:
        """Hold the claim while in the context; gives False where somebody else holds it."""
        holder = uuid4()
        statement = insert(t).values(name=name, holder=holder, expires_at=now + _RUNS_OUT_AFTER)
        new = statement.excluded
        with storage_errors():
            async with self._engine.begin() as connection:
                held = await connection.scalar(
                    statement.on_conflict_do_update(
                        index_elements=[t.c.name],
                        set_={"holder": new.holder, "expires_at": new.expires_at},
                        where=t.c.expires_at <= now,
                    ).returning(t.c.holder)
                )
        if held is None:
            yield False
            return
        try:
            yield True
        except asyncio.CancelledError:
            log.warning("claim_not_let_go", name=name, error="what it was held for was broken off")
            raise
        except Exception:
            await self._let_go(name, holder)
            raise
        await self._let_go(name, holder)

    async def _let_go(self, name: str, holder: UUID) -> None:
        try:
            with storage_errors():
                async with self._engine.begin() as connection:
                    await connection.execute(
                        sa.delete(t).where(t.c.name == name, t.c.holder == holder)
                    )
        except StorageUnavailable as error:
            # What was done is done, and is told; the claim runs out by itself.
            log.warning("claim_not_let_go", name=name, error=str(error))
