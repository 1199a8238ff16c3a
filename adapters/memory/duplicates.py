"""Marks for an operator."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from adapters.memory.store import Transaction
from domain.subscription import Status, Subscription
from ports.duplicates import Duplicate


class MemoryDuplicates:
    """The marks, in this transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def mark(self, user_ids: Collection[UUID]) -> Sequence[Duplicate]:
        """Mark the subscriptions of those among these users who have several running ones."""
        tables = self._transaction.read()
        found = []
        for user_id in user_ids:
            running = [
                s for s in tables.subscriptions.values() if s.user_id == user_id and _runs(s)
            ]
            if len(running) > 1:
                found += [
                    Duplicate(s.id, user_id) for s in running if s.id not in tables.duplicates
                ]
        marked = {duplicate.subscription_id for duplicate in found}
        self._transaction.write(lambda tables: tables.duplicates.update(marked))
        return found


def _runs(subscription: Subscription) -> bool:
    return not subscription.has_ended and subscription.status not in (
        Status.NONE,
        Status.INCOMPLETE,
    )
