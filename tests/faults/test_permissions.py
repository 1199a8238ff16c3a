"""The user that docs/least-privilege.md makes at the broker may do what the service does, and no
more. Only a broker of our own takes commands.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused

from adapters.rabbitmq.event_publisher import RabbitMQEventPublisher
from ports.event_publisher import Delivery
from sandbox.servers import PrivateRabbitMQ
from tests.examples import message
from tests.faults.consumer import QUEUE
from tests.faults.world import on_servers

DOCUMENT = Path(__file__).parents[2] / "docs" / "least-privilege.md"
USER, PASSWORD = "payments", "of-the-user-under-test"


@pytest.fixture
async def url(broker: PrivateRabbitMQ) -> str:
    """Give the address for a user who was made as documented."""
    documented = re.search(r"rabbitmqctl (set_permissions .*)", DOCUMENT.read_text())
    assert documented is not None
    await on_servers(broker.control, "add_user", USER, PASSWORD)
    await on_servers(broker.control, *shlex.split(documented[1]))
    address = urlsplit(broker.url).netloc.rpartition("@")[2]
    return f"amqp://{USER}:{PASSWORD}@{address}/"


async def _read(channel: AbstractChannel) -> object:
    # To learn that a queue is there takes no right; to read it does.
    queue = await channel.get_queue(QUEUE, ensure=False)
    return await queue.get(fail=False)


async def test_the_documented_user_may_publish_and_nothing_else(url: str) -> None:
    publisher = RabbitMQEventPublisher(url)
    sent = message()
    try:
        assert await publisher.publish([sent]) == {sent.id: Delivery.CONFIRMED}
    finally:
        await publisher.close()

    forbidden: list[Callable[[AbstractChannel], Awaitable[object]]] = [
        lambda channel: channel.declare_queue("mine", durable=True),
        lambda channel: channel.declare_exchange("mine", durable=True),
        lambda channel: channel.queue_delete(QUEUE),
        _read,
    ]
    connection = await aio_pika.connect(url)
    async with connection:
        for attempt in forbidden:
            with pytest.raises(ChannelAccessRefused):
                await attempt(await connection.channel())
