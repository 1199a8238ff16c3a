"""One stage of the worker at full speed, and what its publishing is compared with.

`python -m benchmarks.stages drain` works off the inbox, `relay` empties the outbox, both as the
worker does and with everything they log; `raw` publishes what waits in the outbox with the
service's own publisher, `aio_pika` does it as one would without it. Each prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

import aio_pika
import asyncpg

from adapters.http import server
from adapters.rabbitmq.event_publisher import CONTENT_TYPE, EXCHANGE
from ports.event_publisher import Delivery
from ports.outbox import Message
from service import logs, settings
from service.wiring import Container

# As many as the worker publishes at a time.
BATCH: Final = 1_000
WINDOW: Final = 500
# One for each lane.
_CONNECTIONS: Final = 2


async def main(stage: str) -> None:
    """Run one stage and print what it took."""
    loaded = settings.load("serve", os.environ)
    logs.configure(loaded.log_format, loaded.log_level)
    container = Container(settings=loaded)
    run = {"drain": _drain, "relay": _relay, "raw": _raw, "aio_pika": _aio_pika}[stage]
    count, seconds, cpu = await run(container)
    await container.event_publisher().close()
    await container.partitions().release()
    await container.engine().dispose()
    sys.stdout.write(json.dumps({"count": count, "seconds": seconds, "cpu": cpu}) + "\n")


async def _drain(container: Container) -> tuple[int, float, float]:
    container.prices().is_learned = True
    await container.partitions().renew()
    await _connect(container)
    return await _until_empty(container.process_inbox().run_once)


async def _relay(container: Container) -> tuple[int, float, float]:
    await container.partitions().renew()
    await _connect(container)
    await container.event_publisher().publish([])  # connects
    return await _until_empty(container.relay_outbox().run_once)


async def _connect(container: Container) -> None:
    """Have each lane's connection made, and the driver look up the types it needs on it: what a
    worker does once is not what a batch takes.
    """
    async with AsyncExitStack() as connected:
        for _ in range(_CONNECTIONS):
            uow = await connected.enter_async_context(container.unit_of_work())
            await uow.inbox.claim(container.partitions().held(), limit=0)
            await uow.outbox.claim(container.partitions().held(), limit=0)


async def _raw(container: Container) -> tuple[int, float, float]:
    messages = await _waiting(container)
    publisher = container.event_publisher()
    await publisher.publish([])
    batches = [messages[start : start + BATCH] for start in range(0, len(messages), BATCH)]

    async def publish() -> int:
        if not batches:
            return 0
        judged = await publisher.publish(batches.pop())
        return sum(delivery is Delivery.CONFIRMED for delivery in judged.values())

    return await _until_empty(publish)


async def _aio_pika(container: Container) -> tuple[int, float, float]:
    messages = list(await _waiting(container))
    connection = await aio_pika.connect(os.environ["RABBITMQ_URL"])
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    exchange = await channel.get_exchange(EXCHANGE)

    async def publish_some() -> int:
        published = 0
        while messages:
            message = messages.pop()
            await exchange.publish(
                aio_pika.Message(
                    message.body,
                    message_id=str(message.id),
                    type=message.type,
                    content_type=CONTENT_TYPE,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                ),
                routing_key=message.type,
                mandatory=True,
            )
            published += 1
        return published

    async def publish() -> int:
        return sum(await asyncio.gather(*(publish_some() for _ in range(WINDOW))))

    try:
        return await _until_empty(publish)
    finally:
        await connection.close()


async def _waiting(container: Container) -> Sequence[Message]:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    rows = await connection.fetch(
        "SELECT id, subscription_id, ordering_key, version, type, body, must_be_routed"
        " FROM payments.outbox_events WHERE published_at IS NULL"
    )
    await connection.close()
    return [Message(**row) for row in rows]


async def _until_empty(run_once: Callable[[], Awaitable[int]]) -> tuple[int, float, float]:
    done, began, cpu = 0, time.perf_counter(), time.process_time()
    while count := await run_once():
        done += count
    return done, time.perf_counter() - began, time.process_time() - cpu


if __name__ == "__main__":
    server.run(main(sys.argv[1]))
