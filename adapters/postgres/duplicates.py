"""`duplicate_subscriptions`: marks for an operator."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from adapters.postgres.session import Session
from adapters.postgres.statements import Statement
from adapters.postgres.tables import duplicate_subscriptions, subscriptions
from domain.subscription import ENDED, Status
from ports.duplicates import Duplicate

# Held until the commit: whoever marks the same user next sees what was written here. In one
# order, so that two workers cannot wait for each other.
_TAKE_TURNS: Final = Statement(
    sa.text(
        "SELECT pg_advisory_xact_lock(hashtextextended(user_id, 0)) FROM"
        " (SELECT unnest(CAST(:users AS text[])) AS user_id ORDER BY 1) AS users"
    )
)
_MARK: Final = Statement(
    sa.text(
        f"INSERT INTO {duplicate_subscriptions.fullname} (subscription_id, user_id)"
        f" SELECT one.id, one.user_id FROM {subscriptions.fullname} AS one"
        " WHERE one.user_id = ANY(CAST(:users AS uuid[]))"
        " AND one.status <> ALL(CAST(:not_running AS text[]))"
        f" AND EXISTS (SELECT FROM {subscriptions.fullname} AS other"
        " WHERE other.user_id = one.user_id AND other.id <> one.id"
        " AND other.status <> ALL(CAST(:not_running AS text[])))"
        " ON CONFLICT DO NOTHING RETURNING subscription_id, user_id"
    )
)
_NOT_RUNNING: Final = sorted(map(str, {Status.NONE, Status.INCOMPLETE, *ENDED}))


class PostgresDuplicates:
    """The marks, in the transaction of this session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def mark(self, user_ids: Collection[UUID]) -> Sequence[Duplicate]:
        """Mark the subscriptions of those among these users who have several running ones."""
        if not user_ids:
            return []
        await self._session.rows(_TAKE_TURNS, {"users": sorted(map(str, user_ids))})
        rows = await self._session.rows(
            _MARK, {"users": list(user_ids), "not_running": _NOT_RUNNING}
        )
        return [Duplicate(*row) for row in rows]
