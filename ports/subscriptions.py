"""The subscription aggregates."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.subscription import Subscription


class Subscriptions(Protocol):
    """The aggregates, inside a unit of work."""

    async def find(self, subscription_refs: Collection[str]) -> Sequence[Subscription]:
        """The subscriptions with these references; unknown references are left out."""
        ...

    async def of_user(self, user_id: UUID) -> Sequence[Subscription]:
        """Every subscription the user ever had, the newest first."""
        ...

    async def references(
        self,
        after: str,
        *,
        limit: int,
        user_id: UUID | None = None,
        subscription_id: UUID | None = None,
    ) -> Sequence[str]:
        """The references, in their own order, of what messages were sent about: those after
        this one, at most so many, of this user or this id alone where one is given.
        """
        ...

    async def unconfirmed(self, begun_before: datetime, after: str, *, limit: int) -> Sequence[str]:
        """The references, in their own order, of what was begun before this and is still
        `incomplete`: those after this one, at most so many.
        """
        ...

    async def hold(
        self, subscription_refs: Collection[str], *, wait: bool
    ) -> Sequence[Subscription]:
        """Keep these as they are until the end of the unit of work: nobody saves them, or writes
        messages about them, before that.

        Those that somebody else is just changing are waited for, or left out. Who waits for one
        while holding another may wait for ever: wait for one at a time.
        """
        ...

    async def save(self, subscriptions: Sequence[Subscription]) -> None:
        """Insert or update by reference. The caller holds the lease of their partitions."""
        ...
