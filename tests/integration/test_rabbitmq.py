"""Publishing to RabbitMQ: what is on the wire, and what becomes of it when the broker fails."""

import asyncio
import contextlib
import gc
import logging
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelClosed, ChannelPreconditionFailed
from aiormq.connection import FrameReceiver

from adapters.rabbitmq import batch_channel, event_publisher
from adapters.rabbitmq.event_publisher import EXCHANGE, RabbitMQEventPublisher
from ports.event_publisher import BrokerUnavailable, Delivery
from sandbox.servers import PrivateRabbitMQ
from tests.documents import ROOT, commands_of, program_of
from tests.examples import message
from tests.proxy import Proxy

# Seconds after which what is waited for has failed to happen.
PATIENCE = 20.0


@pytest.fixture
async def channel(rabbitmq_url: str) -> AsyncIterator[AbstractChannel]:
    """Give the channel of somebody else on the broker."""
    async with await aio_pika.connect(rabbitmq_url) as connection:
        yield await connection.channel()


@pytest.fixture
async def publisher(rabbitmq_url: str) -> AsyncIterator[RabbitMQEventPublisher]:
    publisher = RabbitMQEventPublisher(rabbitmq_url)
    yield publisher
    await publisher.close()


@pytest.fixture
async def proxy(rabbitmq_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(rabbitmq_url) as proxy:
        yield proxy


@pytest.fixture
async def queue(channel: AbstractChannel, unique_name: str) -> AbstractQueue:
    """Give a queue for messages whose type is `unique_name`."""
    return await bound(channel, unique_name, unique_name)


async def bound(channel: AbstractChannel, name: str, routing_key: str) -> AbstractQueue:
    queue = await channel.declare_queue(name, exclusive=True)
    await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    await queue.bind(EXCHANGE, routing_key)
    return queue


async def next_of(queue: AbstractQueue) -> AbstractIncomingMessage:
    async with asyncio.timeout(PATIENCE), queue.iterator() as messages:
        async for received in messages:
            return received
    raise AssertionError("the queue was deleted")


async def test_the_exchange_is_made_where_it_is_missing_durable_and_by_topic(
    publisher: RabbitMQEventPublisher, channel: AbstractChannel, rabbitmq_url: str
) -> None:
    await channel.exchange_delete(EXCHANGE)

    await publisher.publish([message()])

    await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    for other in ({"type": "topic", "durable": False}, {"type": "direct", "durable": True}):
        async with await aio_pika.connect(rabbitmq_url) as connection:
            trial = await connection.channel()
            with pytest.raises(ChannelPreconditionFailed):
                # mypy takes each of the mixed values for every parameter.
                await trial.declare_exchange(EXCHANGE, **other)  # type: ignore[arg-type]


async def test_an_exchange_that_is_there_already_is_used_with_its_bindings(
    publisher: RabbitMQEventPublisher, queue: AbstractQueue, rabbitmq_url: str, unique_name: str
) -> None:
    another = RabbitMQEventPublisher(rabbitmq_url)
    first, second = message(type_=unique_name), message(type_=unique_name)
    try:
        assert await publisher.publish([first]) == {first.id: Delivery.CONFIRMED}
        assert await another.publish([second]) == {second.id: Delivery.CONFIRMED}
    finally:
        await another.close()

    assert {(await next_of(queue)).message_id for _ in range(2)} == {
        str(first.id),
        str(second.id),
    }


async def test_a_message_on_the_wire_is_persistent_and_says_what_it_is(
    publisher: RabbitMQEventPublisher, queue: AbstractQueue, unique_name: str
) -> None:
    sent = message(type_=unique_name, body='{"name": "Jürgen"}'.encode())
    await publisher.publish([sent])

    received = await next_of(queue)

    assert received.body == sent.body
    assert received.exchange == EXCHANGE
    assert received.routing_key == unique_name
    assert received.message_id == str(sent.id)
    assert received.type == unique_name
    assert received.content_type == "application/cloudevents+json; charset=utf-8"
    assert received.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert received.app_id == "payments"
    assert not received.redelivered


async def test_the_messages_of_a_batch_arrive_in_the_order_given(
    publisher: RabbitMQEventPublisher, queue: AbstractQueue, unique_name: str
) -> None:
    """Nobody may rely on it, but a batch is sent on one channel, without overtaking."""
    sent = [message(type_=unique_name) for _ in range(50)]
    await publisher.publish(sent)

    assert [(await next_of(queue)).message_id for _ in sent] == [str(m.id) for m in sent]


async def test_a_body_larger_than_a_frame_arrives_whole(
    publisher: RabbitMQEventPublisher, queue: AbstractQueue, unique_name: str
) -> None:
    sent = [
        message(type_=unique_name, body=bytes([n]) * size) for n, size in enumerate((300_000, 0))
    ]

    assert await publisher.publish(sent) == {m.id: Delivery.CONFIRMED for m in sent}
    assert [(await next_of(queue)).body for _ in sent] == [m.body for m in sent]


async def test_verdicts_on_many_at_once_reach_the_messages_they_are_about(
    publisher: RabbitMQEventPublisher, channel: AbstractChannel, unique_name: str
) -> None:
    """The broker confirms in any order, and several with one word."""
    expected = {"full": Delivery.REFUSED, "open": Delivery.CONFIRMED, "no": Delivery.UNROUTABLE}
    await bound(channel, f"{unique_name}-open", f"{unique_name}.open")
    full = await channel.declare_queue(
        f"{unique_name}-full",
        exclusive=True,
        arguments={"x-max-length": 1, "x-overflow": "reject-publish"},
    )
    await full.bind(EXCHANGE, f"{unique_name}.full")
    await publisher.publish([message(type_=f"{unique_name}.full")])
    sent = [message(type_=f"{unique_name}.{kind}") for _ in range(200) for kind in expected]

    judged = await publisher.publish(sent)

    assert judged == {m.id: expected[m.type.rpartition(".")[2]] for m in sent}


async def test_batches_at_once_share_the_first_connection_and_are_kept_apart(
    publisher: RabbitMQEventPublisher, queue: AbstractQueue, unique_name: str
) -> None:
    batches = [[message(type_=unique_name) for _ in range(50)] for _ in range(4)]

    judged = await asyncio.gather(*(publisher.publish(batch) for batch in batches))

    assert judged == [{m.id: Delivery.CONFIRMED for m in batch} for batch in batches]


async def test_a_quorum_queue_with_a_dead_letter_exchange_takes_messages_and_gives_up_rejected_ones(
    publisher: RabbitMQEventPublisher, channel: AbstractChannel, unique_name: str
) -> None:
    graveyard = await channel.declare_exchange(
        f"{unique_name}-dead", aio_pika.ExchangeType.FANOUT, auto_delete=True
    )
    dead = await channel.declare_queue(f"{unique_name}-dead", exclusive=True)
    await dead.bind(graveyard)
    queue = await channel.declare_queue(
        unique_name,
        durable=True,
        arguments={"x-queue-type": "quorum", "x-dead-letter-exchange": graveyard.name},
    )
    try:
        await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        await queue.bind(EXCHANGE, "payments.subscription.*.v1")
        sent = message(type_="payments.subscription.activated.v1")

        assert await publisher.publish([sent]) == {sent.id: Delivery.CONFIRMED}
        received = await next_of(queue)
        assert received.message_id == str(sent.id)
        await received.reject(requeue=False)
        buried = await next_of(dead)
        assert (buried.message_id, buried.body) == (str(sent.id), sent.body)
    finally:
        await queue.delete(if_unused=False, if_empty=False)


async def test_what_was_not_judged_before_the_connection_was_lost_is_missing_from_the_result(
    proxy: Proxy, queue: AbstractQueue, unique_name: str
) -> None:
    publisher = RabbitMQEventPublisher(proxy.url)
    await publisher.publish([message(type_=unique_name)])
    confirmed = message(type_=unique_name)
    cut_short = [message(type_=unique_name, body=b"x" * 100_000) for _ in range(3)]
    async with proxy.half_stalled(after=20_000):
        publishing = asyncio.create_task(publisher.publish([confirmed, *cut_short]))
        await asyncio.wait_for(proxy.answered(), PATIENCE)
        proxy.drop()
        judged = await asyncio.wait_for(publishing, PATIENCE)

    assert judged == {confirmed.id: Delivery.CONFIRMED}
    again = await publisher.publish(cut_short)
    assert again == {sent.id: Delivery.CONFIRMED for sent in cut_short}
    await publisher.close()


async def test_a_connection_that_is_lost_before_anything_was_judged_is_an_absent_broker(
    proxy: Proxy, queue: AbstractQueue, unique_name: str
) -> None:
    publisher = RabbitMQEventPublisher(proxy.url)
    await publisher.publish([message(type_=unique_name)])
    sent = [message(type_=unique_name) for _ in range(3)]
    async with proxy.stalled():
        publishing = asyncio.create_task(publisher.publish(sent))
        await asyncio.wait({publishing}, timeout=0.05)  # sent or not, both must end the same
        proxy.drop()
        with pytest.raises(BrokerUnavailable):
            await asyncio.wait_for(publishing, PATIENCE)

    assert await publisher.publish(sent) == {m.id: Delivery.CONFIRMED for m in sent}
    await publisher.close()


@pytest.mark.parametrize("longest_turn", [60.0, 0.01])
async def test_a_batch_waits_for_its_turn_but_not_for_long(
    proxy: Proxy,
    queue: AbstractQueue,
    unique_name: str,
    monkeypatch: pytest.MonkeyPatch,
    longest_turn: float,
) -> None:
    monkeypatch.setattr(batch_channel, "_LONGEST_TURN", longest_turn)
    begun: asyncio.Queue[int] = asyncio.Queue()
    made = batch_channel._Batch

    def begin(judged: dict[UUID, Delivery], count: int, *others: Any) -> Any:
        begun.put_nowait(count)
        return made(judged, count, *others)

    publisher = RabbitMQEventPublisher(proxy.url)
    await publisher.publish([message(type_=unique_name)])
    monkeypatch.setattr(batch_channel, "_Batch", begin)
    batches = [[message(type_=unique_name) for _ in range(size)] for size in (2, 3)]
    async with proxy.stalled():
        publishing = [asyncio.create_task(publisher.publish(batch)) for batch in batches]
        assert await asyncio.wait_for(begun.get(), PATIENCE) == 2
        second = asyncio.create_task(asyncio.wait_for(begun.get(), PATIENCE))
        # Long enough for one that does not wait for its turn.
        await asyncio.wait({second}, timeout=0.2 if longest_turn > PATIENCE else PATIENCE)
        assert second.done() == (longest_turn < PATIENCE)

    assert await second == 3
    judged = await asyncio.wait_for(asyncio.gather(*publishing), PATIENCE)
    assert judged == [{m.id: Delivery.CONFIRMED for m in batch} for batch in batches]
    await publisher.close()


async def test_a_batch_that_waits_for_another_hears_of_the_lost_connection_as_well(
    proxy: Proxy, queue: AbstractQueue, unique_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = RabbitMQEventPublisher(proxy.url)
    await publisher.publish([message(type_=unique_name)])
    batches = [[message(type_=unique_name) for _ in range(3)] for _ in range(3)]
    async with proxy.stalled():
        publishing = [asyncio.create_task(publisher.publish(batch)) for batch in batches]
        await asyncio.wait(publishing, timeout=0.05)  # sent or not, all must end the same
        proxy.drop()
        ended = await asyncio.wait_for(
            asyncio.gather(*publishing, return_exceptions=True), PATIENCE
        )
    assert [type(one) for one in ended] == [BrokerUnavailable] * 3
    assert not [one for one in ended if "TimeoutError" in str(one)]

    judged = await asyncio.gather(*(publisher.publish(batch) for batch in batches))
    assert judged == [{m.id: Delivery.CONFIRMED for m in batch} for batch in batches]
    await publisher.close()
    del publishing, ended
    gc.collect()
    # Such as of an exception that nobody has taken note of.
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def test_a_broker_that_answers_nothing_is_absent_once_the_confirm_timeout_is_over(
    proxy: Proxy, queue: AbstractQueue, unique_name: str
) -> None:
    publisher = RabbitMQEventPublisher(proxy.url, confirm_timeout=0.2)
    await publisher.publish([message(type_=unique_name)])
    sent = [message(type_=unique_name) for _ in range(3)]
    async with proxy.stalled():
        with pytest.raises(BrokerUnavailable, match="TimeoutError"):
            await asyncio.wait_for(publisher.publish(sent), PATIENCE)

    assert await publisher.publish(sent) == {m.id: Delivery.CONFIRMED for m in sent}
    await publisher.close()


async def test_what_a_broker_judged_before_it_fell_silent_is_told(
    proxy: Proxy, queue: AbstractQueue, unique_name: str
) -> None:
    publisher = RabbitMQEventPublisher(proxy.url, confirm_timeout=2.0)
    await publisher.publish([message(type_=unique_name)])
    confirmed = message(type_=unique_name)
    too_large = message(type_=unique_name, body=b"x" * 100_000)
    async with proxy.half_stalled(after=20_000):
        judged = await asyncio.wait_for(publisher.publish([confirmed, too_large]), PATIENCE)

    assert judged == {confirmed.id: Delivery.CONFIRMED}
    await publisher.close()


async def test_a_broker_that_does_not_complete_the_connection_is_absent(
    proxy: Proxy, queue: AbstractQueue, unique_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_publisher, "_CONNECT_TIMEOUT", 0.2)
    publisher = RabbitMQEventPublisher(proxy.url)
    sent = message(type_=unique_name)
    async with proxy.stalled():
        with pytest.raises(BrokerUnavailable):
            await asyncio.wait_for(publisher.publish([sent]), PATIENCE)

    monkeypatch.undo()
    assert await publisher.publish([sent]) == {sent.id: Delivery.CONFIRMED}
    await publisher.close()


async def test_a_channel_that_the_broker_closed_is_replaced(
    publisher: RabbitMQEventPublisher, channel: AbstractChannel, unique_name: str
) -> None:
    """The broker closes the channel of whoever publishes to an exchange that was deleted."""
    await publisher.publish([message(type_=unique_name)])
    await channel.exchange_delete(EXCHANGE)
    with pytest.raises(BrokerUnavailable):
        await asyncio.wait_for(publisher.publish([message(type_=unique_name)]), PATIENCE)

    await bound(channel, unique_name, unique_name)
    sent = message(type_=unique_name)
    assert await publisher.publish([sent]) == {sent.id: Delivery.CONFIRMED}


async def test_a_publisher_that_is_closed_while_it_publishes_ends_with_an_absent_broker(
    proxy: Proxy, queue: AbstractQueue, unique_name: str
) -> None:
    publisher = RabbitMQEventPublisher(proxy.url)
    await publisher.publish([message(type_=unique_name)])
    sent = message(type_=unique_name, body=b"x" * 100_000)
    async with proxy.half_stalled(after=20_000):
        publishing = asyncio.create_task(publisher.publish([sent]))
        await asyncio.wait({publishing}, timeout=0.05)  # closed sooner, it must end the same
        closing = asyncio.create_task(publisher.close())
        await asyncio.wait({closing}, timeout=0)
        proxy.drop()
        await asyncio.wait_for(closing, PATIENCE)
        with pytest.raises(BrokerUnavailable):
            await asyncio.wait_for(publishing, PATIENCE)


async def test_publishing_that_is_cancelled_can_be_repeated(
    proxy: Proxy, queue: AbstractQueue, unique_name: str
) -> None:
    publisher = RabbitMQEventPublisher(proxy.url)
    await publisher.publish([message(type_=unique_name)])
    sent = message(type_=unique_name)
    async with proxy.stalled():
        publishing = asyncio.create_task(publisher.publish([sent]))
        await asyncio.wait({publishing}, timeout=0)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing

    assert await publisher.publish([sent]) == {sent.id: Delivery.CONFIRMED}
    await publisher.close()


async def test_a_user_with_the_least_permissions_can_publish(tmp_path: Path) -> None:
    """What docs/least-privilege.md gives is enough, and is not enough for anything else."""
    (command,) = [
        one
        for one in commands_of(ROOT / "docs/least-privilege.md")
        if program_of(one) == "rabbitmqctl"
    ]
    with PrivateRabbitMQ(tmp_path / "rabbitmq") as broker:
        broker.control("add_user", "payments", "secret")
        broker.control(*shlex.split(command)[1:])
        url = urlsplit(broker.url)
        limited = url._replace(netloc=f"payments:secret@{url.hostname}:{url.port}").geturl()
        async with await aio_pika.connect(broker.url) as somebody:
            queue = await bound(await somebody.channel(), "consumer", "#")
            publisher = RabbitMQEventPublisher(limited)
            one = message()
            assert await publisher.publish([one]) == {one.id: Delivery.CONFIRMED}
            await publisher.close()
            async with await aio_pika.connect(limited) as connection:
                channel = await connection.channel()
                with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
                    await channel.declare_queue("of-its-own")
                channel = await connection.channel()
                with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
                    await channel.declare_exchange("of-its-own", durable=True)
                channel = await connection.channel()
                with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
                    await channel.queue_delete(queue.name)
                channel = await connection.channel()
                theirs = await channel.get_queue(queue.name, ensure=False)
                with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
                    await theirs.get()


@pytest.fixture
def full_broker(tmp_path: Path) -> Iterator[PrivateRabbitMQ]:
    """Give a broker that is out of memory, and takes nothing from whoever publishes."""
    with PrivateRabbitMQ(tmp_path / "rabbitmq") as broker:
        broker.control("set_vm_memory_high_watermark", "0")
        yield broker


def relieve(broker: PrivateRabbitMQ) -> None:
    broker.control("set_vm_memory_high_watermark", "0.4")


async def test_what_a_broker_without_memory_does_not_take_in_time_can_be_sent_again(
    full_broker: PrivateRabbitMQ,
) -> None:
    async with await aio_pika.connect(full_broker.url) as somebody:
        await bound(await somebody.channel(), "consumer", "#")
        publisher = RabbitMQEventPublisher(full_broker.url, confirm_timeout=1.0)
        sent = [message() for _ in range(3)]
        judged: Mapping[UUID, Delivery] = {}
        with contextlib.suppress(BrokerUnavailable):  # where it did not even take the first
            judged = await publisher.publish(sent)
        assert len(judged) < len(sent)

        await asyncio.to_thread(relieve, full_broker)
        left = [one for one in sent if one.id not in judged]
        assert await publisher.publish(left) == {one.id: Delivery.CONFIRMED for one in left}
        await publisher.close()


async def test_a_broker_that_finds_memory_in_time_confirms_what_waited_for_it(
    full_broker: PrivateRabbitMQ,
) -> None:
    async with await aio_pika.connect(full_broker.url) as somebody:
        await bound(await somebody.channel(), "consumer", "#")
        publisher = RabbitMQEventPublisher(full_broker.url)
        sent = [message() for _ in range(3)]
        publishing = asyncio.create_task(publisher.publish(sent))
        done, _ = await asyncio.wait({publishing}, timeout=1.0)
        assert not done, "it takes nothing"

        await asyncio.to_thread(relieve, full_broker)
        judged = await asyncio.wait_for(publishing, PATIENCE)
        assert judged == {one.id: Delivery.CONFIRMED for one in sent}
        await publisher.close()


async def test_a_port_where_nobody_listens_is_an_absent_broker() -> None:
    publisher = RabbitMQEventPublisher("amqp://guest:guest@127.0.0.1:1/")

    with pytest.raises(BrokerUnavailable):
        await publisher.publish([message()])


async def test_a_broker_that_has_hung_up_before_it_is_listened_to_is_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listen = FrameReceiver.get_frame

    async def listen_late(receiver: FrameReceiver) -> object:
        while not receiver.reader.at_eof():
            await asyncio.sleep(0)
        return await listen(receiver)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(b"AMQP0091"))
        writer.close()

    monkeypatch.setattr(FrameReceiver, "get_frame", listen_late)
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        publisher = RabbitMQEventPublisher(f"amqp://guest:guest@127.0.0.1:{port}/")
        with pytest.raises(BrokerUnavailable, match="StopAsyncIteration"):
            await asyncio.wait_for(publisher.publish([message()]), PATIENCE)


async def test_wrong_credentials_are_an_absent_broker_and_are_not_repeated_in_its_message(
    proxy: Proxy,
) -> None:
    address = proxy.url.rpartition("@")[2]
    publisher = RabbitMQEventPublisher(f"amqp://nobody:s3cret@{address}")

    with pytest.raises(BrokerUnavailable) as caught:
        await publisher.publish([message()])
    assert "s3cret" not in str(caught.value)
