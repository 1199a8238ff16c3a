"""Keeps a worker that was replaced from committing."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.tables import workers
from ports.partitions import LeaseLost, Share


async def hold_share(connection: AsyncConnection, share: Share) -> None:
    """Make sure that this share is still the worker's, and keep it so until the commit.

    The row is locked against whoever would take partitions away from the worker, which begins
    with locking its row; the worker's signs of life pass. Raises LeaseLost.
    """
    epoch = await connection.scalar(
        sa.select(workers.c.epoch)
        .where(workers.c.id == share.worker)
        .with_for_update(read=True, key_share=True)
    )
    if epoch != share.epoch:
        raise LeaseLost(
            "this worker was presumed dead or gave partitions back: what it held goes to others"
        )
