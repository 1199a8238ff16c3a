"""The subscription aggregates."""

from collections.abc import Collection, Sequence
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

    async def save(self, subscriptions: Sequence[Subscription]) -> None:
        """Insert or update by reference. The caller holds the lease of their partitions."""
        ...
