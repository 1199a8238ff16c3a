"""The users service's side: a quorum queue, read through every failure of the broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractIncomingMessage,
    AbstractQueue,
)
from aio_pika.connection import make_url
from aio_pika.exceptions import AMQPError

PATIENCE = 300.0  # seconds
CONNECT_TIMEOUT = 5.0
RECONNECT_PAUSE = 0.1
HEARTBEAT = 5  # a broker that is frozen is left after two of these
QUEUE = "users"


@dataclass
class Consumer:
    """Keeps the bodies of all messages in the order of their arrival, repeats included."""

    url: str
    arrived: list[bytes] = field(default_factory=list)
    _times: Counter[str] = field(default_factory=Counter)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def repeats(self) -> int:
        """How many messages came that had come before."""
        return len(self.arrived) - len(set(self.arrived))

    def times(self, message_id: str) -> int:
        """How often this message has come."""
        return self._times[message_id]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Consume until the block ends; the queue is bound by the time it begins."""
        bound = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._consume(bound))
            async with asyncio.timeout(PATIENCE):
                await bound.wait()
            yield
            task.cancel()

    async def received(self, more: int) -> None:
        """Return once this many more messages have arrived."""
        enough = len(self.arrived) + more
        await self.until(lambda: len(self.arrived) >= enough)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(condition)

    async def _consume(self, bound: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(AMQPError, OSError, TimeoutError, RuntimeError):
                connection = aio_pika.Connection(make_url(self.url, heartbeat=HEARTBEAT))
                try:
                    await connection.connect(timeout=CONNECT_TIMEOUT)
                    async with asyncio.timeout(CONNECT_TIMEOUT):
                        gone = await self._subscribe(connection)
                    bound.set()
                    await gone.wait()
                finally:
                    with contextlib.suppress(Exception):  # in whatever state it is
                        await asyncio.wait_for(connection.close(), CONNECT_TIMEOUT)
            await asyncio.sleep(RECONNECT_PAUSE)

    async def _subscribe(self, connection: AbstractConnection) -> asyncio.Event:
        gone = asyncio.Event()
        channel = await connection.channel()
        for closing in (connection.close_callbacks, channel.close_callbacks):
            closing.add(lambda *_: gone.set())
        await channel.set_qos(prefetch_count=200)
        queue = await _declare(channel)
        await queue.consume(self._take)
        return gone

    async def _take(self, message: AbstractIncomingMessage) -> None:
        async with self._news:
            self.arrived.append(message.body)
            self._times[json.loads(message.body)["id"]] += 1
            self._news.notify_all()
        # Without a connection the message comes again, as it does to any consumer.
        with contextlib.suppress(AMQPError, OSError, RuntimeError):
            await message.ack()


async def declare_queue(url: str, *, anew: bool = False) -> None:
    """Make the queue, with a replica on every node that runs now."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        if anew:
            await channel.queue_delete(QUEUE)
        await _declare(channel)


async def purge_queue(url: str) -> None:
    """Throw away what is left of a test that failed: it is no other's failure."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        queue = await _declare(channel)
        await queue.purge()


async def _declare(channel: AbstractChannel) -> AbstractQueue:
    exchange = await channel.declare_exchange(
        "payments.events", aio_pika.ExchangeType.TOPIC, durable=True
    )
    queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    await queue.bind(exchange, routing_key="payments.#")
    return queue
