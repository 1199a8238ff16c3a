"""Whatever the order, the repetition and the crashes: the same rows, and a legal history.

Histories are made up by hypothesis, delivered to the real use cases in order and once, and again
shuffled, repeated, in small batches, with crashes before and after commits. Both must end alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.clock import SettableClock
from adapters.memory.store import MemoryStore, Tables
from adapters.memory.unit_of_work import MemoryUnitOfWork
from ports.outbox import Message
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
from tests.stripe_payloads import (
    Payload,
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[History, list[Payload], list[str], int]:
    """A history, its events in any order with repeats, where it crashes, and the batch size."""
    history = draw(histories())
    order = draw(st.permutations(history.events))
    repeats = draw(st.lists(st.sampled_from(history.events), max_size=5))
    crashes = draw(st.lists(st.sampled_from(["no", "no", "before", "after"]), max_size=12))
    return history, [*order, *repeats], crashes, draw(st.sampled_from([1, 2, 500]))


@given(deliveries())
@settings(max_examples=150, deadline=None)
def test_any_order_ends_in_the_same_rows_and_a_legal_history(
    case: tuple[History, list[Payload], list[str], int],
) -> None:
    """The rows of the customer, the subscriptions and the trials are the same to the letter."""
    history, delivered, crashes, batch_size = case
    in_order, _ = asyncio.run(_live(history, history.events, [], 500))
    shuffled, messages = asyncio.run(_live(history, delivered, crashes, batch_size))
    assert rows(shuffled) == rows(in_order)
    for ref, final in history.subscriptions.items():
        told = in_the_order_of_arrival(m for m in messages if m.ordering_key == ref)
        assert_legal(told, shuffled.subscriptions[ref].status)
        assert_each_invoice_is_told(history, ref, told, shuffled)
        assert_each_notice_is_told(history, ref, told, shuffled)
        assert shuffled.subscriptions[ref].facts == truth(final)


async def _live(
    history: History, delivered: list[Payload], crashes: list[str], batch_size: int
) -> tuple[Tables, list[Message]]:
    """Deliver and work until nothing is left to do; the tables and the messages that arrived."""
    provider = provider_after(history)
    clock = SettableClock()
    store = MemoryStore(clock)
    fate = iter(crashes)
    arrived: list[Message] = []
    for some in [delivered[n : n + 3] for n in range(0, len(delivered), 3)] + [[], [], []]:
        house = House(store=store, clock=clock, provider=provider, batch_size=batch_size)
        _let_it_crash(house, fate)
        await house.deliver(*some)
        try:
            await house.work()
            await house.publish()
        except Crash:
            clock.advance(timedelta(minutes=1))  # until its lease has expired
        else:
            await house.partitions.release()
        await house.lookups.close()
        arrived += house.published()
    last = House(store=store, clock=clock, provider=provider)
    await last.run()
    return store.tables, arrived + last.published()


def _let_it_crash(house: House, fate: Iterator[str]) -> None:
    class Doomed(MemoryUnitOfWork):
        async def commit(self) -> None:
            when = next(fate, "no")
            if when == "before":
                raise Crash
            await super().commit()
            if when == "after":
                raise Crash

    def doomed() -> MemoryUnitOfWork:
        return Doomed(house.store)

    house.process._unit_of_work = doomed
    house.relay._unit_of_work = doomed
