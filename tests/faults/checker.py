"""Compares what was answered 200, what is in the tables, and what the consumer received.

It uses SQL and JSON alone, and nothing of the service's own code.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import asyncpg

from tests.faults.stripe import Life

Event = dict[str, Any]


async def settled(database_url: str) -> None:
    """Return once every webhook is worked off and every message is out."""
    pending = """
        SELECT (SELECT count(*) FROM payments.stripe_webhook_events WHERE NOT processed)
             + (SELECT count(*) FROM payments.outbox_events WHERE published_at IS NULL)
    """
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(120):
            while await connection.fetchval(pending):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def check(
    database_url: str, lives: Sequence[Life], answered: Collection[str], arrived: Sequence[bytes]
) -> None:
    """Fail, saying where, unless nothing is lost, doubled, out of order or contradictory."""
    connection = await asyncpg.connect(database_url)
    try:
        webhooks = await connection.fetch(
            "SELECT event_id, processed, outcome FROM payments.stripe_webhook_events"
        )
        rows = await connection.fetch(
            "SELECT id, stripe_subscription_id, user_id, status, version"
            " FROM payments.subscriptions"
        )
        outbox = await connection.fetch("SELECT id, body, published_at FROM payments.outbox_events")
    finally:
        await connection.close()

    # What was answered 200 was written down and worked off. What was not answered may be there.
    kept = {row["event_id"]: row for row in webhooks}
    sent = {payload["id"] for life in lives for payload in life.events}
    assert set(answered) == sent, "every webhook was sent until it was answered 200"
    assert set(kept) == sent, "exactly what was sent is written down, each once"
    assert all(row["processed"] for row in webhooks)
    assert {row["outcome"] for row in webhooks} <= {"applied", "stale", "ignored"}

    # What was written to the outbox went out and came in, to the byte, and nothing else did.
    assert all(row["published_at"] for row in outbox)
    written = {str(row["id"]): bytes(row["body"]) for row in outbox}
    events = first_arrivals(arrived)
    assert {event["id"]: body for event, body in events} == written

    told: defaultdict[str, list[Event]] = defaultdict(list)
    for event, _ in events:
        told[event["data"]["subscriptionId"]].append(event)
    by_ref = {row["stripe_subscription_id"]: row for row in rows}
    assert set(by_ref) == {life.ref for life in lives}
    for life in lives:
        row = by_ref[life.ref]
        assert row["user_id"] == life.user
        assert row["status"] == "canceled"
        history = told[str(row["id"])]
        assert {event["subject"] for event in history} == {str(life.user)}
        assert len(history) == row["version"]
        check_history(history)


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


def check_history(history: Sequence[Event]) -> None:
    """Fail unless these events, in the order of their arrival, tell of a life to its end."""
    assert [int(event["sequence"]) for event in history] == list(range(1, len(history) + 1))
    kinds = [event["type"].removeprefix("payments.").removesuffix(".v1") for event in history]
    assert kinds.count("subscription.activated") <= 1
    assert "subscription.activated" not in kinds[1:], "nothing is said before activation"
    assert kinds.count("subscription.canceled") == 1
    end = kinds.index("subscription.canceled")
    assert kinds[end - 1] == "subscription.status_changed", "Canceled follows the last change"
    assert "subscription.status_changed" not in kinds[end:], "what has ended stays ended"
    assert kinds.count("payment.succeeded") == 1, "each invoice is told of once"
    believed = history[0]["data"].get("status")
    for event in history:
        said = event["data"]
        if "newStatus" in said:
            assert believed in (None, said["oldStatus"]), "each change starts where the last ended"
            believed = said["newStatus"]
    assert believed == "canceled"
