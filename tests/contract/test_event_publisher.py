"""ports/event_publisher.py."""

import contextlib

import pytest

from ports.event_publisher import BrokerUnavailable, Delivery
from tests.contract.brokers import Broker
from tests.examples import message


async def test_a_message_that_a_queue_took_is_confirmed(broker: Broker, unique_name: str) -> None:
    queue = await broker.bind(unique_name)
    sent = message(type_=unique_name, body=bytes(range(256)))

    assert await broker.publisher.publish([sent]) == {sent.id: Delivery.CONFIRMED}
    assert await queue.next() == (str(sent.id), sent.body)


async def test_a_message_that_no_queue_wants_is_unroutable(
    broker: Broker, unique_name: str
) -> None:
    sent = message(type_=unique_name)

    assert await broker.publisher.publish([sent]) == {sent.id: Delivery.UNROUTABLE}


async def test_each_message_is_judged_by_itself(broker: Broker, unique_name: str) -> None:
    queue = await broker.bind(unique_name)
    wanted = [message(type_=unique_name) for _ in range(100)]
    unwanted = [message(type_=f"{unique_name}.unwanted") for _ in range(100)]
    mixed = [m for pair in zip(wanted, unwanted, strict=True) for m in pair]

    judged = await broker.publisher.publish(mixed)

    assert judged == {
        **{sent.id: Delivery.CONFIRMED for sent in wanted},
        **{sent.id: Delivery.UNROUTABLE for sent in unwanted},
    }
    arrived = {(await queue.next())[0] for _ in wanted}
    assert arrived == {str(sent.id) for sent in wanted}


async def test_a_message_that_a_full_queue_turns_away_is_refused_and_may_be_sent_again(
    broker: Broker, unique_name: str
) -> None:
    queue = await broker.bind(unique_name, size=1)
    first, second = message(type_=unique_name), message(type_=unique_name)
    assert await broker.publisher.publish([first]) == {first.id: Delivery.CONFIRMED}

    assert await broker.publisher.publish([second]) == {second.id: Delivery.REFUSED}
    await queue.next()
    assert await broker.publisher.publish([second]) == {second.id: Delivery.CONFIRMED}


async def test_a_message_may_be_sent_again_and_arrives_with_the_same_id(
    broker: Broker, unique_name: str
) -> None:
    queue = await broker.bind(unique_name)
    sent = message(type_=unique_name)
    for _ in range(2):
        await broker.publisher.publish([sent])

    assert await queue.next() == await queue.next()


async def test_publishing_nothing_is_fine(broker: Broker) -> None:
    assert await broker.publisher.publish([]) == {}


async def test_an_absent_broker_is_told_as_such_until_it_is_back(
    broker: Broker, unique_name: str
) -> None:
    queue = await broker.bind(unique_name)
    sent = message(type_=unique_name)
    async with broker.away():
        for _ in range(2):
            with pytest.raises(BrokerUnavailable):
                await broker.publisher.publish([sent])

    assert await broker.publisher.publish([sent]) == {sent.id: Delivery.CONFIRMED}
    assert await queue.next() == (str(sent.id), sent.body)


async def test_a_broker_that_went_away_between_two_messages_is_found_by_the_second_try(
    broker: Broker, unique_name: str
) -> None:
    await broker.bind(unique_name)
    first, second = message(type_=unique_name), message(type_=unique_name)
    await broker.publisher.publish([first])
    async with broker.away():
        pass

    with contextlib.suppress(BrokerUnavailable):  # the loss may be noticed before, or only now
        await broker.publisher.publish([second])
    assert await broker.publisher.publish([second]) == {second.id: Delivery.CONFIRMED}


async def test_a_closed_publisher_connects_again_when_it_is_needed(
    broker: Broker, unique_name: str
) -> None:
    await broker.bind(unique_name)
    sent = message(type_=unique_name)
    await broker.publisher.publish([sent])
    await broker.publisher.close()
    await broker.publisher.close()

    assert await broker.publisher.publish([sent]) == {sent.id: Delivery.CONFIRMED}
