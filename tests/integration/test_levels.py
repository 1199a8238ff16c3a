"""Levels are read as they are, on a plan that does not grow with what is done with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import create_engine
from adapters.postgres.levels import PostgresLevels
from ports.inbox import State
from ports.levels import MOST_COUNTED, Backlog, Population
from ports.unit_of_work import StorageUnavailable


async def _webhook(database: asyncpg.Connection, age: timedelta, **values: object) -> None:
    row = {
        "event_id": f"evt_{uuid4().hex}",
        "event_type": "invoice.paid",
        "ordering_key": "sub_1",
        "partition": 1,
        "stripe_created_at": datetime.now(UTC),
        "traceparent": "",
        "created_at": datetime.now(UTC) - age,
        **values,
    }
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    await database.execute(
        f"INSERT INTO payments.stripe_webhook_events ({', '.join(row)}) VALUES ({places})",  # noqa: S608 - our own columns
        *row.values(),
    )


async def _subscription(
    database: asyncpg.Connection, status: str, plan: str, trial_days: int | None = None
) -> object:
    ends = None if trial_days is None else datetime.now(UTC) + timedelta(days=trial_days)
    return await database.fetchval(
        "INSERT INTO payments.subscriptions (user_id, status, plan, trial_end_date)"
        " VALUES ($1, $2, $3, $4) RETURNING id",
        uuid4(),
        status,
        plan,
        ends,
    )


async def test_an_empty_database_has_levels_of_zero(engine: AsyncEngine) -> None:
    levels = PostgresLevels(engine)

    assert await levels.backlog() == Backlog()
    assert await levels.population() == Population({}, {1: 0, 3: 0, 7: 0, 30: 0}, 0)


async def test_the_backlog_is_by_state_with_the_age_of_the_oldest(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    minute = timedelta(minutes=1)
    await _webhook(bystander, 2 * minute)
    await _webhook(bystander, minute)
    await _webhook(bystander, 3 * minute, attempt_count=1)
    await _webhook(bystander, 4 * minute, waiting_for="sub_1")
    await _webhook(bystander, 5 * minute, outcome="dead", attempt_count=1)
    await _webhook(bystander, 99 * minute, processed=True, outcome="applied")
    await bystander.execute(
        "INSERT INTO payments.outbox_events"
        " (subscription_id, version, type, body, ordering_key, partition, created_at, published_at)"
        " SELECT gen_random_uuid(), 1, 't', '', 'k', 1, now() - make_interval(mins => n),"
        " CASE WHEN n = 9 THEN now() END FROM generate_series(7, 9) AS n"
    )

    backlog = await PostgresLevels(engine).backlog()

    assert {state: waiting.count for state, waiting in backlog.inbox.items()} == {
        State.PENDING: 2,
        State.RETRYING: 1,
        State.HELD: 1,
        State.DEAD: 1,
    }
    ages = {state: waiting.oldest / 60 for state, waiting in backlog.inbox.items()}
    assert ages == pytest.approx(
        {State.PENDING: 2, State.RETRYING: 3, State.HELD: 4, State.DEAD: 5}, abs=0.5
    )
    assert backlog.outbox.count == 2
    assert backlog.outbox.oldest / 60 == pytest.approx(8, abs=0.5)


async def test_the_population_is_by_status_and_plan_with_a_forecast_of_trials(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    for days in (0, 2, 2, 6, 29, 31):
        await _subscription(bystander, "trialing", "general", days)
    await _subscription(bystander, "trialing", "general", -1)
    running = await _subscription(bystander, "active", "event_organizer", 2)
    ended = await _subscription(bystander, "canceled", "general")
    for duplicate in (running, ended):
        await bystander.execute(
            "INSERT INTO payments.duplicate_subscriptions VALUES ($1, $2)", duplicate, uuid4()
        )

    population = await PostgresLevels(engine).population()

    assert population.subscriptions == {
        ("trialing", "general"): 7,
        ("active", "event_organizer"): 1,
        ("canceled", "general"): 1,
    }
    # The one that ends in zero days from before the query has ended by now.
    assert population.trials_ending == {1: 0, 3: 2, 7: 3, 30: 4}
    assert population.duplicates == 1


async def test_the_backlog_is_read_without_reading_what_is_done_with(
    migrated_url: str, bystander: asyncpg.Connection
) -> None:
    await bystander.execute(
        "INSERT INTO payments.stripe_webhook_events (event_id, event_type, ordering_key, partition,"
        " stripe_created_at, traceparent, processed)"
        " SELECT 'evt_' || n, 'invoice.paid', 'k', 1, now(), '', true"
        " FROM generate_series(1, 5000) AS n"
    )
    await bystander.execute("ANALYZE payments.stripe_webhook_events")
    # A single connection, since the server counts what was read when that is told to report.
    engine = create_engine(migrated_url, name="test", pool_size=1)
    before = await _rows_read(engine, bystander)
    await PostgresLevels(engine).backlog()
    read = await _rows_read(engine, bystander) - before
    await engine.dispose()
    assert read < 100


async def test_with_a_huge_backlog_no_more_is_read_and_the_oldest_is_told_as_it_is(
    migrated_url: str, bystander: asyncpg.Connection
) -> None:
    await bystander.execute(
        "INSERT INTO payments.stripe_webhook_events (event_id, event_type, ordering_key, partition,"
        " stripe_created_at, traceparent, created_at, outcome)"
        " SELECT 'evt_' || n, 'invoice.paid', 'k', 1, now(), '',"
        " now() - make_interval(secs => 100000 - n), CASE WHEN n = 1 THEN 'dead' END"
        " FROM generate_series(1, 50000) AS n"
    )
    await bystander.execute(
        "INSERT INTO payments.outbox_events"
        " (subscription_id, version, type, body, ordering_key, partition, created_at)"
        " SELECT gen_random_uuid(), 1, 't', '', 'k', 1, now() - make_interval(secs => 50000 - n)"
        " FROM generate_series(1, 20000) AS n"
    )
    await bystander.execute("ANALYZE payments.stripe_webhook_events, payments.outbox_events")
    engine = create_engine(migrated_url, name="test", pool_size=1)
    before = await _rows_read(engine, bystander)
    backlog = await PostgresLevels(engine).backlog()
    read = await _rows_read(engine, bystander) - before
    await engine.dispose()

    assert read <= 2 * MOST_COUNTED
    assert backlog.inbox[State.PENDING].count == MOST_COUNTED
    assert backlog.inbox[State.PENDING].oldest == pytest.approx(99_998, abs=30)
    assert backlog.inbox[State.DEAD].count == 1
    assert backlog.inbox[State.DEAD].oldest == pytest.approx(99_999, abs=30)
    assert backlog.outbox.count == MOST_COUNTED
    assert backlog.outbox.oldest == pytest.approx(49_999, abs=30)


async def test_no_state_hides_another_however_many_of_it_are_older(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    await bystander.execute(
        "INSERT INTO payments.stripe_webhook_events (event_id, event_type, ordering_key, partition,"
        " stripe_created_at, traceparent, created_at, attempt_count, waiting_for, next_attempt_at)"
        " SELECT 'evt_' || n, 'invoice.paid', 'k', 1, now(), '', now() - interval '1 day',"
        " n % 2, CASE n % 2 WHEN 0 THEN 'sub_1' END, now() + interval '1 hour'"
        " FROM generate_series(1, $1::int) AS n",
        2 * MOST_COUNTED + 2,
    )
    minute = timedelta(minutes=1)
    await _webhook(bystander, 2 * minute)
    await _webhook(bystander, 5 * minute, outcome="dead", attempt_count=1)

    inbox = (await PostgresLevels(engine).backlog()).inbox

    assert {state: waiting.count for state, waiting in inbox.items()} == {
        State.PENDING: 1,
        State.RETRYING: MOST_COUNTED,
        State.HELD: MOST_COUNTED,
        State.DEAD: 1,
    }
    assert inbox[State.PENDING].oldest / 60 == pytest.approx(2, abs=0.5)
    assert inbox[State.DEAD].oldest / 60 == pytest.approx(5, abs=0.5)


async def _rows_read(engine: AsyncEngine, database: asyncpg.Connection) -> int:
    async with engine.connect() as connection:
        await connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
    read: int = await database.fetchval(
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables"
        " WHERE schemaname = 'payments' AND relname = 'stripe_webhook_events'"
    )
    return read


async def test_without_a_database_there_are_no_levels() -> None:
    nowhere = create_engine("postgresql://nobody@127.0.0.1:1/nowhere", name="test", pool_size=1)
    for reading in (PostgresLevels(nowhere).backlog, PostgresLevels(nowhere).population):
        with pytest.raises(StorageUnavailable):
            await reading()
    await nowhere.dispose()
