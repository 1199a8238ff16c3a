"""Everything that is kept about a subscription or a user, for an operator to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.customer import Customer
from domain.subscription import Subscription


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """A webhook and what became of it. `state` is a State or an Outcome; `created` is the
    provider's stamp.
    """

    event_id: str
    event_type: str
    ordering_key: str
    state: str
    created: datetime
    received_at: datetime
    processed_at: datetime | None
    attempts: int
    next_attempt_at: datetime | None
    waiting_for: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """A message and whether it was published, or given up because no queue wanted it."""

    id: UUID
    subscription_id: UUID
    version: int
    type: str
    body: bytes
    written_at: datetime
    published_at: datetime | None
    unrouted_at: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """What is kept, each in the order in which it came to be."""

    subscriptions: Sequence[Subscription]
    customers: Sequence[Customer]
    webhooks: Sequence[WebhookRecord]
    messages: Sequence[MessageRecord]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept at all."""
        return not (self.subscriptions or self.customers or self.webhooks or self.messages)


class Histories(Protocol):
    """Reads histories; slow where much is kept, and in nobody's way."""

    async def about(self, name: str) -> History:
        """What is kept about this: the provider's reference of a subscription or a customer, our
        id of a subscription, or a user's id. Raises StorageUnavailable.
        """
        ...
