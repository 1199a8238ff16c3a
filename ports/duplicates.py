"""Users who pay twice: it should not happen, and where it does somebody has to be told."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A subscription that runs beside another one of the same user."""

    subscription_id: UUID
    user_id: UUID


class Duplicates(Protocol):
    """Marks kept for an operator, inside a unit of work."""

    async def mark(self, user_ids: Collection[UUID]) -> Sequence[Duplicate]:
        """Mark the subscriptions of those among these users who have several running ones.

        Returns those not marked before. Of two workers that each write one of the subscriptions,
        the later one sees both.
        """
        ...
