"""Snapshots find their place among messages that are being written at the same time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.partitions import PostgresPartitions
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from adapters.system.clock import SystemClock
from domain.subscription import subscription_id
from ports.partitions import PARTITIONS
from service import message_bus
from service.republish import LEAP, Republish, Selection
from service.working_set import WorkingSet
from tests.builders import POLICY, TRACE, change, linked
from tests.integration.backends import until_blocked, write_down
from tests.stripe_payloads import DAY, START

REFS = [f"sub_{n}" for n in range(5)]


async def flush(uow: PostgresUnitOfWork, refs: list[str], status: str, day: int = 0) -> None:
    """Write that these have this status now, and the messages that tell of it."""
    commands = [change(status, START + day * DAY, ref=ref) for ref in refs]
    work = await WorkingSet.load(uow, POLICY, map(message_bus.references, commands))
    work.turn_to(TRACE, 0, {})
    for command in commands:
        message_bus.handle(command, work)
    await work.flush(uow)


async def five_active(engine: AsyncEngine) -> None:
    async with PostgresUnitOfWork(engine) as uow:
        await uow.customers.save([linked()])
        await flush(uow, REFS, "active")
        await uow.commit()


async def lines(bystander: asyncpg.Connection, ref: str) -> list[tuple[str, int, str]]:
    """What stands in the outbox of a subscription: kind, version and status, in order."""
    rows = await bystander.fetch(
        "SELECT body FROM payments.outbox_events WHERE subscription_id = $1 ORDER BY seq",
        subscription_id(ref),
    )
    bodies: list[dict[str, Any]] = [json.loads(row["body"]) for row in rows]
    return [
        (
            body["type"].split(".")[2],
            int(body["sequence"]),
            body["data"].get("status") or body["data"]["newStatus"],
        )
        for body in bodies
    ]


async def test_a_snapshot_waits_for_a_change_in_hand_and_stands_behind_it(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    await five_active(engine)
    republish = Republish(
        lambda: PostgresUnitOfWork(engine), SystemClock(), POLICY, PostgresPartitions(engine)
    )
    async with PostgresUnitOfWork(engine) as uow:
        await flush(uow, [REFS[3], REFS[1]], "past_due", day=1)
        await write_down(uow)
        republishing = asyncio.create_task(republish(Selection()))
        await until_blocked(bystander)
        # The others were not kept waiting.
        assert await lines(bystander, REFS[0]) == [
            ("activated", 1, "active"),
            ("snapshot", 1, "active"),
        ]
        await uow.commit()
    assert await republishing == 5

    for ref in (REFS[1], REFS[3]):
        assert await lines(bystander, ref) == [
            ("activated", 1, "active"),
            ("status_changed", 2, "past_due"),
            ("snapshot", 2, "past_due"),
        ]


async def test_a_change_waits_for_a_snapshot_in_hand_and_stands_behind_it(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    await five_active(engine)

    class HeldBack(PostgresUnitOfWork):
        """Holds what it held until it may commit."""

        holds, may_commit = asyncio.Event(), asyncio.Event()

        async def commit(self) -> None:
            self.holds.set()
            await self.may_commit.wait()
            await super().commit()

    republish = Republish(
        lambda: HeldBack(engine), SystemClock(), POLICY, PostgresPartitions(engine)
    )
    republishing = asyncio.create_task(republish(Selection()))
    await HeldBack.holds.wait()

    async def change_two() -> None:
        async with PostgresUnitOfWork(engine) as uow:
            await flush(uow, [REFS[3], REFS[1]], "past_due", day=1)
            await uow.commit()

    changing = asyncio.create_task(change_two())
    await until_blocked(bystander)
    HeldBack.may_commit.set()
    await asyncio.gather(republishing, changing)

    for ref in (REFS[1], REFS[3]):
        assert await lines(bystander, ref) == [
            ("activated", 1, "active"),
            ("snapshot", 1, "active"),
            ("status_changed", 2, "past_due"),
        ]


async def test_two_that_republish_at_once_both_have_their_say(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    await five_active(engine)
    republish = Republish(
        lambda: PostgresUnitOfWork(engine),
        SystemClock(),
        POLICY,
        PostgresPartitions(engine),
        page=2,
    )

    counts = await asyncio.gather(republish(Selection()), republish(Selection()))
    assert list(counts) == [5, 5]

    for ref in REFS:
        told = await lines(bystander, ref)
        assert told == [("activated", 1, "active"), *[("snapshot", 1, "active")] * 2]


async def test_what_a_release_said_that_keeps_no_account_of_it_is_not_forgotten(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    """While two releases run side by side, the older one leaves what was kept as it was."""
    await five_active(engine)
    await bystander.execute(
        "UPDATE payments.subscriptions SET status = 'past_due', version = 2"
        " WHERE stripe_subscription_id = $1",
        REFS[0],
    )
    await Republish(
        lambda: PostgresUnitOfWork(engine), SystemClock(), POLICY, PostgresPartitions(engine)
    )(Selection())

    assert await lines(bystander, REFS[0]) == [
        ("activated", 1, "active"),
        ("snapshot", 2, "past_due"),
    ]
    assert await lines(bystander, REFS[1]) == [
        ("activated", 1, "active"),
        ("snapshot", 1, "active"),
    ]


async def test_after_a_restore_rows_and_snapshots_have_numbers_of_their_own(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    await five_active(engine)
    partitions = PostgresPartitions(engine)
    republish = Republish(
        lambda: PostgresUnitOfWork(engine), SystemClock(), POLICY, partitions, page=2
    )

    assert await republish.after_restore() == 5

    for ref in REFS:
        assert await lines(bystander, ref) == [
            ("activated", 1, "active"),
            ("snapshot", 1 + LEAP, "active"),
        ]
    versions = await bystander.fetch("SELECT DISTINCT version FROM payments.subscriptions")
    assert [row["version"] for row in versions] == [1 + LEAP]
    successor = PostgresPartitions(engine)
    await successor.renew()
    assert len(successor.held().partitions) == PARTITIONS, "workers need not wait"
