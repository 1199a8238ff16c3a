"""`idempotency_keys`: what keyed requests were answered with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from adapters.postgres.tables import idempotency_keys as t
from ports.idempotency import Answer, Begun, KeyedRequest, Mismatch, UnderWay

# As long as the provider remembers the keys that we give it. (Stripe: Idempotent requests)
_KEPT_FOR: Final = timedelta(hours=24)
# Longer than the longest request: several calls to the provider, each with time-outs and retries.
_CRASHED_AFTER: Final = timedelta(minutes=5)
# Old keys go a few at a time with the new ones, so nothing else has to remove them.
_REMOVED_AT_ONCE: Final = 100


class PostgresIdempotencyKeys:
    """The keys of all users."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(
        self, request: KeyedRequest, now: datetime
    ) -> Begun | Answer | UnderWay | Mismatch:
        """Begin a request, or say why not; of several at once exactly one begins."""
        statement = insert(t).values(
            user_id=request.user_id, key=request.key, request_hash=request.digest, created_at=now
        )
        new = statement.excluded
        is_old = t.c.created_at < now - _KEPT_FOR
        has_crashed = sa.and_(
            t.c.status.is_(None),
            t.c.request_hash == new.request_hash,
            t.c.created_at < now - _CRASHED_AFTER,
        )
        with storage_errors():
            async with self._engine.begin() as connection:
                begun = await connection.scalar(
                    statement.on_conflict_do_update(
                        index_elements=[t.c.user_id, t.c.key],
                        set_={
                            "request_hash": new.request_hash,
                            "status": None,
                            "media_type": None,
                            "body": None,
                            "created_at": new.created_at,
                        },
                        where=sa.or_(is_old, has_crashed),
                    ).returning(t.c.user_id)
                )
                if begun is not None:
                    await connection.execute(_remove_old(now - _KEPT_FOR))
                    return Begun()
                found = (await connection.execute(sa.select(t).where(_is(request)))).one_or_none()
        if found is None or (found.status is None and found.request_hash == request.digest):
            return UnderWay()  # without a row: it was just forgotten, so trying again is right
        if found.request_hash != request.digest:
            return Mismatch()
        return Answer(found.status, found.media_type, found.body)

    async def finish(self, request: KeyedRequest, answer: Answer) -> None:
        """Keep the answer, to be given again."""
        with storage_errors():
            async with self._engine.begin() as connection:
                await connection.execute(
                    sa.update(t)
                    .where(_is(request))
                    .values(status=answer.status, media_type=answer.media_type, body=answer.body)
                )

    async def forget(self, request: KeyedRequest) -> None:
        """Let the key be used again: nothing was done."""
        with storage_errors():
            async with self._engine.begin() as connection:
                await connection.execute(sa.delete(t).where(_is(request)))


def _is(request: KeyedRequest) -> sa.ColumnElement[bool]:
    return sa.and_(t.c.user_id == request.user_id, t.c.key == request.key)


def _remove_old(before: datetime) -> sa.Delete:
    old = (
        sa.select(t.c.user_id, t.c.key)
        .where(t.c.created_at < before)
        .limit(_REMOVED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    return sa.delete(t).where(sa.tuple_(t.c.user_id, t.c.key).in_(old))
