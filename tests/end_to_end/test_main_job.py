"""From a signed webhook over HTTP to a CloudEvent out of a quorum queue."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from tests.end_to_end.consumer import Inbox
from tests.end_to_end.processes import Process, run, running
from tests.end_to_end.service import assert_whole, deliver, is_over, life
from tests.stripe_payloads import DAY, START, Payload, Shape, customer, event, signed
from tests.stripe_stand_in import StripeStandIn

CORPUS = Path(__file__).parents[3] / "shared" / "stripe" / "payloads"


async def test_a_signed_webhook_comes_out_of_a_quorum_queue_as_a_cloud_event(
    environment: dict[str, str], stripe: StripeStandIn, inbox: Inbox, tmp_path: Path
) -> None:
    user = uuid4()
    events = life("sub_first", user, stripe)
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with running("serve", environment, tmp_path) as service:
        request = signed(events[0])
        async with httpx.AsyncClient(base_url=service.address or "") as client:
            for duplicate in (False, True):
                answer = await client.post(
                    "/api/payments/webhook",
                    content=request.body,
                    headers={"stripe-signature": request.header, "traceparent": traceparent},
                )
                assert answer.json() == {"received": True, "duplicate": duplicate}
        await inbox.until(lambda: len(inbox.events({str(user)})) == 1)
        service.signal(signal.SIGTERM)
        assert await service.wait() == 0
    message = next(m for m in inbox.messages if json.loads(m.body)["subject"] == str(user))
    said = json.loads(message.body)
    assert message.message_id == said["id"]
    assert message.routing_key == said["type"] == "payments.subscription.activated.v1"
    assert message.content_type == "application/cloudevents+json; charset=utf-8"
    assert message.delivery_mode == 2
    assert said["specversion"] == "1.0"
    assert said["source"] == "/payments"
    assert said["sequence"] == "1"
    assert said["traceparent"].split("-")[1] == traceparent.split("-")[1]
    assert said["data"] == {
        "userId": str(user),
        "subscriptionId": said["data"]["subscriptionId"],
        "email": "sub_first@example.org",
        "accessUntil": None,
        "status": "trialing",
        "plan": "general",
        "interval": "month",
        "trialEndDate": "2026-06-30T00:00:00Z",
    }


async def test_any_order_and_repeats_over_http_end_as_at_stripe(
    environment: dict[str, str], stripe: StripeStandIn, inbox: Inbox, tmp_path: Path
) -> None:
    users = {str(uuid4()): f"sub_{n}" for n in range(40)}
    shapes: cycle[Shape] = cycle(("new", "old"))
    lives = [
        life(ref, UUID(user), stripe, shape)
        for (user, ref), shape in zip(users.items(), shapes, strict=False)
    ]
    events = [payload for one in lives for payload in one]
    chance = random.Random(20261122)  # noqa: S311 - an order, not a secret
    chance.shuffle(events)
    async with running("serve", environment, tmp_path) as service:
        answers = await deliver(service.address, [*events, *chance.sample(events, 60)])
        assert sum(answer["duplicate"] for answer in answers) == 60
        await inbox.until(lambda: is_over(inbox, set(users), 40))
    for told in inbox.events(set(users)).values():
        assert_whole(told)


async def test_workers_that_die_and_stall_lose_nothing_and_keep_the_order(
    environment: dict[str, str], stripe: StripeStandIn, inbox: Inbox, tmp_path: Path
) -> None:
    """Three workers share the work; one is killed, one stalls and wakes after it was replaced."""
    users = {str(uuid4()): f"sub_{n}" for n in range(60)}
    lives = [life(ref, UUID(user), stripe) for user, ref in users.items()]
    events = [payload for step in zip(*lives, strict=True) for payload in step]
    third = len(events) // 3
    async with AsyncExitStack() as stack:
        api: Process = await stack.enter_async_context(running("api", environment, tmp_path))
        killed, stalled, _ = [
            await stack.enter_async_context(running("worker", environment, tmp_path))
            for _ in range(3)
        ]
        await deliver(api.address, events[:third])
        killed.signal(signal.SIGKILL)
        stalled.signal(signal.SIGSTOP)
        await deliver(api.address, events[third : 2 * third])
        await deliver(api.address, events[2 * third :])
        await inbox.until(lambda: is_over(inbox, set(users), 60))
        stalled.signal(signal.SIGCONT)
        again = uuid4()
        await deliver(api.address, life("sub_after", again, stripe))
        await inbox.until(lambda: is_over(inbox, {str(again)}, 1))
    for told in inbox.events(set(users) | {str(again)}).values():
        assert_whole(told)


async def test_webhooks_are_taken_while_the_broker_is_away(
    environment: dict[str, str], stripe: StripeStandIn, tmp_path: Path
) -> None:
    user = uuid4()
    nowhere = environment | {"RABBITMQ_URL": "amqp://guest:guest@127.0.0.1:1/"}
    async with running("serve", nowhere, tmp_path) as service:
        await deliver(service.address, life("sub_away", user, stripe))
    database = await asyncpg.connect(environment["DATABASE_URL"])
    try:
        kept = await database.fetchval("SELECT count(*) FROM payments.stripe_webhook_events")
        gone = await database.fetchval(
            "SELECT count(*) FROM payments.outbox_events WHERE published_at IS NOT NULL"
        )
    finally:
        await database.close()
    assert (kept, gone) == (7, 0)


async def test_recorded_events_run_through_and_foreign_ones_are_counted(
    environment: dict[str, str], stripe: StripeStandIn, inbox: Inbox, tmp_path: Path
) -> None:
    """Recorded subscriptions as they are, and laid over with a user and a price of ours."""
    if not CORPUS.is_dir():
        pytest.skip("the recorded payloads are not beside this checkout (shared/stripe/payloads)")
    recorded = [json.loads(path.read_text()) for path in sorted(CORPUS.glob("*/*.json"))]
    events = {e["id"]: e | {"livemode": False} for e in recorded if e["object"] == "event"}
    subscriptions = [o for o in recorded if o["object"] == "subscription"] + [
        e["data"]["object"]
        for e in events.values()
        if e["type"].startswith("customer.subscription.")
    ]
    users: dict[str, str] = {}
    ours: list[Payload] = []
    for about in subscriptions:
        user = users.setdefault(about["customer"], str(uuid4()))
        laid_over = json.loads(json.dumps(about))
        laid_over |= {"id": f"{about['id']}_ours_{len(ours)}", "metadata": {"user_id": user}}
        laid_over["customer"] = f"{about['customer']}_ours"
        for item in laid_over["items"]["data"]:
            item["price"] = {**(item.get("price") or {}), "lookup_key": "general_monthly"}
        stripe.customers[laid_over["customer"]] = customer(laid_over["customer"], user_id=user)
        ours += [event("customer.subscription.created", laid_over, created=START, shape="old")]
        ended = laid_over | {"status": "canceled", "ended_at": START + DAY}
        ours += [event("customer.subscription.deleted", ended, created=START + DAY, shape="old")]
    async with running("serve", environment, tmp_path) as service:
        await deliver(service.address, [*events.values(), *ours])
        expected = {o["data"]["object"]["id"] for o in ours}
        await inbox.until(
            lambda: (
                sum(
                    told[-1]["type"] == "payments.subscription.canceled.v1"
                    for told in inbox.events(set(users.values())).values()
                )
                == len(expected)
            )
        )
        outcomes = await _outcomes_once_all_is_done(environment["DATABASE_URL"])
    for told in inbox.events(set(users.values())).values():
        assert [int(e["sequence"]) for e in told] == list(range(1, len(told) + 1))
        assert told[-1]["data"]["userId"] in users.values()
    untouched = {e["id"] for e in events.values() if e["type"].startswith("customer.subscription")}
    assert untouched, "the corpus holds subscription events"
    assert {outcomes[event_id] for event_id in untouched} == {"foreign"}
    assert {outcomes[event_id] for event_id in events} == {"ignored", "foreign"}


async def test_what_was_given_up_is_listed_mended_and_replayed(
    environment: dict[str, str], stripe: StripeStandIn, inbox: Inbox, tmp_path: Path
) -> None:
    user, stranger = uuid4(), uuid4()
    started = life("sub_conflict", user, stripe)[0]
    stripe.customers["cus_sub_conflict"]["metadata"]["user_id"] = str(stranger)
    database = {"DATABASE_URL": environment["DATABASE_URL"]}
    async with running("serve", environment, tmp_path) as service:
        await deliver(service.address, [started])
        async with asyncio.timeout(30):
            while "OwnershipConflict" not in (await run(database, "events", "list"))[1]:
                await asyncio.sleep(0.05)
        status, shown = await run(database, "events", "show", started["id"])
        assert status == 0
        assert str(user) in shown
        stripe.customers["cus_sub_conflict"]["metadata"]["user_id"] = str(user)
        _, dry = await run(database, "events", "replay", "--state", "dead", "--dry-run")
        assert "1 would be replayed" in dry
        status, _ = await run(database, "events", "replay", started["id"])
        assert status == 0
        await inbox.until(lambda: len(inbox.events({str(user)})) == 1)
    status, again = await run(database, "events", "replay", started["id"])
    assert status == 1
    assert "is applied" in again


async def _outcomes_once_all_is_done(database_url: str) -> dict[str, str]:
    database = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(30):
            while await database.fetchval(
                "SELECT count(*) FROM payments.stripe_webhook_events WHERE NOT processed"
            ):
                await asyncio.sleep(0.05)
        rows = await database.fetch("SELECT event_id, outcome FROM payments.stripe_webhook_events")
        return {row["event_id"]: row["outcome"] for row in rows}
    finally:
        await database.close()
