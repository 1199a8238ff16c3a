"""`outbox_events`: what is to be published."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from adapters.postgres.arrays import unnest
from adapters.postgres.fence import SHARE_IS_HELD, hold_share, holder
from adapters.postgres.session import Session
from adapters.postgres.statements import AFTER, Statement, Write
from adapters.postgres.tables import outbox_events as t
from ports.outbox import Message
from ports.partitions import Share, partition_of
from ports.wakeups import Stage

_ADDED: Final = (
    "id",
    "subscription_id",
    "version",
    "type",
    "body",
    "ordering_key",
    "partition",
    "must_be_routed",
)
# What takes no number gets one below zero, so that a subscription may have several of them. The
# caller holds the subscription's row or its partition, so that nobody takes the same one.
_NUMBER: Final = (
    "CASE WHEN new.version > 0 THEN new.version ELSE (SELECT LEAST(min(o.version), 0) - 1"
    f" FROM {t.fullname} o WHERE o.subscription_id = new.subscription_id) END"
)
# A subscription is saved before its messages are written: that waits for whoever holds it in order
# to number messages of his own.
_ADD: Final = Write(
    "written",
    f"INSERT INTO {t.fullname} ({', '.join(_ADDED)})"
    f" SELECT {', '.join(_NUMBER if name == 'version' else name for name in _ADDED)}"
    f" FROM {unnest(t, _ADDED)} WHERE {AFTER} RETURNING id",
    tell=f"SELECT CAST(pg_notify('{Stage.OUTBOX}', '') AS text) FROM written"
    " WHERE CAST(:wake AS boolean) LIMIT 1",
)
# In the order of Message's fields.
_CLAIM: Final = Statement(
    sa.text(
        "SELECT id, subscription_id, ordering_key, GREATEST(version, 0) AS version, type, body,"
        " must_be_routed"
        f" FROM {t.fullname} WHERE published_at IS NULL AND unrouted_at IS NULL"
        " AND partition = ANY(CAST(:partitions AS smallint[]))"
        " AND subscription_id <> ALL(CAST(:excluding AS uuid[]))"
        f" AND EXISTS ({SHARE_IS_HELD})"
        " ORDER BY seq LIMIT :limit"
    )
)
# Still waiting, in words that no index answers to: the planner believes that next to nothing waits,
# and for every batch would look through the whole backlog instead of up a few hundred ids.
_STILL_WAITS: Final = "CASE WHEN published_at IS NULL THEN unrouted_at IS NULL ELSE false END"
_MARK_PUBLISHED: Final = Statement(
    sa.text(
        f"UPDATE {t.fullname} SET published_at = :at WHERE id = ANY(CAST(:ids AS uuid[]))"
        f" AND {_STILL_WAITS}"
    )
)
_MARK_UNROUTED: Final = Statement(
    sa.text(
        f"UPDATE {t.fullname} SET unrouted_at = :at WHERE id = ANY(CAST(:ids AS uuid[]))"
        f" AND {_STILL_WAITS}"
    )
)


class PostgresOutbox:
    """The messages, in the transaction of this session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, messages: Sequence[Message], *, wake: bool = True) -> None:
        """Write them down, in the order given."""
        if not messages:
            return
        columns = {
            "id": [message.id for message in messages],
            "subscription_id": [message.subscription_id for message in messages],
            "version": [message.version for message in messages],
            "type": [message.type for message in messages],
            "body": [message.body for message in messages],
            "ordering_key": [message.ordering_key for message in messages],
            "partition": [partition_of(message.ordering_key) for message in messages],
            "must_be_routed": [message.must_be_routed for message in messages],
        }
        await self._session.later(_ADD, columns | {"wake": wake})

    async def claim(
        self, share: Share, *, limit: int, excluding: Collection[UUID] = ()
    ) -> Sequence[Message]:
        """The oldest unpublished messages of this share, in order. Raises LeaseLost."""
        found = await self._session.rows(
            _CLAIM,
            {
                **holder(share),
                "partitions": sorted(share.partitions),
                "excluding": list(excluding),
                "limit": limit,
            },
        )
        messages = [Message(*row) for row in found]
        if not messages:
            await hold_share(self._session, share)
        return messages

    async def mark_published(self, message_ids: Collection[UUID], at: datetime) -> None:
        """Note that the broker has confirmed exactly these."""
        await self._mark(_MARK_PUBLISHED, message_ids, at)

    async def mark_unrouted(self, message_ids: Collection[UUID], at: datetime) -> None:
        """Note that no queue wanted exactly these, and that they are given up."""
        await self._mark(_MARK_UNROUTED, message_ids, at)

    async def _mark(
        self, statement: Statement, message_ids: Collection[UUID], at: datetime
    ) -> None:
        if message_ids:
            await self._session.rows(statement, {"ids": list(message_ids), "at": at})
