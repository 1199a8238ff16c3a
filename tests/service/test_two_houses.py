"""A state machine over two processes on one store: nothing is lost, whatever they do and die of.

Things happen at Stripe, which tells of them in any order, late and again, and answers questions
with what is true at that moment. Two houses receive, work and publish in steps; each may die
between any two of them, or stall while the other takes over. In the end the rows are those of a
house that heard everything once and in order, and every history is a legal one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.memory.event_publisher import MemoryEventPublisher
from adapters.memory.payment_provider import MemoryPaymentProvider
from adapters.memory.store import MemoryStore
from adapters.memory.unit_of_work import MemoryUnitOfWork
from ports.event_publisher import Delivery
from ports.outbox import Message
from ports.partitions import LeaseLost
from ports.payment_provider import ProviderCustomer
from ports.unit_of_work import StorageUnavailable
from ports.wakeups import Stage
from service.relay_outbox import RelayOutbox
from tests.service.histories import (
    Crash,
    History,
    assert_each_invoice_is_told,
    assert_each_notice_is_told,
    assert_legal,
    histories,
    in_the_order_of_arrival,
    provider_after,
    rows,
    truth,
)
from tests.service.house import House
from tests.stripe_payloads import START, USER, Payload, at

Result = TypeVar("Result")

NAMES = st.sampled_from(["left", "right"])
ANY = st.integers(0, 10_000)
# Longer than a lease lives.
STALL = timedelta(minutes=1)


class Unit(MemoryUnitOfWork):
    """A transaction to which something may happen as it is committed."""

    def __init__(self, store: MemoryStore, fate: Callable[[], Awaitable[None]] | None) -> None:
        super().__init__(store)
        self.fate = fate
        self.after = False

    async def commit(self) -> None:
        if self.fate is not None and not self.after:
            await self.fate()
        await super().commit()
        if self.fate is not None and self.after:
            await self.fate()


class Broker(MemoryEventPublisher):
    """The one broker; its next wave may be cut short after so many messages."""

    def __init__(self) -> None:
        super().__init__()
        self.next: Callable[[Sequence[Message]], Awaitable[int]] | None = None

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        if self.next is None:
            return await super().publish(messages)
        hook, self.next = self.next, None
        taken = await hook(messages)
        return await super().publish(messages[:taken])


class TwoHouses(RuleBasedStateMachine):
    """What may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store = MemoryStore()
        self.provider = MemoryPaymentProvider()
        self.broker = Broker()
        self.queue = self.broker.subscribe()
        self.arrived: list[Message] = []
        self.answered: set[str] = set()
        self.undelivered: list[Payload] = []
        self.delivered: list[Payload] = []
        self.to_come: list[Payload] = []

    @initialize(history=histories(), batch_size=st.sampled_from([1, 2, 500]))
    def begin(self, history: History, batch_size: int) -> None:
        self.history = history
        self.batch_size = batch_size
        self.to_come = list(history.events)
        self.provider.customers["cus_1"] = ProviderCustomer(
            "cus_1", USER, "a@x.org", "Alice", at(START)
        )
        self.houses = {name: self.house() for name in ("left", "right")}

    @precondition(lambda self: self.to_come)
    @rule(count=st.integers(1, 4))
    def happen(self, count: int) -> None:
        """Time passes at Stripe, whose answers are of this moment from now on."""
        for payload in self.to_come[:count]:
            about = payload["data"]["object"]
            if about["object"] == "subscription":
                self.provider.subscriptions[about["id"]] = truth(about)
            elif payload["type"] in ("customer.created", "customer.updated"):
                known = self.provider.customers["cus_1"]
                self.provider.customers["cus_1"] = replace(known, email=about["email"])
            self.undelivered.append(payload)
        del self.to_come[:count]

    @precondition(lambda self: self.undelivered)
    @rule(name=NAMES, which=ANY, count=st.integers(1, 3))
    def deliver(self, name: str, which: int, count: int) -> None:
        for _ in range(min(count, len(self.undelivered))):
            payload = self.undelivered.pop(which % len(self.undelivered))
            self.receive(name, payload)
            self.delivered.append(payload)

    @precondition(lambda self: self.delivered)
    @rule(name=NAMES, which=ANY)
    def repeat(self, name: str, which: int) -> None:
        [receipt] = self.receive(name, self.delivered[which % len(self.delivered)])
        assert receipt.duplicate

    @precondition(lambda self: self.undelivered)
    @rule(name=NAMES, which=ANY)
    def die_before_the_answer(self, name: str, which: int) -> None:
        """It is written down, nobody is told so, and Stripe will send it again."""
        self.wait(self.houses[name].deliver(self.undelivered[which % len(self.undelivered)]))
        self.die(name)

    @rule(name=NAMES)
    def renew(self, name: str) -> None:
        self.wait(self.houses[name].partitions.renew())

    @rule(name=NAMES)
    def release(self, name: str) -> None:
        self.wait(self.houses[name].partitions.release())

    @rule()
    def leases_expire(self) -> None:
        self.store.clock.advance(STALL)

    @rule(name=NAMES)
    def process(self, name: str) -> None:
        self.step(self.houses[name].process.run_once())

    @rule(name=NAMES)
    def hear_the_answers(self, name: str) -> None:
        self.wait(self.answers(self.houses[name]))

    @rule(name=NAMES)
    def relay(self, name: str) -> None:
        self.step(self.houses[name].relay.run_once())

    @rule(name=NAMES, after=st.booleans(), stage=st.sampled_from(["process", "relay"]))
    def die_over_a_commit(self, name: str, after: bool, stage: str) -> None:
        house = self.houses[name]

        async def crash() -> None:
            raise Crash

        try:
            self.step(getattr(self.doomed(house, crash, after=after), stage).run_once())
        except Crash:
            self.die(name)
        else:
            self.doomed(house, None)

    @rule(name=NAMES, taken=st.integers(0, 3), dies=st.booleans())
    def lose_part_of_a_wave(self, name: str, taken: int, dies: bool) -> None:
        """The broker takes some of it; then the connection, or the process, is gone."""

        async def cut(messages: Sequence[Message]) -> int:
            if dies:
                await MemoryEventPublisher.publish(self.broker, messages[:taken])
                raise Crash
            return taken

        self.broker.next = cut
        try:
            self.step(self.houses[name].relay.run_once())
        except Crash:
            self.die(name)
        self.broker.next = None

    @rule(name=NAMES)
    def stall_over_a_batch(self, name: str) -> None:
        """The server ends its transaction; it wakes when the other has worked in its place."""
        house, other = self.houses[name], self.other(name)

        async def stall() -> None:
            unit.__dict__["_transaction"].end()
            await self.take_over(other)
            raise StorageUnavailable("the server ended the session")

        unit = Unit(self.store, stall)
        house.process._unit_of_work = lambda: unit
        self.step(house.process.run_once())
        self.doomed(house, None)

    @rule(name=NAMES)
    def stall_over_a_wave(self, name: str) -> None:
        """It has claimed messages and wakes to publish them when the other has, too."""
        other = self.other(name)

        async def stall(messages: Sequence[Message]) -> int:
            await self.take_over(other)
            return len(messages)

        self.broker.next = stall
        self.step(self.houses[name].relay.run_once())
        self.broker.next = None

    @invariant()
    def what_was_answered_is_kept(self) -> None:
        assert self.answered <= self.store.tables.webhooks.keys()

    @invariant()
    def messages_of_a_subscription_come_in_their_order(self) -> None:
        while not self.queue.empty():
            self.arrived.append(self.queue.get_nowait())
        written = self.store.tables.messages
        for ref in ("sub_1", "sub_2"):
            told = in_the_order_of_arrival(m for m in self.arrived if m.ordering_key == ref)
            assert [m.version for m in told] == list(range(1, len(told) + 1))
            assert all(written[m.id].message == m for m in told), "only what is written is told"

    def teardown(self) -> None:
        try:
            if hasattr(self, "houses"):
                self.finish()
                self.compare()
        finally:
            for house in getattr(self, "houses", {}).values():
                self.wait(house.lookups.close())
            self.loop.close()

    def finish(self) -> None:
        """Let everything happen that is still to come, in a process that does not fail."""
        if self.to_come:
            self.happen(len(self.to_come))
        for payload in self.undelivered:
            self.receive("left", payload)
        for name in ("left", "right"):
            self.die(name)
        self.store.clock.advance(STALL)
        last = self.houses["left"]
        for _ in range(50):
            self.wait(last.work())
            self.wait(last.publish())
            if not self.unfinished():
                break
            self.store.clock.advance(timedelta(minutes=20))
        self.messages_of_a_subscription_come_in_their_order()

    def compare(self) -> None:
        in_order = House(provider=provider_after(self.history))
        self.wait(in_order.run(*self.history.events))
        tables = self.store.tables
        assert tables.webhooks.keys() == {payload["id"] for payload in self.history.events}
        assert rows(tables) == rows(in_order.store.tables)
        for ref, final in self.history.subscriptions.items():
            told = in_the_order_of_arrival(m for m in self.arrived if m.ordering_key == ref)
            assert_legal(told, tables.subscriptions[ref].status)
            assert_each_invoice_is_told(self.history, ref, told, tables)
            assert_each_notice_is_told(self.history, ref, told, tables)
            assert tables.subscriptions[ref].facts == truth(final)

    def house(self) -> House:
        house = House(store=self.store, provider=self.provider, batch_size=self.batch_size)
        house.relay = RelayOutbox(
            house.unit_of_work,
            self.broker,
            house.partitions,
            house.clock,
            batch_size=self.batch_size,
            monotonic=house.monotonic,
        )
        return house

    def die(self, name: str) -> None:
        """All that it only remembered is gone; a new process takes its place, with no share."""
        self.wait(self.houses[name].lookups.close())
        self.houses[name] = self.house()

    def doomed(
        self, house: House, fate: Callable[[], Awaitable[None]] | None, *, after: bool = False
    ) -> House:
        def unit() -> Unit:
            made = Unit(self.store, fate)
            made.after = after
            return made

        house.process._unit_of_work = house.relay._unit_of_work = unit
        return house

    def other(self, name: str) -> House:
        return self.houses["right" if name == "left" else "left"]

    async def take_over(self, house: House) -> None:
        self.store.clock.advance(STALL)
        await house.partitions.renew()
        hook, self.broker.next = self.broker.next, None
        await house.process.run_once()
        await house.relay.run_once()
        self.broker.next = hook

    async def answers(self, house: House) -> None:
        while house.lookups.busy_keys:
            await house.wakeups.wait(Stage.INBOX, 5)

    def receive(self, name: str, payload: Payload) -> list[Any]:
        receipts = self.wait(self.houses[name].deliver(payload))
        self.answered.add(payload["id"])
        return receipts

    def step(self, step: Awaitable[int]) -> None:
        """One step of a stage, as its loop does it."""
        with contextlib.suppress(LeaseLost, StorageUnavailable):
            self.wait(step)

    def wait(self, awaited: Awaitable[Result]) -> Result:
        return self.loop.run_until_complete(awaited)

    def unfinished(self) -> bool:
        """Whether something is tried again; what waits for what never comes is not."""
        tables = self.store.tables
        return any(
            row.outcome is None and not row.waiting_for for row in tables.webhooks.values()
        ) or any(not row.published_at and not row.unrouted_at for row in tables.messages.values())


TestTwoHouses = TwoHouses.TestCase
TestTwoHouses.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
