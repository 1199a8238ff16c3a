"""Messages leave in order per subscription, and exactly the confirmed ones are marked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from adapters.memory.clock import SettableClock
from adapters.memory.event_publisher import MemoryEventPublisher
from ports.event_publisher import BrokerUnavailable, Delivery
from ports.outbox import Message
from ports.partitions import LeaseLost
from service.held_back import HOLD_BACK
from service.relay_outbox import RelayOutbox
from tests.service.house import House
from tests.stripe_payloads import START, event, invoice, subscription

CREATED = "customer.subscription.created"
UPDATED = "customer.subscription.updated"
ACTIVATED = "payments.subscription.activated.v1"
CHANGED = "payments.subscription.status_changed.v1"
PAID = "payments.payment.succeeded.v1"


class ScriptedPublisher(MemoryEventPublisher):
    """Judges messages by a rule of the test, and notes who travelled together."""

    def __init__(self, judge: Mapping[str, Delivery | None] | None = None) -> None:
        super().__init__()
        self.judge = dict(judge or {})
        self.waves: list[list[str]] = []

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        self.waves.append([f"{m.ordering_key}:{m.version}" for m in messages])
        judged = {m.id: self.judge.get(m.type, Delivery.CONFIRMED) for m in messages}
        return {id_: delivery for id_, delivery in judged.items() if delivery is not None}


async def house_with(publisher: ScriptedPublisher, subscriptions: int = 1) -> House:
    """A house whose outbox holds activated, paid and changed, for each subscription."""
    house = House()
    house.relay = RelayOutbox(
        house.unit_of_work,
        publisher,
        house.partitions,
        house.clock,
        monotonic=house.monotonic,
    )
    for number in range(1, subscriptions + 1):
        ref = f"sub_{number}"
        await house.deliver(
            event(CREATED, subscription(ref)),
            event("invoice.paid", invoice(f"in_{number}", subscription=ref)),
            event(UPDATED, subscription(ref, status="past_due"), created=START + 5),
        )
    await house.work()
    return house


def marks(house: House) -> dict[str, str]:
    """What became of each message, by subscription and version."""
    return {
        f"{row.message.ordering_key}:{row.message.version}": (
            "published" if row.published_at else "unrouted" if row.unrouted_at else "waiting"
        )
        for row in house.store.tables.messages.values()
    }


async def test_a_message_leaves_only_after_its_predecessor_was_confirmed() -> None:
    publisher = ScriptedPublisher()
    house = await house_with(publisher, subscriptions=2)
    await house.publish()
    assert publisher.waves == [
        ["sub_1:1", "sub_2:1"],
        ["sub_1:2", "sub_2:2"],
        ["sub_1:3", "sub_2:3"],
    ]
    assert set(marks(house).values()) == {"published"}


async def test_what_must_be_routed_waits_for_a_queue_and_its_successors_with_it() -> None:
    publisher = ScriptedPublisher({ACTIVATED: Delivery.UNROUTABLE})
    house = await house_with(publisher)
    await house.publish()
    assert set(marks(house).values()) == {"waiting"}
    publisher.judge.clear()
    idle = await house.relay.idle_time()
    assert idle is not None
    house.clock.advance(idle + timedelta(milliseconds=1))
    await house.publish()
    assert set(marks(house).values()) == {"published"}
    assert publisher.waves[1:] == [["sub_1:1"], ["sub_1:2"], ["sub_1:3"]]


async def test_a_clock_that_is_set_back_holds_nothing_back_for_longer() -> None:
    publisher = ScriptedPublisher({ACTIVATED: Delivery.UNROUTABLE})
    house = await house_with(publisher)
    wall = SettableClock(house.clock.now())
    house.relay = RelayOutbox(
        house.unit_of_work, publisher, house.partitions, wall, monotonic=house.monotonic
    )
    await house.publish()
    publisher.judge.clear()
    wall.advance(-timedelta(days=1))
    house.clock.advance(HOLD_BACK.delay(1) + timedelta(seconds=1))
    await house.publish()
    assert set(marks(house).values()) == {"published"}


async def test_what_another_worker_has_published_is_held_back_no_longer() -> None:
    publisher = ScriptedPublisher({ACTIVATED: Delivery.UNROUTABLE})
    house = await house_with(publisher)
    await house.publish()
    other = House(store=house.store, clock=house.clock)
    await house.partitions.release()
    await other.partitions.renew()
    await other.publish()
    assert set(marks(house).values()) == {"published"}
    await other.partitions.release()
    await house.partitions.renew()
    house.clock.advance(timedelta(minutes=1))
    await house.publish()
    assert await house.relay.idle_time() is None


async def test_what_need_not_be_routed_is_given_up_and_blocks_nothing() -> None:
    house = await house_with(ScriptedPublisher({PAID: Delivery.UNROUTABLE}))
    await house.publish()
    assert marks(house) == {"sub_1:1": "published", "sub_1:2": "unrouted", "sub_1:3": "published"}


@pytest.mark.parametrize("doubt", [Delivery.REFUSED, None], ids=["refused", "not judged"])
async def test_what_was_not_confirmed_is_not_marked_and_goes_again(
    doubt: Delivery | None,
) -> None:
    publisher = ScriptedPublisher({CHANGED: doubt})
    house = await house_with(publisher)
    await house.publish()
    assert marks(house) == {"sub_1:1": "published", "sub_1:2": "published", "sub_1:3": "waiting"}
    publisher.judge.clear()
    house.clock.advance(timedelta(minutes=1))
    await house.publish()
    assert set(marks(house).values()) == {"published"}


async def test_one_blocked_subscription_does_not_hold_up_another() -> None:
    house = House()
    publisher = ScriptedPublisher({ACTIVATED: Delivery.UNROUTABLE})
    house.relay = RelayOutbox(
        house.unit_of_work,
        publisher,
        house.partitions,
        house.clock,
        batch_size=1,
        monotonic=house.monotonic,
    )
    await house.deliver(event(CREATED, subscription("sub_1")))
    await house.work()
    await house.publish()
    publisher.judge.clear()
    await house.deliver(event(CREATED, subscription("sub_2")))
    await house.work()
    await house.publish()
    assert marks(house) == {"sub_1:1": "waiting", "sub_2:1": "published"}


async def test_what_was_confirmed_before_the_broker_went_is_marked() -> None:
    class GoesAway(ScriptedPublisher):
        async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
            if self.waves:
                raise BrokerUnavailable("gone")
            return await super().publish(messages)

    house = await house_with(GoesAway())
    with pytest.raises(BrokerUnavailable):
        await house.relay.run_once()
    assert marks(house) == {"sub_1:1": "published", "sub_1:2": "waiting", "sub_1:3": "waiting"}


async def test_a_message_goes_again_with_the_same_id_after_a_crash_before_the_mark() -> None:
    house = House()
    await house.deliver(event(CREATED, subscription()))
    await house.work()
    async with house.unit_of_work() as uow:  # as a process that dies between confirm and mark
        (message,) = await uow.outbox.claim(house.partitions.held(), limit=10)
        await house.publisher.publish([message])
    await house.publish()
    first, again = house.published()
    assert first == again


class Freezes(ScriptedPublisher):
    """A broker whose first confirms reach a process that has just been stopped for a while."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        judged = await super().publish(messages)
        if len(self.waves) == 1:
            await self.meanwhile()
        return judged


