"""What is to be published."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from adapters.memory.store import MessageRow, Tables, Transaction
from ports.outbox import Message
from ports.partitions import Share, partition_of
from ports.wakeups import Stage


class MemoryOutbox:
    """The messages, in this transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, messages: Sequence[Message], *, wake: bool = True) -> None:
        """Write them down, in the order given."""
        new = {message.id: MessageRow(message) for message in messages}
        if new:
            self._transaction.write(
                lambda tables: tables.messages.update(new), wakes=Stage.OUTBOX if wake else None
            )

    async def claim(
        self, share: Share, *, limit: int, excluding: Collection[UUID] = ()
    ) -> Sequence[Message]:
        """The oldest unpublished messages of this share, in order. Raises LeaseLost."""
        self._transaction.rely_on(share)
        pending = [
            row.message
            for row in self._transaction.read().messages.values()
            if row.published_at is None
            and row.unrouted_at is None
            and partition_of(row.message.ordering_key) in share.partitions
            and row.message.subscription_id not in excluding
        ]
        return pending[:limit]

    async def mark_published(self, message_ids: Collection[UUID], at: datetime) -> None:
        """Note that the broker has confirmed exactly these."""
        self._mark(message_ids, lambda row: replace(row, published_at=at))

    async def mark_unrouted(self, message_ids: Collection[UUID], at: datetime) -> None:
        """Note that no queue wanted exactly these, and that they are given up."""
        self._mark(message_ids, lambda row: replace(row, unrouted_at=at))

    def _mark(
        self, message_ids: Collection[UUID], marked: Callable[[MessageRow], MessageRow]
    ) -> None:
        ids = set(message_ids)

        def write(tables: Tables) -> None:
            for id_ in ids & tables.messages.keys():
                row = tables.messages[id_]
                if row.published_at is None and row.unrouted_at is None:
                    tables.messages[id_] = marked(row)

        self._transaction.write(write)
