"""Compares what was answered, what is in the tables, and what the consumer received.

It uses SQL and JSON alone, and nothing of the service's own code. What ought to be follows from
the lives that were sent.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from tests.faults.lives import Life
from tests.faults.stripe import Try
from tests.stripe_payloads import at

Event = dict[str, Any]
Row = dict[str, Any]


@dataclass
class Tables:
    """What is in the tables at the end, each row by the names of its columns."""

    webhooks: Sequence[Row]
    subscriptions: Sequence[Row]
    customers: Sequence[Row]
    trials: Sequence[Row]
    invoices: Sequence[Row]
    outbox: Sequence[Row]


async def settled(database_url: str) -> None:
    """Return once every webhook is worked off and every message is out; fail with what is not."""
    pending = (
        "SELECT event_id, event_type, attempt_count, outcome, error_message, waiting_for,"
        " next_attempt_at, now() FROM payments.stripe_webhook_events WHERE NOT processed",
        "SELECT id, ordering_key, version, now() FROM payments.outbox_events"
        " WHERE published_at IS NULL",
    )
    connection = await asyncpg.connect(database_url)
    try:
        left: list[Row] = []
        try:
            async with asyncio.timeout(120):
                while left := [dict(row) for q in pending for row in await connection.fetch(q)]:
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{len(left)} are still not done with: {left[:5]}") from None
    finally:
        await connection.close()


async def read(database_url: str) -> Tables:
    """Everything that is checked."""
    connection = await asyncpg.connect(database_url)
    try:
        return Tables(
            *[
                [dict(row) for row in await connection.fetch(query)]
                for query in (
                    "SELECT event_id, processed, outcome FROM payments.stripe_webhook_events",
                    "SELECT id, stripe_subscription_id, stripe_customer_id, user_id, status, plan,"
                    " billing_interval, trial_end_date, end_date, version"
                    " FROM payments.subscriptions",
                    "SELECT stripe_customer_id, user_id, email FROM payments.stripe_customers",
                    "SELECT user_id FROM payments.trial_redemptions",
                    "SELECT stripe_invoice_id FROM payments.paid_invoices",
                    "SELECT id, body, published_at FROM payments.outbox_events",
                )
            ]
        )
    finally:
        await connection.close()


def check(
    tables: Tables,
    lives: Sequence[Life],
    tries: Sequence[Try],
    arrived: Sequence[bytes],
    *,
    stripe_was_away: bool = False,
) -> None:
    """Fail, saying where, unless nothing is lost, doubled, out of order or contradictory.

    Where Stripe was away an email may be unknown, since nobody is made to wait for it.
    """
    check_answers(tries)
    # What was answered 200 was written down and worked off. All was sent until it was.
    sent = {payload["id"] for life in lives for payload in life.events}
    assert {row["event_id"] for row in tables.webhooks} == sent, "what was sent is what is kept"
    assert len(tables.webhooks) == len(sent), "each webhook is written down once"
    for row in tables.webhooks:
        assert row["processed"], f"{row['event_id']} was not worked off"
        assert row["outcome"] in ("applied", "stale", "ignored"), f"{row['event_id']}: {row}"

    # What was written to the outbox went out and came in, to the byte, and nothing else did.
    for row in tables.outbox:
        assert row["published_at"], f"message {row['id']} was not published"
    written = {str(row["id"]): bytes(row["body"]) for row in tables.outbox}
    events = first_arrivals(arrived)
    came = {event["id"]: body for event, body in events}
    assert came.keys() <= written.keys(), "a message came that nobody has written"
    assert written.keys() <= came.keys(), "a message was written and never came"
    assert came == written, "a message came with another body than was written"

    told: defaultdict[str, list[Event]] = defaultdict(list)
    for event, _ in events:
        told[event["data"]["subscriptionId"]].append(event)
    check_rows(tables, lives, stripe_was_away=stripe_was_away)
    by_ref = {row["stripe_subscription_id"]: row for row in tables.subscriptions}
    for life in lives:
        row = by_ref[life.ref]
        history = told.pop(str(row["id"]))
        assert len(history) == row["version"], f"the version of {life.ref} counts its messages"
        emails = {life.customer["email"], None} if stripe_was_away else {life.customer["email"]}
        for event in history:
            assert event["subject"] == event["data"]["userId"] == str(life.user)
            assert event["data"]["email"] in emails, f"the email of {life.ref} in {event}"
        check_history(history, life)
    assert not told, "messages about subscriptions that nobody has"


def check_log(lines: Iterable[str]) -> None:
    """Fail where the service met with something that it does not expect of its neighbours."""
    unforeseen = ('"stage_failed"', '"batch_failed"', '"exception"', "Traceback")
    for line in lines:
        assert not any(sign in line for sign in unforeseen), f"the log of the service says: {line}"


def check_answers(tries: Sequence[Try]) -> None:
    """Fail unless each webhook was new at most once, at first, and known ever after."""
    answers: defaultdict[str, list[bool | None]] = defaultdict(list)
    for event_id, duplicate in tries:
        answers[event_id].append(duplicate)
    for event_id, said in answers.items():
        # It was written down by a try that was not answered, and then was known already.
        assert said[0] is not True, f"{event_id} was known before it was sent"
        first = next((n for n, duplicate in enumerate(said) if duplicate is not None), None)
        assert first is not None, f"{event_id} was never answered 200"
        assert False not in said[first + 1 :], (
            f"{event_id} was taken for new after it was answered 200"
        )


def check_rows(tables: Tables, lives: Sequence[Life], *, stripe_was_away: bool) -> None:
    """Fail unless the rows say what the lives came to, and nothing besides."""
    _compare(
        "subscriptions",
        {
            row["stripe_subscription_id"]: tuple(
                row[column]
                for column in (
                    *("stripe_customer_id", "user_id", "status", "plan", "billing_interval"),
                    *("trial_end_date", "end_date"),
                )
            )
            for row in tables.subscriptions
        },
        {
            life.ref: (
                life.customer["id"],
                life.user,
                life.truth["status"],
                *_bought(life),
                _moment(life.truth["trial_end"]),
                _moment(life.truth["ended_at"]),
            )
            for life in lives
        },
    )
    unknown = {
        row["stripe_customer_id"]
        for row in tables.customers
        if stripe_was_away and row["email"] is None
    }
    _compare(
        "customers",
        {row["stripe_customer_id"]: (row["user_id"], row["email"]) for row in tables.customers},
        {
            life.customer["id"]: (
                life.user,
                None if life.customer["id"] in unknown else life.customer["email"],
            )
            for life in lives
        },
    )
    _compare(
        "trials",
        {row["user_id"]: True for row in tables.trials},
        {life.user: True for life in lives if life.truth["trial_end"]},
    )
    _compare(
        "paid invoices",
        {row["stripe_invoice_id"]: True for row in tables.invoices},
        {invoice: True for life in lives for invoice in _paid(life)},
    )


def first_arrivals(arrived: Sequence[bytes]) -> list[tuple[Event, bytes]]:
    """In their order; a repeat has to be the same message to the byte."""
    seen: dict[str, bytes] = {}
    first: list[tuple[Event, bytes]] = []
    for body in arrived:
        event = json.loads(body)
        if event["id"] not in seen:
            seen[event["id"]] = body
            first.append((event, body))
        assert seen[event["id"]] == body, f"{event['id']} came twice with different bodies"
    return first


def check_history(history: Sequence[Event], life: Life) -> None:
    """Fail unless these events, in the order of their arrival, tell of this life."""
    assert [int(event["sequence"]) for event in history] == list(range(1, len(history) + 1))
    kinds = [event["type"].removeprefix("payments.").removesuffix(".v1") for event in history]
    assert kinds.count("subscription.activated") <= 1
    assert "subscription.activated" not in kinds[1:], "nothing is said before activation"
    _check_notices(history, kinds, life)

    ended = life.truth["ended_at"] is not None
    assert kinds.count("subscription.canceled") == ended
    if ended:
        end = kinds.index("subscription.canceled")
        assert kinds[end - 1] == "subscription.status_changed", "Canceled follows the last change"
        assert "subscription.status_changed" not in kinds[end:], "what has ended stays ended"
        assert datetime.fromisoformat(history[end]["data"]["endDate"]) == at(life.truth["ended_at"])

    status = history[0]["data"].get("status")
    plan = history[0]["data"].get("plan"), history[0]["data"].get("interval")
    for event in history:
        said = event["data"]
        if "newStatus" in said:
            assert status in (None, said["oldStatus"]), "each change starts where the last ended"
            status = said["newStatus"]
        if "newPlan" in said:
            assert plan == (said["oldPlan"], said["oldInterval"]), "so does each change of plan"
            plan = said["newPlan"], said["newInterval"]
    assert status == life.truth["status"]
    assert ended or plan == _bought(life)


def _check_notices(history: Sequence[Event], kinds: Sequence[str], life: Life) -> None:
    """Each notice is passed on once, each invoice told of once, however often they came."""
    happened = [payload["type"] for payload in life.events]
    endings = happened.count("customer.subscription.trial_will_end")
    assert kinds.count("subscription.trial_ending") == endings, "each notice is told once"
    paid = [
        event["data"]["invoiceId"]
        for event, kind in zip(history, kinds, strict=True)
        if kind == "payment.succeeded"
    ]
    assert sorted(paid) == sorted(_paid(life)), "each paid invoice is told of once"
    failed = [
        (event["data"]["invoiceId"], event["data"]["attemptCount"])
        for event, kind in zip(history, kinds, strict=True)
        if kind == "payment.failed"
    ]
    tried = [
        (payload["data"]["object"]["id"], payload["data"]["object"]["attempt_count"])
        for payload in life.events
        if payload["type"] == "invoice.payment_failed"
    ]
    assert sorted(failed) == sorted(tried), "each failed attempt is told of once"


def _paid(life: Life) -> set[str]:
    """The invoices for which money moved."""
    return {
        payload["data"]["object"]["id"]
        for payload in life.events
        if payload["type"] == "invoice.paid" and payload["data"]["object"]["amount_paid"]
    }


def _bought(life: Life) -> tuple[str, str]:
    """The plan and the interval in the end."""
    price = life.truth["items"]["data"][0]["price"]
    plan = price["lookup_key"].rpartition("_")[0]
    return plan, price["recurring"]["interval"]


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else at(seconds)


def _compare(what: str, found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> None:
    assert not (missing := expected.keys() - found.keys()), f"{what} that are missing: {missing}"
    assert not (extra := found.keys() - expected.keys()), f"{what} that nobody has: {extra}"
    for key, row in expected.items():
        assert found[key] == row, f"{what}: {key} is {found[key]}, and ought to be {row}"
