"""Keeps a worker that was replaced from committing."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import sqlalchemy as sa

from adapters.postgres.session import Session
from adapters.postgres.statements import Statement
from adapters.postgres.tables import workers
from ports.partitions import LeaseLost, Share

# A claim has its fence within its own statement, since every statement is a round trip. What a
# share is lost by begins with locking its worker's row; the worker's signs of life pass.
SHARE_IS_HELD: Final = f"SELECT FROM {workers.fullname} WHERE id = :worker AND epoch = :epoch"
HOLD_SHARE: Final = f"held AS MATERIALIZED ({SHARE_IS_HELD} FOR KEY SHARE)"

_HOLD: Final = Statement(sa.text(f"WITH {HOLD_SHARE} SELECT EXISTS (SELECT FROM held)"))


def holder(share: Share) -> dict[str, UUID | int]:
    """The parameters of these statements."""
    return {"worker": share.worker, "epoch": share.epoch}


async def hold_share(session: Session, share: Share) -> None:
    """Make sure that this share is still the worker's, and keep it so until the commit.

    For claims that found nothing, which may be for want of the share. Raises LeaseLost.
    """
    if not await session.value(_HOLD, holder(share)):
        raise LeaseLost(
            "this worker was presumed dead or gave partitions back: what it held goes to others"
        )
