"""The checker of the fault suite finds what it is there to find.

What it is shown comes from the real use cases on adapters in memory, and then one thing about it
is made wrong.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.memory.payment_provider import MemoryPaymentProvider
from adapters.stripe import shapes
from adapters.stripe.translation import to_snapshot
from domain.plans import PriceList
from ports.payment_provider import ProviderCustomer
from tests.faults.checker import Tables, check, check_answers, first_arrivals
from tests.faults.lives import Life, draw_life
from tests.faults.stripe import Try
from tests.service.house import PRICES, House
from tests.stripe_payloads import at


@dataclass
class Evidence:
    """Everything the checker looks at."""

    tables: Tables
    lives: list[Life]
    tries: list[Try] = field(default_factory=list)
    arrived: list[bytes] = field(default_factory=list)

    def check(self, *, stripe_was_away: bool = False) -> None:
        check(
            self.tables,
            self.lives,
            self.tries,
            self.arrived,
            stripe_was_away=stripe_was_away,
        )


async def lived(seed: int, lives: int) -> Evidence:
    """What so many lives leave behind when nothing fails."""
    drawn = [draw_life(seed, number) for number in range(lives)]
    provider = MemoryPaymentProvider()
    for life in drawn:
        cus = life.customer["id"]
        provider.customers[cus] = ProviderCustomer(
            cus, life.user, life.customer["email"], "Alice", at(life.customer["created"])
        )
        provider.subscriptions[life.ref] = to_snapshot(
            msgspec.convert(life.truth, shapes.Subscription), PriceList(PRICES)
        )
    house = House(provider=provider)
    tries = []
    for life in drawn:
        for delivery in life.deliveries:
            for _ in range(1 + delivery.repeats):
                [receipt] = await house.deliver(delivery.payload)
                tries.append(Try(delivery.payload["id"], receipt.duplicate))
            await house.run()
    await house.lookups.close()
    return Evidence(rows(house), drawn, tries, [m.body for m in house.published()])


def rows(house: House) -> Tables:
    kept = house.store.tables
    return Tables(
        webhooks=[
            {"event_id": id, "processed": row.processed, "outcome": row.outcome}
            for id, row in kept.webhooks.items()
        ],
        subscriptions=[
            {
                "id": row.id,
                "stripe_subscription_id": row.subscription_ref,
                "stripe_customer_id": row.customer_ref,
                "user_id": row.user_id,
                "status": row.status,
                "plan": row.facts.plan,
                "billing_interval": row.facts.interval,
                "trial_end_date": row.facts.trial_end,
                "end_date": row.facts.end,
                "version": row.version,
            }
            for row in kept.subscriptions.values()
        ],
        customers=[
            {"stripe_customer_id": ref, "user_id": row.user_id, "email": row.email}
            for ref, row in kept.customers.items()
        ],
        trials=[{"user_id": user} for user in kept.trials],
        invoices=[{"stripe_invoice_id": ref} for ref in kept.paid_invoices],
        outbox=[
            {"id": id, "body": row.message.body, "published_at": row.published_at}
            for id, row in kept.messages.items()
        ],
    )


@pytest.fixture(scope="module")
def whole() -> Evidence:
    """Twenty lives; every kind of them is among so many."""
    return asyncio.run(lived(seed=1, lives=20))


@pytest.fixture
def evidence(whole: Evidence) -> Evidence:
    return deepcopy(whole)


@pytest.mark.parametrize("seed", range(10))
def test_what_was_lived_without_a_fault_passes(seed: int) -> None:
    asyncio.run(lived(seed, lives=10)).check()


def test_lives_are_of_every_kind(whole: Evidence) -> None:
    lives = whole.lives
    assert {life.truth["status"] for life in lives} == {"active", "past_due", "canceled"}
    assert {life.truth["trial_end"] is None for life in lives} == {True, False}
    happened = [[payload["type"] for payload in life.events] for life in lives]
    for notice in ("customer.subscription.trial_will_end", "invoice.payment_failed"):
        assert {notice in types for types in happened} == {True, False}
    told = [json.loads(body)["type"] for body in whole.arrived]
    assert "payments.subscription.plan_changed.v1" in told
    repeats = [delivery.repeats for life in lives for delivery in life.deliveries]
    assert repeats.count(0) >= len(repeats) / 3
    assert {0, 1, 2} <= set(repeats)


def test_a_seed_gives_the_same_lives_again() -> None:
    assert [draw_life(7, n) for n in range(9)] == [draw_life(7, n) for n in range(9)]
    assert draw_life(7, 0) != draw_life(8, 0)
    assert draw_life(7, 0).user != draw_life(7, 1).user


@pytest.mark.parametrize(
    "table", ["webhooks", "subscriptions", "customers", "trials", "invoices", "outbox"]
)
def test_a_lost_row_and_one_too_many_are_found(table: str, evidence: Evidence) -> None:
    found = getattr(evidence.tables, table)
    lost = found.pop()
    with pytest.raises(AssertionError):
        evidence.check()
    other = {name: UUID(int=1) if isinstance(v, UUID) else v for name, v in lost.items()}
    for name in ("event_id", "stripe_subscription_id", "stripe_customer_id", "stripe_invoice_id"):
        if name in other:
            other[name] = "another"
            break
    found += [lost, other]
    with pytest.raises(AssertionError):
        evidence.check()
    found.pop()
    evidence.check()


def put(table: str, column: str, value: Any) -> Callable[[Evidence], None]:
    def change(evidence: Evidence) -> None:
        row = getattr(evidence.tables, table)[0]
        assert row[column] != value
        row[column] = value

    return change


def count_one_message_more(evidence: Evidence) -> None:
    evidence.tables.subscriptions[0]["version"] += 1


@pytest.mark.parametrize(
    "wrong",
    [
        put("webhooks", "processed", False),
        put("webhooks", "outcome", "dead"),
        put("subscriptions", "user_id", UUID(int=1)),
        put("subscriptions", "status", "unpaid"),
        put("subscriptions", "plan", "unknown"),
        put("subscriptions", "billing_interval", "year"),
        put("subscriptions", "trial_end_date", at(1)),
        put("subscriptions", "end_date", at(1)),
        put("subscriptions", "stripe_customer_id", "cus_other"),
        put("customers", "user_id", UUID(int=1)),
        put("customers", "email", "other@example.org"),
        put("customers", "email", None),
        put("outbox", "published_at", None),
        put("outbox", "body", b"{}"),
        count_one_message_more,
    ],
)
def test_a_wrong_row_is_found(wrong: Callable[[Evidence], None], evidence: Evidence) -> None:
    wrong(evidence)
    with pytest.raises(AssertionError):
        evidence.check()


def test_an_email_may_be_unknown_only_where_stripe_was_away(evidence: Evidence) -> None:
    put("customers", "email", None)(evidence)
    evidence.check(stripe_was_away=True)
    put("customers", "email", "other@example.org")(evidence)
    with pytest.raises(AssertionError):
        evidence.check(stripe_was_away=True)


def test_a_message_that_never_came_or_that_nobody_wrote_is_found(evidence: Evidence) -> None:
    lost = evidence.arrived.pop(5)
    with pytest.raises(AssertionError, match="never came"):
        evidence.check()
    evidence.arrived.insert(5, lost)
    evidence.check()
    evidence.arrived.append(json.dumps(json.loads(lost) | {"id": str(UUID(int=1))}).encode())
    with pytest.raises(AssertionError, match="nobody has written"):
        evidence.check()


def test_two_messages_of_one_subscription_in_the_wrong_order_are_found(evidence: Evidence) -> None:
    first = json.loads(evidence.arrived[0])["data"]["subscriptionId"]
    second = next(
        n
        for n, body in enumerate(evidence.arrived[1:], 1)
        if json.loads(body)["data"]["subscriptionId"] == first
    )
    arrived = evidence.arrived
    arrived[0], arrived[second] = arrived[second], arrived[0]
    with pytest.raises(AssertionError):
        evidence.check()


def retell(evidence: Evidence, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Write one whole subscription's messages anew, as a service that errs would have."""
    subject = next(e for e in map(json.loads, evidence.arrived) if "canceled.v1" in e["type"])
    mine = subject["data"]["subscriptionId"]
    told = [e for e in map(json.loads, evidence.arrived) if e["data"]["subscriptionId"] == mine]
    others = [b for b in evidence.arrived if json.loads(b)["data"]["subscriptionId"] != mine]
    old = {event["id"] for event in told}
    change(told)
    for number, event in enumerate(told, 1):
        event |= {"id": str(UUID(int=number)), "sequence": str(number)}
    bodies = [json.dumps(event).encode() for event in told]
    evidence.arrived = others + bodies
    evidence.tables.outbox = [
        row for row in evidence.tables.outbox if str(row["id"]) not in old
    ] + [
        {"id": event["id"], "body": body, "published_at": at(1)}
        for event, body in zip(told, bodies, strict=True)
    ]
    for row in evidence.tables.subscriptions:
        if str(row["id"]) == mine:
            row["version"] = len(told)


