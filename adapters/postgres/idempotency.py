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
# Longer than any request takes, which has a deadline.
_CRASHED_AFTER: Final = timedelta(minutes=1)
# Old keys go a few at a time with the new ones, so nothing else has to remove them.
_REMOVED_AT_ONCE: Final = 100


class PostgresIdempotencyKeys:
    """The keys of all users.

    `created_at` is when the request was begun, by whom it is owned now: who takes it over does so
    a minute later at least, so no two owners share it.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(
        self, request: KeyedRequest, now: datetime, *, replayed_for: timedelta
    ) -> Begun | Answer | UnderWay | Mismatch:
        """Begin a request, or say why not; of several at once exactly one begins."""
        statement = insert(t).values(
            user_id=request.user_id, key=request.key, request_hash=request.digest, created_at=now
        )
        new = statement.excluded
        is_old = t.c.created_at < now - _KEPT_FOR
        may_be_repeated = sa.and_(
            t.c.request_hash == new.request_hash,
            t.c.created_at
            < sa.case(
                (t.c.status.is_(None), sa.literal(now - _CRASHED_AFTER)),
                else_=sa.literal(now - replayed_for),
            ),
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
                        where=sa.or_(is_old, may_be_repeated),
                    ).returning(t.c.created_at)
                )
                if begun is not None:
                    await connection.execute(_remove_old(now - _KEPT_FOR))
                    return Begun(begun)
                found = (await connection.execute(sa.select(t).where(_is(request)))).one_or_none()
        if found is None or (found.status is None and found.request_hash == request.digest):
            return UnderWay()  # without a row: it was just forgotten, so trying again is right
        if found.request_hash != request.digest:
            return Mismatch()
        return Answer(found.status, found.media_type, found.body)

    async def finish(self, request: KeyedRequest, begun: Begun, answer: Answer) -> bool:
        """Keep the answer, to be given again; False where another has taken the request over."""
        with storage_errors():
            async with self._engine.begin() as connection:
                kept = await connection.execute(
                    sa.update(t)
                    .where(_is(request), t.c.created_at == begun.since)
                    .values(status=answer.status, media_type=answer.media_type, body=answer.body)
                )
        return kept.rowcount == 1

    async def forget(self, request: KeyedRequest, begun: Begun) -> None:
        """Let the key be used again, unless another has taken the request over."""
        with storage_errors():
            async with self._engine.begin() as connection:
                await connection.execute(
                    sa.delete(t).where(_is(request), t.c.created_at == begun.since)
                )


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
