"""Erases and removes what was kept long enough. The age is told by the database's clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.arrays import unnest
from adapters.postgres.engine import storage_errors
from adapters.postgres.tables import idempotency_keys, outbox_events, stripe_webhook_events
from ports.inbox import State
from ports.retention import Kept, Swept

_WEBHOOKS: Final = stripe_webhook_events.fullname
_MESSAGES: Final = outbox_events.fullname
_ANSWERS: Final = idempotency_keys.fullname

# Each condition is an index's own, and `created_at` its order.
_OLD: Final = "created_at < now() - CAST(:age AS interval)"
_ERASABLE: Final = f"processed AND payload IS NOT NULL AND {_OLD}"
# Whatever was looked at and is not done with: what nobody has looked at stays as it came.
_MASKABLE: Final = (
    f"NOT processed AND (outcome = '{State.DEAD}' OR next_attempt_at IS NOT NULL)"
    f" AND masked_at IS NULL AND {_OLD}"
)
_FORGETTABLE: Final = f"processed AND {_OLD}"
_DONE: Final = f"(published_at IS NOT NULL OR unrouted_at IS NOT NULL) AND {_OLD}"


def _oldest(table: str, condition: str) -> str:
    """The oldest rows that nobody works on just now: what is locked is left for the next time."""
    return (
        f"WITH old AS (SELECT id FROM {table} WHERE {condition}"
        " ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)"
    )


ERASE: Final = sa.text(
    f"{_oldest(_WEBHOOKS, _ERASABLE)} UPDATE {_WEBHOOKS} AS e"
    " SET payload = NULL, error_message = NULL FROM old WHERE e.id = old.id"
)
_UNFINISHED: Final = sa.text(
    f"SELECT id, payload FROM {_WEBHOOKS} WHERE {_MASKABLE}"
    " ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED"
)
_MASK: Final = sa.text(
    f"UPDATE {_WEBHOOKS} AS e SET payload = new.payload, masked_at = now()"
    f" FROM {unnest(stripe_webhook_events, ('id', 'payload'))} WHERE e.id = new.id"
)
FORGET: Final = sa.text(
    f"{_oldest(_WEBHOOKS, _FORGETTABLE)} DELETE FROM {_WEBHOOKS} AS e USING old WHERE e.id = old.id"
)
REMOVE: Final = sa.text(
    f"{_oldest(_MESSAGES, _DONE)} DELETE FROM {_MESSAGES} AS e USING old WHERE e.id = old.id"
)

# One of a request under way is never so old.
DROP: Final = sa.text(
    f"WITH old AS (SELECT user_id, key FROM {_ANSWERS} WHERE {_OLD}"
    " ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)"
    f" DELETE FROM {_ANSWERS} AS e USING old WHERE (e.user_id, e.key) = (old.user_id, old.key)"
)


class PostgresRetention:
    """Old rows of the inbox, the outbox and the keys of requests."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def erase_payloads(self, age: timedelta, *, limit: int) -> int:
        """Erase payloads and errors of processed webhooks."""
        return await self._change(ERASE, age, limit)

    async def mask_payloads(
        self, age: timedelta, mask: Callable[[bytes], bytes], *, limit: int
    ) -> int:
        """Take out of webhooks that wait or were given up what `mask` takes out."""
        with storage_errors():
            async with self._engine.begin() as connection:
                found = await connection.execute(_UNFINISHED, {"age": age, "limit": limit})
                rows = [(id_, mask(payload)) for id_, payload in found]
                if rows:
                    ids, payloads = zip(*rows, strict=True)
                    await connection.execute(_MASK, {"id": ids, "payload": payloads})
        return len(rows)

    async def remove_webhooks(self, age: timedelta, *, limit: int) -> int:
        """Remove processed webhooks altogether."""
        return await self._change(FORGET, age, limit)

    async def remove_messages(self, age: timedelta, *, limit: int) -> int:
        """Remove messages that were published or given up."""
        return await self._change(REMOVE, age, limit)

    async def remove_answers(self, age: timedelta, *, limit: int) -> int:
        """Remove what requests with a key were answered with, and the key."""
        return await self._change(DROP, age, limit)

    async def count(self, kept: Kept) -> Swept:
        """How many there are that are too old now."""
        with storage_errors():
            async with self._engine.connect() as connection:

                async def old(table: str, condition: str, age: timedelta) -> int:
                    counted = sa.text(f"SELECT count(*) FROM {table} WHERE {condition}")
                    return await connection.scalar(counted, {"age": age}) or 0

                return Swept(
                    payloads=await old(_WEBHOOKS, _ERASABLE, kept.payloads),
                    masked=await old(_WEBHOOKS, _MASKABLE, kept.payloads),
                    event_ids=await old(_WEBHOOKS, _FORGETTABLE, kept.event_ids),
                    messages=await old(_MESSAGES, _DONE, kept.messages),
                    answers=await old(_ANSWERS, _OLD, kept.answers),
                )

    async def _change(self, statement: sa.TextClause, age: timedelta, limit: int) -> int:
        with storage_errors():
            async with self._engine.begin() as connection:
                changed = await connection.execute(statement, {"age": age, "limit": limit})
        return changed.rowcount
