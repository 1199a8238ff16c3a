"""`scheduled_jobs`: whose turn it is. All times are the database's: no two clocks have to agree."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from adapters.postgres.tables import scheduled_jobs as t


class PostgresSchedule:
    """The jobs of all workers."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def take(self, job: str, *, lease: timedelta) -> bool:
        """Take the job if it is due; a job nobody ever took is due."""
        statement = insert(t).values(name=job, due_at=sa.func.now() + lease)
        with storage_errors():
            async with self._engine.begin() as connection:
                taken = await connection.scalar(
                    statement.on_conflict_do_update(
                        index_elements=[t.c.name],
                        set_={"due_at": statement.excluded.due_at},
                        where=t.c.due_at <= sa.func.now(),
                    ).returning(t.c.name)
                )
        return taken is not None

    async def put_off(self, job: str, delay: timedelta) -> None:
        """The job is due again after this delay."""
        with storage_errors():
            async with self._engine.begin() as connection:
                await connection.execute(
                    sa.update(t).where(t.c.name == job).values(due_at=sa.func.now() + delay)
                )
