"""Whatever the order, the repetition and the crashes: the same rows, and a legal history.

Histories are made up by hypothesis, delivered to the real use cases in order and once, and again
shuffled, repeated, in small batches, with crashes before and after commits. Both must end alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.clock import SettableClock
from adapters.memory.payment_provider import MemoryPaymentProvider
from adapters.memory.store import MemoryStore, Tables
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.stripe import shapes
from adapters.stripe.translation import to_snapshot
from domain.plans import PriceList
from domain.subscription import ENDED
from ports.outbox import Message
from ports.payment_provider import ProviderCustomer
from tests.service.house import PRICES, House, data
from tests.stripe_payloads import (
    DAY,
    START,
    USER,
    Payload,
    at,
    customer,
    event,
    invoice,
    subscription,
)

OPEN = ["incomplete", "trialing", "active", "past_due", "unpaid", "paused", "never_heard_of"]
PLANS = ["general_monthly", "event_organizer_monthly"]


class Crash(BaseException):
    """The process dies here: nothing may catch it."""


@dataclass(frozen=True)
class History:
    """What happened at the provider: its events in order, and what it says now."""

    events: list[Payload]
    subscriptions: dict[str, Payload]
    email: str


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Two subscriptions of one customer, with invoices, notices and changes of address."""
    events: list[Payload] = []
    now: dict[str, Payload] = {}
    for ref in ("sub_1", "sub_2"):
        made, now[ref] = draw(_life(ref))
        events += made
    emails = draw(st.lists(st.sampled_from(["a@x.org", "b@x.org", "c@x.org"]), max_size=3))
    moment = START
    for number, email in enumerate(emails):
        moment += draw(st.integers(0, 2))
        about = customer(email=email)
        kind = "customer.updated" if number else "customer.created"
        events.append(event(kind, about, created=moment))
    if draw(st.booleans()):
        events.append(event("customer.deleted", customer(), created=START + 40 * DAY))
    events.sort(key=lambda e: e["created"])
    return History(events, now, emails[-1] if emails else "a@x.org")


@st.composite
def _life(draw: st.DrawFn, ref: str) -> tuple[list[Payload], Payload]:
    """One subscription: several changes may share a second."""
    moment = START
    about = subscription(ref, status=draw(st.sampled_from(["incomplete", "trialing", "active"])))
    events = [event("customer.subscription.created", about, created=moment)]
    notices = draw(st.sets(st.integers(0, 4), max_size=2))
    for number in range(draw(st.integers(0, 4))):
        moment += draw(st.integers(0, 2))
        about = subscription(
            ref,
            status=draw(st.sampled_from(OPEN)),
            lookup_key=draw(st.sampled_from(PLANS)),
            period=draw(st.sampled_from([None, (START + 30 * DAY, START + 60 * DAY)])),
            cancel_at=draw(st.sampled_from([None, START + 30 * DAY])),
            pending_setup_intent=draw(st.sampled_from([None, None, "seti_1"])),
        )
        events.append(event("customer.subscription.updated", about, created=moment))
        if number in notices:
            moment += draw(st.integers(0, 1))
            events.append(event("customer.subscription.trial_will_end", about, created=moment))
    end = draw(st.sampled_from([None, "canceled", "incomplete_expired"]))
    if end is not None:
        moment += draw(st.integers(0, 2))
        about = about | {"status": end, "ended_at": moment}
        kind = "deleted" if end == "canceled" else "updated"
        events.append(event(f"customer.subscription.{kind}", about, created=moment))
    for number in range(draw(st.integers(0, 2))):
        bill = invoice(
            f"in_{ref}_{number}", subscription=ref, amount=draw(st.sampled_from([0, 1000]))
        )
        events += [
            event(kind, bill, created=START + number)
            for kind in ("invoice.paid", "invoice.payment_succeeded")
        ]
        owed = invoice(f"in_{ref}_{number}", subscription=ref, paid=False)
        events += [
            event("invoice.payment_failed", owed | {"attempt_count": n}, created=START + number)
            for n in range(draw(st.integers(0, 2)))
        ]
    return events, about


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
    assert _rows(shuffled) == _rows(in_order)
    for ref, final in history.subscriptions.items():
        told = _in_the_order_of_arrival(m for m in messages if m.ordering_key == ref)
        _assert_legal(told, shuffled.subscriptions[ref].status)
        _assert_each_invoice_is_told(history, ref, told, shuffled)
        _assert_each_notice_is_told(history, ref, told, shuffled)
        assert shuffled.subscriptions[ref].facts == _truth(final)


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


