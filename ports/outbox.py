"""What is to be published: written with the change it tells of, sent in order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ports.partitions import Share


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a subscription. `type` is its routing key; `body` is final.

    `ordering_key` is the provider's reference of the subscription: it decides the partition.
    `version` is its number among the subscription's messages; 0 where it takes none, and then
    there may be several. `must_be_routed`: without a queue to take it, it is held back instead of
    given up.
    """

    id: UUID
    subscription_id: UUID
    ordering_key: str
    version: int
    type: str
    body: bytes
    must_be_routed: bool


class Outbox(Protocol):
    """The messages to be published, inside a unit of work."""

    async def add(self, messages: Sequence[Message], *, wake: bool = True) -> None:
        """Write them down, in the order given, and wake the relays of all workers.

        Without `wake` whoever holds their partitions sees to them.
        """
        ...

    async def claim(
        self, share: Share, *, limit: int, excluding: Collection[UUID] = ()
    ) -> Sequence[Message]:
        """The oldest unpublished messages of these partitions, in order.

        Subscriptions in `excluding` are passed over. Raises LeaseLost where the
        share is no longer this worker's.
        """
        ...

    async def mark_published(self, message_ids: Collection[UUID], at: datetime) -> None:
        """Note that the broker has confirmed exactly these; one that is done with stays as it is,
        because another worker has seen to it.
        """
        ...

    async def mark_unrouted(self, message_ids: Collection[UUID], at: datetime) -> None:
        """Note that no queue wanted exactly these, and that they are given up; one that is done
        with stays as it is.
        """
        ...