async def stalled(*, renews: bool) -> tuple[House, House, ScriptedPublisher]:
    """A house that stalls with claimed messages, and the one that has taken over, at the end."""

    async def take_over() -> None:
        house.clock.advance(timedelta(minutes=1))
        await successor.partitions.renew()
        await successor.publish()
        if renews:
            await house.partitions.renew()

    publisher = Freezes(take_over)
    house = await house_with(publisher)
    successor = House(store=house.store, clock=house.clock)
    with pytest.raises(LeaseLost):
        await house.relay.run_once()
    return house, successor, publisher


@pytest.mark.parametrize("renews", [False, True], ids=["unaware", "aware"])
async def test_a_worker_that_was_replaced_publishes_no_further_wave(renews: bool) -> None:
    house, successor, publisher = await stalled(renews=renews)

    assert publisher.waves == [["sub_1:1"]]
    assert len(successor.published()) == 3
    assert set(marks(house).values()) == {"published"}


async def test_a_late_mark_leaves_what_the_successor_has_marked() -> None:
    house = await house_with(ScriptedPublisher())
    first = next(iter(house.store.tables.messages))

    async def take_over() -> None:
        house.clock.advance(timedelta(minutes=1))
        await successor.partitions.renew()
        await successor.publish()
        taken_at.append(house.clock.now())
        house.clock.advance(timedelta(minutes=1))

    taken_at: list[datetime] = []
    successor = House(store=house.store, clock=house.clock)
    frozen = RelayOutbox(
        house.unit_of_work,
        Freezes(take_over),
        house.partitions,
        house.clock,
        monotonic=house.monotonic,
    )
    with pytest.raises(LeaseLost):
        await frozen.run_once()

    row = house.store.tables.messages[first]
    assert (row.published_at, row.unrouted_at) == (taken_at[0], None)
