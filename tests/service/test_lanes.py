"""Lanes of a stage work side by side, keep every subscription in order, and fail by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import count, groupby
from uuid import UUID

import pytest

from adapters.memory.event_publisher import MemoryEventPublisher
from ports.event_publisher import BrokerUnavailable, Delivery
from ports.outbox import Message
from ports.partitions import HeldPartitions
from service.held_back import HeldBack
from service.lanes import AT_A_STRETCH, Lanes, PartOfShare
from service.relay_outbox import RelayOutbox
from tests.service.house import House
from tests.stripe_payloads import START, event, invoice, subscription

SUBSCRIPTIONS = [f"sub_{number}" for number in range(1, 41)]


class Broker(MemoryEventPublisher):
    """Judges nothing before it is told to, notes what it got, and fails when it is told to."""

    def __init__(self, fails: Sequence[int] = ()) -> None:
        super().__init__()
        self.fails = fails
        self.got: list[set[str]] = []
        self.two_wait = asyncio.Event()
        self.judging = asyncio.Event()
        self.published: list[tuple[str, int]] = []

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        self.got.append({message.ordering_key for message in messages})
        if len(self.got) in self.fails:
            raise BrokerUnavailable("gone")
        if len(self.got) > 1:
            self.two_wait.set()
        await self.judging.wait()
        self.published += [(message.ordering_key, message.version) for message in messages]
        return {message.id: Delivery.CONFIRMED for message in messages}


async def house_with(broker: Broker) -> House:
    """A house with three messages of each subscription to relay, in two lanes."""
    house = House()
    for number, ref in enumerate(SUBSCRIPTIONS):
        await house.deliver(
            event("customer.subscription.created", subscription(ref)),
            event("invoice.paid", invoice(f"in_{number}", subscription=ref)),
            event(
                "customer.subscription.updated",
                subscription(ref, status="past_due"),
                created=START + 5,
            ),
        )
    await house.work()
    relays = [
        RelayOutbox(
            house.unit_of_work,
            broker,
            PartOfShare(house.partitions, number, 2),
            house.clock,
            batch_size=10,
        )
        for number in range(2)
    ]
    whole = Sluggard(house)
    house.relay = Lanes(whole, relays, full=10)  # type: ignore[assignment]  # run in the same way
    return house


def unpublished(house: House) -> int:
    """How many messages still wait."""
    return sum(row.published_at is None for row in house.store.tables.messages.values())


async def test_lanes_work_side_by_side_and_never_share_a_subscription() -> None:
    broker = Broker()
    house = await house_with(broker)

    relaying = asyncio.create_task(house.publish())
    await asyncio.wait_for(broker.two_wait.wait(), 5)
    one, other = broker.got
    broker.judging.set()
    await relaying

    assert not one & other
    assert unpublished(house) == 0
    by_subscription = groupby(sorted(broker.published, key=lambda m: m[0]), lambda m: m[0])
    assert {ref: [version for _, version in sent] for ref, sent in by_subscription} == {
        ref: [1, 2, 3] for ref in SUBSCRIPTIONS
    }


async def test_a_lane_that_fails_leaves_the_other_to_finish_what_it_has_in_hand() -> None:
    broker = Broker(fails=[1])
    broker.judging.set()
    house = await house_with(broker)

    with pytest.raises(BrokerUnavailable):
        await house.relay.run_once()
    assert 0 < unpublished(house) < 3 * len(SUBSCRIPTIONS)

    await house.publish()
    assert unpublished(house) == 0


async def test_every_partition_is_in_exactly_one_lane() -> None:
    house = House()
    await house.partitions.renew()
    parts = [PartOfShare(house.partitions, number, 3).held() for number in range(3)]

    assert sum(len(part.partitions) for part in parts) == 64
    assert frozenset().union(*(part.partitions for part in parts)) == (
        house.partitions.held().partitions
    )
    assert {(part.worker, part.epoch) for part in parts} == {
        (house.partitions.held().worker, house.partitions.held().epoch)
    }


class Sluggard:
    """Does nothing, but says that there is a batch for as long as there is something to publish."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def run_once(self) -> int:
        return 10 if unpublished(self._house) else 0

    async def idle_time(self) -> timedelta | None:
        return None