def provider_after(history: History) -> MemoryPaymentProvider:
    """The provider, asked once all of this has happened."""
    provider = MemoryPaymentProvider()
    provider.customers["cus_1"] = ProviderCustomer("cus_1", USER, history.email, "Alice", at(START))
    provider.subscriptions = {ref: _truth(now) for ref, now in history.subscriptions.items()}
    return provider


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


def _truth(now: Payload) -> Any:
    return to_snapshot(msgspec.convert(now, shapes.Subscription), PriceList(PRICES))


def _rows(tables: Tables) -> object:
    """The tables, bookkeeping aside."""
    customers = {ref: replace(row, as_of=None) for ref, row in tables.customers.items()}
    subscriptions = {
        ref: (row.user_id, row.customer_ref, row.facts, row.as_of)
        for ref, row in tables.subscriptions.items()
    }
    return customers, subscriptions, tables.trials


def _in_the_order_of_arrival(messages: Iterator[Message]) -> list[Message]:
    """Repeats taken out, which must be the same to the byte."""
    seen: dict[Any, Message] = {}
    for message in messages:
        assert seen.setdefault(message.id, message) == message
    return list(seen.values())


def _assert_legal(told: list[Message], status: str) -> None:
    assert [m.version for m in told] == list(range(1, len(told) + 1))
    believed, canceled = None, False
    for index, message in enumerate(told):
        said = data(message)
        match message.type:
            case "payments.subscription.activated.v1":
                assert index == 0
                believed = said["status"]
            case "payments.subscription.status_changed.v1":
                assert not canceled
                if index:
                    assert said["oldStatus"] == believed
                else:
                    assert said["newStatus"] in ENDED, "only an attempt's end comes first"
                believed = said["newStatus"]
            case "payments.subscription.canceled.v1":
                before = told[index - 1]
                assert before.type == "payments.subscription.status_changed.v1"
                assert believed in ENDED
                assert not canceled
                canceled = True
            case _:
                assert believed is not None, "nothing is said before activation"
    if told:
        assert believed == status
        assert canceled == (status in ENDED)


def _assert_each_invoice_is_told(
    history: History, ref: str, told: list[Message], tables: Tables
) -> None:
    paid = {
        e["data"]["object"]["id"]
        for e in history.events
        if e["type"] == "invoice.paid"
        and e["data"]["object"]["amount_paid"] > 0
        and e["data"]["object"]["id"].startswith(f"in_{ref}_")
    }
    said = [data(m)["invoiceId"] for m in told if m.type == "payments.payment.succeeded.v1"]
    if tables.subscriptions[ref].may_be_spoken_of:
        assert sorted(said) == sorted(paid)
    else:
        assert said == []


def _assert_each_notice_is_told(
    history: History, ref: str, told: list[Message], tables: Tables
) -> None:
    """A trial's ending and each failed attempt to collect: once, unless nothing may be said."""
    endings = [
        e
        for e in history.events
        if e["type"] == "customer.subscription.trial_will_end" and e["data"]["object"]["id"] == ref
    ]
    attempts = [
        (e["data"]["object"]["id"], e["data"]["object"]["attempt_count"])
        for e in history.events
        if e["type"] == "invoice.payment_failed"
        and e["data"]["object"]["id"].startswith(f"in_{ref}_")
    ]
    types = [m.type for m in told]
    failed = [
        (data(m)["invoiceId"], data(m)["attemptCount"])
        for m in told
        if m.type == "payments.payment.failed.v1"
    ]
    if tables.subscriptions[ref].may_be_spoken_of:
        assert types.count("payments.subscription.trial_ending.v1") == len(endings)
        assert sorted(failed) == sorted(attempts)
    else:
        assert not types
