"""`workers` and `worker_partitions`: who works on what.

Every change begins with the row of the worker concerned. A transaction that commits work holds
a shared lock on that row (see fence.py), so a share cannot shrink under it; a worker whose row
was removed, or whose epoch has moved on, can commit nothing any more. All times are the
database's: no two clocks have to agree.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid4

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.engine import sqlstate, storage_errors
from adapters.postgres.stalled import end_stalled_sessions
from adapters.postgres.tables import worker_partitions, workers
from ports.partitions import PARTITIONS, Share

log = structlog.get_logger(__name__)

# How long a worker is believed alive without a sign of life, in seconds: several renewals, and
# longer than a garbage collection or a slow disk may take.
LEASE_SECONDS = 10.0
_NO_RIGHT: Final = "42501"


class PostgresPartitions:
    """The share of one worker."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        lease_seconds: float = LEASE_SECONDS,
        worker: UUID | None = None,
    ) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds
        self._share = Share(worker or uuid4(), epoch=0)
        self._may_end_sessions = True  # as far as is known

    def held(self) -> Share:
        """The share as far as is known here."""
        return self._share

    async def renew(self) -> bool:
        """Say that this worker is alive and take a fair share; whether the share changed."""
        before = self._share
        with storage_errors():
            # On its own, so that whatever comes of the share, the worker counts as alive.
            async with self._engine.begin() as connection:
                epoch = await self._sign_of_life(connection)
            await self._end_stalled_sessions()
            async with self._engine.begin() as connection:
                self._share = await self._fair_share(connection, epoch)
        return self._share != before

    async def release(self) -> None:
        """Give everything back at once."""
        share, self._share = self._share, Share(self._share.worker, self._share.epoch)
        with storage_errors():
            async with self._engine.begin() as connection:
                await connection.execute(sa.delete(workers).where(workers.c.id == share.worker))

    async def _end_stalled_sessions(self) -> None:
        """On its own, too: a share is taken whether or not there is a right to end sessions."""
        try:
            async with self._engine.begin() as connection:
                await end_stalled_sessions(connection, self._lease_seconds)
        except DBAPIError as error:
            if sqlstate(error) != _NO_RIGHT:
                raise
            if self._may_end_sessions:
                self._may_end_sessions = False
                log.warning("no_right_to_end_sessions", error=str(error.orig))

    async def _fair_share(self, connection: AsyncConnection, epoch: int) -> Share:
        me = self._share.worker
        alive = await connection.scalar(
            sa.select(workers.c.id)
            .where(workers.c.id == me)
            .with_for_update(read=True, key_share=True)
        )
        if alive is None:  # buried meanwhile, by somebody to whom the lease looked expired
            return Share(me, epoch)
        await self._bury_the_dead(connection)
        fair = await self._count_fair_share(connection)
        mine = set(
            await connection.scalars(
                sa.select(worker_partitions.c.partition).where(worker_partitions.c.worker_id == me)
            )
        )
        if len(mine) > fair:
            epoch = await self._wait_for_batches_in_hand(connection, epoch)
            surplus = set(sorted(mine)[fair:])
            await self._assign(connection, surplus, None)
            mine -= surplus
        elif len(mine) < fair:
            free = set(
                await connection.scalars(
                    sa.select(worker_partitions.c.partition)
                    .where(worker_partitions.c.worker_id.is_(None))
                    .order_by(worker_partitions.c.partition)
                    .limit(fair - len(mine))
                    .with_for_update(skip_locked=True)
                )
            )
            await self._assign(connection, free, me)
            mine |= free
        return Share(me, epoch, frozenset(mine))

    async def _wait_for_batches_in_hand(self, connection: AsyncConnection, epoch: int) -> int:
        """Begin a new epoch, in which nothing relies on the partitions that are given back.

        Meanwhile this worker holds nothing, or busy stages would begin one batch after the other
        and this would wait for ever.
        """
        held, self._share = self._share, Share(self._share.worker, epoch)
        try:
            await connection.execute(
                sa.select(workers.c.id).where(workers.c.id == held.worker).with_for_update()
            )
            await connection.execute(
                sa.update(workers).where(workers.c.id == held.worker).values(epoch=epoch + 1)
            )
        except BaseException:
            self._share = held
            raise
        return epoch + 1

    async def _sign_of_life(self, connection: AsyncConnection) -> int:
        """Extend our lease; a worker that was buried begins anew, in a later epoch."""
        until = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, self._lease_seconds)
        epoch: int | None = await connection.scalar(
            insert(workers)
            .values(id=self._share.worker, epoch=self._share.epoch + 1, expires_at=until)
            .on_conflict_do_update(index_elements=[workers.c.id], set_={"expires_at": until})
            .returning(workers.c.epoch)
        )
        assert epoch is not None, "an upsert returns its row"
        return epoch

    async def _bury_the_dead(self, connection: AsyncConnection) -> None:
        """Remove expired workers, which frees their partitions.

        One that is locked is just committing; it is passed over and looked at again next time.
        """
        expired = (
            sa.select(workers.c.id)
            .where(workers.c.expires_at < sa.func.now(), workers.c.id != self._share.worker)
            .with_for_update(skip_locked=True)
        )
        await connection.execute(sa.delete(workers).where(workers.c.id.in_(expired)))

    async def _count_fair_share(self, connection: AsyncConnection) -> int:
        known = await connection.scalar(sa.select(sa.func.count()).select_from(worker_partitions))
        if known != PARTITIONS:
            await connection.execute(
                insert(worker_partitions).on_conflict_do_nothing(),
                [{"partition": partition} for partition in range(PARTITIONS)],
            )
        alive: int = await connection.scalar(sa.select(sa.func.count()).select_from(workers)) or 1
        return -(-PARTITIONS // alive)

    async def _assign(
        self, connection: AsyncConnection, partitions: set[int], worker: UUID | None
    ) -> None:
        if partitions:
            await connection.execute(
                sa.update(worker_partitions)
                .where(worker_partitions.c.partition.in_(partitions))
                .values(worker_id=worker)
            )