class Lane:
    """A lane that always has something to do."""

    def __init__(self, due: timedelta | None = None, count: int = 5) -> None:
        self.due = due
        self.count = count
        self.runs = 0

    async def run_once(self) -> int:
        self.runs += 1
        await asyncio.sleep(0)  # the others' turn
        return self.count

    async def idle_time(self) -> timedelta | None:
        return self.due


async def test_lanes_that_are_never_empty_come_to_an_end_all_the_same() -> None:
    """Or a process that is told to stop would not hear of it."""
    ticks = count()
    whole, lanes = Lane(), [Lane(), Lane()]

    done = await Lanes(
        whole, lanes, full=5, monotonic=lambda: next(ticks) * AT_A_STRETCH / 10
    ).run_once()

    assert done == 5 + 5 * sum(lane.runs for lane in lanes)
    assert [whole.runs, *(lane.runs for lane in lanes)] == [1, 6, 5]  # the sixth was in hand


async def test_a_lane_with_little_left_waits_for_no_more_than_one_batch_of_another() -> None:
    busy, empty = Lane(), Lane(count=4)

    assert await Lanes(Lane(), [busy, empty], full=5).run_once() == 5 + 4 + 5 * busy.runs
    assert (busy.runs, empty.runs) == (2, 1)  # the second one was in hand


async def test_what_little_there_is_is_not_divided() -> None:
    whole, lane = Lane(), Lane()

    assert await Lanes(whole, [lane], full=6).run_once() == 5
    assert (whole.runs, lane.runs) == (1, 0)


class Unasked(Lane):
    """A lane that nobody may ask: the whole knows what is due in any of them."""

    async def idle_time(self) -> timedelta | None:
        raise AssertionError("another question to the database for the same answer")


async def test_what_is_due_is_asked_of_the_whole_alone() -> None:
    soon = timedelta(seconds=1)

    assert await Lanes(Lane(soon), [Unasked(), Unasked()]).idle_time() == soon
    assert await Lanes(Lane(), [Unasked(), Unasked()]).idle_time() is None


class PickyBroker(MemoryEventPublisher):
    """Takes nothing of `refused`."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        return {
            message.id: Delivery.REFUSED
            if message.ordering_key in self.refused
            else Delivery.CONFIRMED
            for message in messages
        }


async def test_what_a_lane_has_held_back_and_the_whole_has_published_is_waited_for_no_more() -> (
    None
):
    house, broker = House(), PickyBroker()
    held_back = HeldBack(monotonic=house.monotonic)
    broker.refused.update(SUBSCRIPTIONS[30:])  # which the lanes come to, after the whole's batch

    def relay(partitions: HeldPartitions) -> RelayOutbox:
        return RelayOutbox(
            house.unit_of_work,
            broker,
            partitions,
            house.clock,
            held_back=held_back,
            batch_size=20,
            monotonic=house.monotonic,
        )

    parts = [PartOfShare(house.partitions, number, 2) for number in range(2)]
    lanes = Lanes(relay(house.partitions), [relay(part) for part in parts], full=20)
    for ref in SUBSCRIPTIONS:
        await house.deliver(event("customer.subscription.created", subscription(ref)))
    await house.work()
    while await lanes.run_once():
        pass
    assert unpublished(house) == 10
    idle = await lanes.idle_time()
    assert idle is not None
    assert idle > timedelta(0)

    broker.refused.clear()
    house.clock.advance(timedelta(minutes=1))
    while await lanes.run_once():
        pass

    assert unpublished(house) == 0
    assert await lanes.idle_time() is None
