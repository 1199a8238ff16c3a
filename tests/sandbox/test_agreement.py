"""A comparison that could not fail would say nothing: each side in turn is tampered with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest

from sandbox.backing import IN_PROCESS
from sandbox.scenarios.agreement import disagreements
from sandbox.scenarios.browser import Failed
from sandbox.scenarios.playing import Scenario, perform
from sandbox.scenarios.stage import Stage, staged
from sandbox.scenarios.storm import storm
from sandbox.scenarios.timeline import Timeline
from sandbox.users_service import (
    Consumer,
    DeadLetter,
    SubscriptionView,
    UsersService,
    UsersView,
)
from tests.end_to_end.processes import run


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
async def stage(database_url: str, tmp_path: Path, said: list[str]) -> AsyncIterator[Stage]:
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": IN_PROCESS}
    async with staged(tmp_path, given, Timeline(write=said.append)) as stage:
        yield stage


async def _one_pays(stage: Stage) -> None:
    buyer = await stage.buyer()
    await buyer.subscribe("general_monthly")
    await buyer.becomes("trialing", access=True)
    await stage.let_pass(days=181)
    await stage.until_told(buyer, "payment.succeeded")


async def _in_tables(stage: Stage, statement: str) -> None:
    database = await asyncpg.connect(stage.platform.database_url)
    try:
        await database.execute(statement)
    finally:
        await database.close()


async def test_each_side_is_compared(stage: Stage, said: list[str]) -> None:
    """Every tampering is noticed, named and mended again."""
    assert await perform(Scenario(_one_pays), stage) == 0
    assert "agree on 1 subscriptions" in said[-1]
    (subscription,) = stage.platform.stripe.world.store.all("subscription")
    item = subscription["items"]["data"][0]
    (views,) = stage.platform.users.view.users.values()
    (view,) = views.values()
    store = stage.platform.stripe.world.store
    tables = {
        "UPDATE payments.subscriptions SET status = 'unpaid'": "status",
        "UPDATE payments.subscriptions SET plan = 'event_organizer'": "plan",
        "UPDATE payments.subscriptions SET billing_interval = 'year'": "interval",
        "UPDATE payments.subscriptions SET trial_end_date = now()": "trial_end",
        "UPDATE payments.subscriptions SET end_date = now()": "ended_at",
        "UPDATE payments.subscriptions SET current_period_end = now()": "period_end",
        "UPDATE payments.subscriptions SET cancel_at = now()": "cancel_at",
        "UPDATE payments.subscriptions SET user_id = gen_random_uuid()": "user",
        "UPDATE payments.subscriptions SET version = version + 1": "messages",
        "UPDATE payments.outbox_events SET published_at = NULL": "not published",
        "UPDATE payments.stripe_webhook_events SET processed = false, outcome = NULL": "worked off",
        "UPDATE payments.stripe_webhook_events SET processed = false, outcome = 'dead'": "given up",
        "UPDATE payments.stripe_webhook_events SET processed = false, outcome = 'dead',"
        " ordering_key = 'cus_of_nobody'": "given up",
        "DELETE FROM payments.paid_invoices": "not paid",
        "DELETE FROM payments.subscriptions": "not known to the tables",
    }
    # The worker would mend some of this by itself.
    kept = ["subscriptions", "outbox_events", "stripe_webhook_events", "paid_invoices"]
    stage.platform.parts["the service"].cancel()
    for table in kept:
        await _in_tables(stage, f"CREATE TABLE kept_{table} AS TABLE payments.{table}")

    async def noticed(what: str) -> None:
        found = await disagreements(stage.platform, patience=0)
        assert what in "\n".join(found), (what, found)

    for statement, what in tables.items():
        table = next(name for name in kept if f"payments.{name}" in statement)
        await _in_tables(stage, statement)
        await noticed(what.replace("not paid", "which the tables deny"))
        columns = await _columns(stage, table)
        await _in_tables(
            stage,
            f"DELETE FROM payments.{table};"  # noqa: S608 - names of our own tables
            f" INSERT INTO payments.{table} ({columns}) OVERRIDING SYSTEM VALUE"
            f" SELECT {columns} FROM kept_{table}",
        )
        assert await disagreements(stage.platform, patience=0) == [], statement
    for name, other, what in (
        ("status", "unpaid", "for the users service"),
        ("plan", "event_organizer", "for the users service"),
        ("interval", "year", "for the users service"),
        ("access_until", "2030-01-01T00:00:00Z", "access ends None at Stripe and 2030-01-01"),
        ("version", 0, "the users service 0"),
    ):
        before = getattr(view, name)
        setattr(view, name, other)
        await noticed(what)
        setattr(view, name, before)
    for obj, key, value, what in (
        (subscription, "status", "past_due", "status is past_due at Stripe"),
        (subscription, "cancel_at", 1, "cancel_at"),
        (subscription, "cancel_at", 1, "access ends 1970"),
        (subscription, "trial_end", 1, "trial_end"),
        (subscription, "ended_at", 1, "ended_at"),
        (subscription, "ended_at", 1, "access ends 1970"),
        (item, "current_period_end", 1, "period_end"),
        (subscription, "metadata", {}, "user is None at Stripe"),
    ):
        before = obj[key]
        obj[key] = value
        await noticed(what)
        obj[key] = before
    price = item["price"]
    item["price"] = price | {"recurring": price["recurring"] | {"interval": "year"}}
    await noticed("interval is year at Stripe")
    item["price"] = price
    users = stage.platform.users.view.users
    (buyer,) = stage.buyers
    ((ours, _),) = views.items()
    for letter in (
        DeadLetter("a gap", user=buyer.id),
        DeadLetter("a gap", subscription=ours),
        DeadLetter("a gap"),
    ):
        stage.platform.users.dead_letters.append(letter)
        await noticed("the users service refused a message: a gap")
        stage.platform.users.dead_letters.clear()
    users["somebody"] = users.pop(buyer.id)
    await noticed(f"is of {buyer.id} at Stripe and of somebody for the users service")
    users[buyer.id] = users.pop("somebody")
    views["unheard-of"] = SubscriptionView(1, "active")
    await noticed(f"a subscription unheard-of of {buyer.id}, which nobody else knows")
    del views["unheard-of"]
    store.remove(subscription)
    await noticed("is not known to Stripe")
    store.add(subscription)
    assert await disagreements(stage.platform, patience=0) == []


async def _columns(stage: Stage, table: str) -> str:
    database = await asyncpg.connect(stage.platform.database_url)
    try:
        rows = await database.fetch(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = 'payments' AND table_name = $1",
            table,
        )
        return ", ".join(f'"{row[0]}"' for row in rows)
    finally:
        await database.close()


async def test_a_difference_is_told_and_fails_the_scenario(stage: Stage, said: list[str]) -> None:
    async def tampered(stage: Stage) -> None:
        await _one_pays(stage)
        (views,) = stage.platform.users.view.users.values()
        for view in views.values():
            view.status = "canceled"

    assert await perform(Scenario(tampered), stage, patience=0.5) == 1
    assert "differ on 1 subscriptions" in said[-1]
    assert any("DIFFERENT" in line for line in said)


async def test_a_story_that_goes_another_way_fails_though_all_agree(
    stage: Stage, said: list[str]
) -> None:
    async def astray(stage: Stage) -> None:
        raise Failed("somebody took another way")

    assert await perform(Scenario(astray), stage) == 1
    assert any("FAILED: somebody took another way" in line for line in said)
    assert "agree on 0 subscriptions" in said[-1]


async def test_any_failure_ends_a_scenario_with_a_line_and_a_comparison(
    stage: Stage, said: list[str]
) -> None:
    async def never(_: Stage) -> None:
        raise TimeoutError

    async def lost(_: Stage) -> None:
        raise asyncpg.ConnectionDoesNotExistError("connection was\nclosed")

    for astray, line in (
        (never, "FAILED: TimeoutError: "),
        (lost, "FAILED: ConnectionDoesNotExistError: connection was closed"),
    ):
        assert await perform(Scenario(astray), stage) == 1
        assert said[-2].endswith(line)
        assert "agree on 0 subscriptions" in said[-1]


async def test_what_an_earlier_scenario_left_behind_is_not_this_ones_fault(
    database_url: str, tmp_path: Path
) -> None:
    """One that was killed has messages left: the next one's users service hears their end only."""
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": IN_PROCESS}
    async with staged(tmp_path, given, Timeline(write=lambda _: None)) as stage:
        assert await perform(Scenario(_one_pays), stage) == 0
    # Not before it has ended, or it would publish them itself.
    await _in_tables(
        stage, "UPDATE payments.outbox_events SET published_at = NULL WHERE version > 1"
    )
    async with staged(tmp_path, given, Timeline(write=lambda _: None)) as stage:
        users = stage.platform.users
        await users.until(lambda _: bool(users.dead_letters), 60)
        assert await perform(Scenario(_one_pays), stage) == 0


