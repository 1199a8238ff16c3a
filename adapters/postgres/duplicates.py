"""`duplicate_subscriptions`: marks for an operator."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.tables import duplicate_subscriptions, subscriptions
from domain.subscription import ENDED, Status
from ports.duplicates import Duplicate

# Held until the commit: whoever marks the same user next sees what was written here. In one
# order, so that two workers cannot wait for each other.
_TAKE_TURNS: Final = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended(user_id, 0)) FROM"
    " (SELECT unnest(CAST(:users AS text[])) AS user_id ORDER BY 1) AS users"
)
_NOT_RUNNING: Final = sorted({Status.NONE, Status.INCOMPLETE, *ENDED})


class PostgresDuplicates:
    """The marks, in the transaction of this connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def mark(self, user_ids: Collection[UUID]) -> Sequence[Duplicate]:
        """Mark the subscriptions of those among these users who have several running ones."""
        if not user_ids:
            return []
        await self._connection.execute(_TAKE_TURNS, {"users": sorted(map(str, user_ids))})
        one, other = subscriptions.alias("one"), subscriptions.alias("other")
        running_twice = sa.select(one.c.id, one.c.user_id).where(
            one.c.user_id == sa.any_(sa.literal(list(user_ids), sa.ARRAY(sa.Uuid))),
            one.c.status.not_in(_NOT_RUNNING),
            sa.exists().where(
                other.c.user_id == one.c.user_id,
                other.c.id != one.c.id,
                other.c.status.not_in(_NOT_RUNNING),
            ),
        )
        marked = duplicate_subscriptions.c
        rows = await self._connection.execute(
            insert(duplicate_subscriptions)
            .from_select(["subscription_id", "user_id"], running_twice)
            .on_conflict_do_nothing()
            .returning(marked.subscription_id, marked.user_id)
        )
        return [Duplicate(row.subscription_id, row.user_id) for row in rows]
