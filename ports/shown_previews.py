"""What users were shown of changes of plan, so that they are charged that and nothing else."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ShownPreview:
    """What a change to `price_ref` was said to come to, in minor currency units.

    `sum_of_lines` is negative where the change is a credit; `due_now` is never.
    """

    subscription_id: UUID
    price_ref: str
    proration_date: datetime
    old_price_ref: str
    due_now: int
    sum_of_lines: int
    currency: str
    shown_at: datetime


class ShownPreviews(Protocol):
    """Remembers previews for a day. Any method may raise StorageUnavailable."""

    async def remember(self, preview: ShownPreview) -> bool:
        """Keep it; False where another amount was shown for this price and date before."""
        ...

    async def find(
        self, subscription_id: UUID, price_ref: str, proration_date: datetime
    ) -> ShownPreview | None:
        """What was shown for exactly this, if anything."""
        ...