def of(told: list[dict[str, Any]], kind: str) -> int:
    return next(n for n, event in enumerate(told) if event["type"] == f"payments.{kind}.v1")


def tell_twice(kind: str) -> Callable[[list[dict[str, Any]]], None]:
    return lambda told: told.insert(of(told, kind) + 1, deepcopy(told[of(told, kind)]))


def never_tell(kind: str) -> Callable[[list[dict[str, Any]]], None]:
    return lambda told: told.__delitem__(of(told, kind))


def say(kind: str, name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda told: told[of(told, kind)]["data"].update({name: value})


def swap_the_last_change_and_the_end(told: list[dict[str, Any]]) -> None:
    end = of(told, "subscription.canceled")
    told[end - 1], told[end] = told[end], told[end - 1]


def test_what_is_only_told_anew_passes(evidence: Evidence) -> None:
    retell(evidence, lambda told: None)
    evidence.check()


@pytest.mark.parametrize(
    "error",
    [
        tell_twice("subscription.activated"),
        tell_twice("payment.succeeded"),
        tell_twice("subscription.status_changed"),
        tell_twice("subscription.canceled"),
        never_tell("payment.succeeded"),
        never_tell("subscription.status_changed"),
        never_tell("subscription.canceled"),
        say("subscription.status_changed", "oldStatus", "paused"),
        say("subscription.status_changed", "newStatus", "paused"),
        say("subscription.canceled", "endDate", "2026-01-01T00:00:00Z"),
        say("subscription.canceled", "email", "other@example.org"),
        say("subscription.canceled", "userId", str(UUID(int=1))),
        swap_the_last_change_and_the_end,
    ],
)
def test_a_history_that_contradicts_its_life_is_found(
    error: Callable[[list[dict[str, Any]]], None], evidence: Evidence
) -> None:
    retell(evidence, error)
    with pytest.raises(AssertionError):
        evidence.check()


@pytest.mark.parametrize("kind", ["subscription.trial_ending", "payment.failed"])
def test_a_notice_told_twice_is_found(kind: str, evidence: Evidence) -> None:
    body = next(b for b in evidence.arrived if json.loads(b)["type"] == f"payments.{kind}.v1")
    row = next(
        row
        for row in evidence.tables.subscriptions
        if str(row["id"]) == json.loads(body)["data"]["subscriptionId"]
    )
    row["version"] += 1
    again = json.loads(body) | {"id": str(UUID(int=1)), "sequence": str(row["version"])}
    evidence.arrived.append(json.dumps(again).encode())
    evidence.tables.outbox = [
        *evidence.tables.outbox,
        {"id": again["id"], "body": evidence.arrived[-1], "published_at": at(1)},
    ]
    with pytest.raises(AssertionError, match=r"is told (of )?once"):
        evidence.check()


def test_a_repeat_counts_once_and_has_to_be_the_same() -> None:
    one, two, other = b'{"id": "1"}', b'{"id": "2"}', b'{"id": "1", "more": 1}'
    again = bytes(bytearray(one))
    assert [body for _, body in first_arrivals([one, two, again])] == [one, two]
    with pytest.raises(AssertionError, match="different bodies"):
        first_arrivals([one, other])


@pytest.mark.parametrize("said", [[False], [None, False, True], [None, True], [False, None, True]])
def test_answers_that_may_be_pass(said: list[bool | None]) -> None:
    check_answers([Try("evt", duplicate) for duplicate in said])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([False, False], "taken for new"),
        ([False, None, False], "taken for new"),
        ([None, True, False], "taken for new"),
        ([True], "known before it was sent"),
        ([None, None], "never answered"),
    ],
)
def test_an_answer_that_cannot_be_is_found(said: list[bool | None], why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        check_answers([Try("evt", duplicate) for duplicate in said])
