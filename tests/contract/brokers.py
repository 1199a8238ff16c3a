"""What can stand behind the port of publishing: a bus within the process and RabbitMQ."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue
from pamqp.common import FieldTable

from adapters.memory.event_publisher import MemoryEventPublisher
from adapters.rabbitmq.event_publisher import EXCHANGE, RabbitMQEventPublisher
from ports.event_publisher import EventPublisher
from ports.outbox import Message
from tests.proxy import Proxy


class Queue(Protocol):
    """Where messages arrive."""

    async def next(self) -> tuple[str, bytes]:
        """Give the id and the body of the next message, once there is one."""
        ...


class Broker(Protocol):
    """A publisher, and the other side of it."""

    @property
    def publisher(self) -> EventPublisher: ...

    async def bind(self, type_: str, *, size: int | None = None) -> Queue:
        """Make a queue for messages of this type; a full one refuses more than `size`."""
        ...

    def away(self) -> AbstractAsyncContextManager[None]:
        """Make the broker unreachable for a while."""
        ...


class _MemoryQueue:
    def __init__(self, queue: asyncio.Queue[Message]) -> None:
        self._queue = queue

    async def next(self) -> tuple[str, bytes]:
        message = await self._queue.get()
        return str(message.id), message.body


class MemoryBroker:
    def __init__(self) -> None:
        self.publisher = MemoryEventPublisher()

    async def bind(self, type_: str, *, size: int | None = None) -> Queue:
        return _MemoryQueue(self.publisher.subscribe({type_}, size=size or 0))

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self.publisher.available = False
        try:
            yield
        finally:
            self.publisher.available = True


class _RabbitMQQueue:
    def __init__(self, queue: AbstractQueue) -> None:
        self._queue = queue

    async def next(self) -> tuple[str, bytes]:
        async with self._queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                return message.message_id or "", message.body
        raise AssertionError("the queue was deleted")


class RabbitMQBroker:
    def __init__(self, proxy: Proxy, channel: AbstractChannel, name: str) -> None:
        self.publisher = RabbitMQEventPublisher(proxy.url)
        self._proxy = proxy
        self._channel = channel
        self._name = name

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, url: str, name: str) -> AsyncIterator[Self]:
        """Connect to the broker; the publisher goes by way of a proxy."""
        async with Proxy(url) as proxy, await aio_pika.connect(url) as connection:
            broker = cls(proxy, await connection.channel(), name)
            yield broker
            await broker.publisher.close()

    async def bind(self, type_: str, *, size: int | None = None) -> Queue:
        limits: FieldTable = {"x-overflow": "reject-publish"}
        if size is not None:
            limits["x-max-length"] = size
        queue = await self._channel.declare_queue(
            f"{self._name}-{type_}", exclusive=True, arguments=limits
        )
        await self._channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        await queue.bind(EXCHANGE, routing_key=type_)
        return _RabbitMQQueue(queue)

    def away(self) -> AbstractAsyncContextManager[None]:
        return self._proxy.cut()