async def test_what_cannot_be_compared_is_no_agreement(
    stage: Stage, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise ConnectionRefusedError("nobody listens")

    async def nothing(_: Stage) -> None:
        return

    monkeypatch.setattr(asyncpg, "connect", away)
    assert await perform(Scenario(nothing), stage) == 1
    assert "they cannot be compared: ConnectionRefusedError: nobody listens" in said[-2]
    assert "differ on 0 subscriptions" in said[-1]
    monkeypatch.undo()


async def test_a_storm_of_repeated_and_reordered_webhooks_ends_in_agreement(
    database_url: str, rabbitmq_url: str, tmp_path: Path
) -> None:
    """Half-way, with everybody in their trial, whoever comes late can be let in."""
    seen: list[set[str]] = []

    async def midway(stage: Stage) -> None:
        users = stage.platform.users.view.users
        seen.append({view.status for buyer in stage.buyers for view in users[buyer.id].values()})

    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": rabbitmq_url}
    async with staged(tmp_path, given, Timeline(write=lambda _: None)) as stage:
        await storm(stage, subscribers=30, midway=midway)
        assert await disagreements(stage.platform) == []
        deliveries = stage.platform.stripe.outbox.deliveries
        arrived = await _order_of_arrival(stage)
    assert seen == [{"trialing"}]
    assert len(deliveries) > 1.2 * len({delivery.event for delivery in deliveries})
    assert arrived != sorted(arrived), "the webhooks came in the order of their creation"


async def test_who_joins_in_the_middle_of_the_storm_arrives_at_the_same_view(
    database_url: str, rabbitmq_url: str, tmp_path: Path
) -> None:
    """Its queue is bound half-way, snapshots are asked for, and the storm goes on meanwhile.

    Cancellations are on their way then, so that there are numbers which it has not heard.
    """
    late = UsersService(lambda _: None)
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": rabbitmq_url}
    async with AsyncExitStack() as staying:
        stage = await staying.enter_async_context(
            staged(tmp_path, given, Timeline(write=lambda _: None))
        )
        republishing: list[asyncio.Task[tuple[int, str]]] = []

        async def midway(stage: Stage) -> None:
            consumer = Consumer(rabbitmq_url, late, queue="users.late", temporary=True)
            await staying.enter_async_context(consumer)
            command = run({"DATABASE_URL": stage.platform.database_url}, "republish")
            republishing.append(asyncio.create_task(command))
            held.append(_held(stage))

        held: list[int] = []
        await storm(stage, subscribers=30, midway=midway)
        assert held[0] >= 6, "every fifth has canceled, and nobody has been told"
        (status, said) = await republishing[0]
        assert status == 0, said
        assert await disagreements(stage.platform) == []
        # Those that changed before their snapshot was written are in it, and in no gap.
        known = stage.platform.users.view.users
        await late.until(lambda view: view.users.keys() == known.keys(), 60)
        await late.until(lambda view: _versions(view) == _versions(stage.platform.users.view), 60)
        assert late.view.users == known
    joined_at_once = [m for m in stage.messages if m["type"].endswith("snapshot.v1")]
    assert len(joined_at_once) == 30, "everybody was summed up once"
    statuses = {view.status for views in known.values() for view in views.values()}
    assert {"active", "canceled"} <= statuses


def _held(stage: Stage) -> int:
    return sum(one.state == "held" for one in stage.platform.stripe.outbox.deliveries)


def _versions(view: UsersView) -> dict[str, int]:
    return {id_: one.version for views in view.users.values() for id_, one in views.items()}


async def _order_of_arrival(stage: Stage) -> list[datetime]:
    database = await asyncpg.connect(stage.platform.database_url)
    try:
        rows = await database.fetch(
            "SELECT stripe_created_at FROM payments.stripe_webhook_events ORDER BY seq"
        )
        return [row["stripe_created_at"] for row in rows]
    finally:
        await database.close()
