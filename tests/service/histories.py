"""Histories of subscriptions that hypothesis makes up, and what has to come of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from hypothesis import strategies as st

from adapters.memory.payment_provider import MemoryPaymentProvider
from adapters.memory.store import Tables
from adapters.stripe import shapes
from adapters.stripe.translation import to_snapshot
from domain.plans import PriceList
from domain.subscription import ENDED
from ports.outbox import Message
from ports.payment_provider import ProviderCustomer
from tests.service.house import PRICES, data
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


def provider_after(history: History) -> MemoryPaymentProvider:
    """The provider, asked once all of this has happened."""
    provider = MemoryPaymentProvider()
    provider.customers["cus_1"] = ProviderCustomer("cus_1", USER, history.email, "Alice", at(START))
    provider.subscriptions = {ref: truth(now) for ref, now in history.subscriptions.items()}
    return provider


def truth(now: Payload) -> Any:
    """A subscription of Stripe's as the provider port tells it."""
    return to_snapshot(msgspec.convert(now, shapes.Subscription), PriceList(PRICES))


def rows(tables: Tables) -> object:
    """The tables, bookkeeping aside."""
    customers = {ref: replace(row, as_of=None) for ref, row in tables.customers.items()}
    subscriptions = {
        ref: (row.user_id, row.customer_ref, row.facts, row.as_of)
        for ref, row in tables.subscriptions.items()
    }
    return customers, subscriptions, tables.trials


def in_the_order_of_arrival(messages: Iterable[Message]) -> list[Message]:
    """Repeats taken out, which must be the same to the byte."""
    seen: dict[Any, Message] = {}
    for message in messages:
        assert seen.setdefault(message.id, message) == message
    return list(seen.values())


def assert_legal(told: list[Message], status: str) -> None:
    """Fail unless these messages are a way to this status that the grammar allows."""
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


def assert_each_invoice_is_told(
    history: History, ref: str, told: list[Message], tables: Tables
) -> None:
    """Each invoice that was paid: once, unless nothing may be said."""
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


def assert_each_notice_is_told(
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
