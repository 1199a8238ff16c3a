"""`scheduled_jobs`: whose turn it is. All times are the database's: no two clocks have to agree."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from adapters.postgres.tables import scheduled_jobs as t
from ports.schedule import Turn


class PostgresSchedule:
    """The jobs of all workers."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def take(self, job: str, *, lease: timedelta) -> Turn | None:
        """Take the job if it is due; a job nobody ever took is due."""
        statement = insert(t).values(name=job, due_at=sa.func.now() + lease)
        with storage_errors():
            async with self._engine.begin() as connection:
                taken = await connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=[t.c.name],
                        set_={"due_at": statement.excluded.due_at},
                        where=t.c.due_at <= sa.func.now(),
                    ).returning(t.c.due_at, t.c.progress)
                )
                row = taken.one_or_none()
        return None if row is None else Turn(job, row.due_at, row.progress)

    async def keep(self, turn: Turn, progress: str | None) -> bool:
        """Note how far the job has come; False where it is another's turn by now."""
        return await self._change(turn, {"progress": progress})

    async def put_off(self, turn: Turn, delay: timedelta) -> bool:
        """The job is due again after this delay; False where it is another's turn by now."""
        return await self._change(turn, {"due_at": sa.func.now() + delay})

    async def _change(self, turn: Turn, values: Mapping[str, object]) -> bool:
        # Whoever takes the job moves its date on, by which a turn that is over is known.
        mine = (t.c.name == turn.job) & (t.c.due_at == turn.until)
        with storage_errors():
            async with self._engine.begin() as connection:
                changed = await connection.execute(sa.update(t).where(mine).values(values))
        return changed.rowcount == 1
