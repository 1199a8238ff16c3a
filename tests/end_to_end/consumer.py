"""A consumer that shares no code with the service: plain AMQP, a quorum queue, plain JSON."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

PATIENCE = 60.0  # seconds


@dataclass
class Inbox:
    """What arrived, as it arrived."""

    messages: list[AbstractIncomingMessage] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Keep a message and acknowledge it."""
        async with message.process(), self.arrived:
            self.messages.append(message)
            self.arrived.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE), self.arrived:
            await self.arrived.wait_for(condition)

    def events(self, users: set[str]) -> dict[str, list[dict[str, Any]]]:
        """The events of these users, per subscription, in the order of their first arrival.

        A repeat must be the same message to the byte.
        """
        seen: dict[str, bytes] = {}
        found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for message in self.messages:
            event = json.loads(message.body)
            if event["subject"] not in users:
                continue
            if event["id"] in seen:
                assert seen[event["id"]] == message.body
                continue
            seen[event["id"]] = message.body
            found[event["data"]["subscriptionId"]].append(event)
        return dict(found)


@asynccontextmanager
async def consuming(url: str, name: str) -> AsyncIterator[Inbox]:
    """Consume everything the service publishes, from a queue of this name."""
    inbox = Inbox()
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(
            "payments.events", aio_pika.ExchangeType.TOPIC, durable=True
        )
        queue = await channel.declare_queue(
            name, durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(exchange, routing_key="payments.#")
        await queue.consume(inbox.take)
        try:
            yield inbox
        finally:
            # aio-pika asks "if unused, if empty" by default, which quorum queues do not know.
            await queue.delete(if_unused=False, if_empty=False)
