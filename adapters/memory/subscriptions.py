"""The aggregates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import UUID

from adapters.memory.store import Tables, Transaction
from domain.subscription import Status, Subscription


class MemorySubscriptions:
    """The aggregates, in this transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def find(self, subscription_refs: Collection[str]) -> Sequence[Subscription]:
        """The subscriptions with these references; unknown references are left out."""
        known = self._transaction.read().subscriptions
        return [known[reference].draft() for reference in subscription_refs if reference in known]

    async def of_user(self, user_id: UUID) -> Sequence[Subscription]:
        """Every subscription the user ever had, the newest first."""
        known = self._transaction.read().subscriptions.values()
        return sorted(
            (subscription.draft() for subscription in known if subscription.user_id == user_id),
            key=lambda subscription: subscription.facts.start or _LONG_AGO,
            reverse=True,
        )

    async def references(
        self,
        after: str,
        *,
        limit: int,
        user_id: UUID | None = None,
        subscription_id: UUID | None = None,
    ) -> Sequence[str]:
        """The next references of what messages were sent about, in their own order."""
        found = sorted(
            reference
            for reference, known in self._transaction.read().subscriptions.items()
            if reference > after
            and known.version > 0
            and user_id in (None, known.user_id)
            and subscription_id in (None, known.id)
        )
        return found[:limit]

    async def unconfirmed(self, begun_before: datetime, after: str, *, limit: int) -> Sequence[str]:
        """The next references of what was begun before this and is still `incomplete`."""
        found = sorted(
            reference
            for reference, known in self._transaction.read().subscriptions.items()
            if reference > after
            and known.status == Status.INCOMPLETE
            and known.facts.start is not None
            and known.facts.start < begun_before
        )
        return found[:limit]

    async def hold(
        self, subscription_refs: Collection[str], *, wait: bool
    ) -> Sequence[Subscription]:
        """Find them: between this and the commit no other transaction gets a turn."""
        return await self.find(subscription_refs)

    async def save(self, subscriptions: Sequence[Subscription]) -> None:
        """Insert or update by reference. The caller holds the lease of their partitions."""
        saved = {s.subscription_ref: s.draft() for s in subscriptions}

        def write(tables: Tables) -> None:
            tables.subscriptions.update(saved)

        self._transaction.write(write)


_LONG_AGO = datetime.min.replace(tzinfo=UTC)
