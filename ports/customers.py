"""Which user is which customer at the provider."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from domain.customer import Customer


class Customers(Protocol):
    """The links between users and customers, inside a unit of work.

    A user has at most one link that is not retired; a customer reference belongs to one row.
    """

    async def reference_of(self, user_id: UUID) -> str | None:
        """The customer reference the user is linked to now, or None."""
        ...

    async def exists(self, user_id: UUID) -> bool:
        """Whether the user is linked to a customer now."""
        ...

    async def find(
        self, customer_refs: Collection[str], user_ids: Collection[UUID]
    ) -> Sequence[Customer]:
        """Every link with one of these references, and every current link of these users."""
        ...

    async def count_of(self, user_id: UUID) -> int:
        """How many customers the user was ever linked to, retired ones included."""
        ...

    async def save(self, customers: Sequence[Customer]) -> None:
        """Insert or update by customer reference.

        Concurrent savers of one reference both have their say: a known user, a retirement and
        the newest contact survive whoever commits last. Raises ConcurrentChange where the user
        was meanwhile linked to another customer.
        """
        ...
