"""A bus within the process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from ports.event_publisher import BrokerUnavailable, Delivery
from ports.outbox import Message


class MemoryEventPublisher:
    """Hands messages to the queues that want them. Not `available`: the broker is away."""

    def __init__(self) -> None:
        self.available = True
        self._queues: list[tuple[frozenset[str] | None, asyncio.Queue[Message]]] = []

    def subscribe(
        self, types: Collection[str] | None = None, *, size: int = 0
    ) -> asyncio.Queue[Message]:
        """A queue for messages of these types, or of all; a full one refuses more than `size`."""
        queue: asyncio.Queue[Message] = asyncio.Queue(size)
        self._queues.append((None if types is None else frozenset(types), queue))
        return queue

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        """Send these messages; what became of each."""
        if not self.available:
            raise BrokerUnavailable("the broker was made unavailable")
        return {message.id: self._deliver(message) for message in messages}

    async def close(self) -> None:
        """There is no connection."""

    def _deliver(self, message: Message) -> Delivery:
        queues = [queue for types, queue in self._queues if types is None or message.type in types]
        if not queues:
            return Delivery.UNROUTABLE
        if any(queue.full() for queue in queues):
            return Delivery.REFUSED
        for queue in queues:
            queue.put_nowait(message)
        return Delivery.CONFIRMED
