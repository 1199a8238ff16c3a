"""What a unit of work does on its connection, and in which state it hands the connection back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import inbox
from adapters.postgres.engine import create_engine, storage_errors
from adapters.postgres.inbox import PostgresIntake
from adapters.postgres.session import Session
from adapters.postgres.statements import Statement
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from ports.inbox import Outcome, Processed
from ports.unit_of_work import StorageUnavailable, UnitOfWork
from tests.examples import customer, webhook
from tests.integration.backends import PATIENCE, terminate, until_blocked, write_down

USER = UUID(int=1)
# What the driver says of a session that has ended, by how much of its end has arrived.
_LOST = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.exceptions.InternalClientError,
    OSError,
)
_NOTHING = Statement(sa.text("SELECT"))


@pytest.fixture
async def single(migrated_url: str) -> AsyncIterator[AsyncEngine]:
    """Give an engine with one connection, which whoever comes next is given."""
    engine = create_engine(migrated_url, name="under test", pool_size=1)
    yield engine
    await engine.dispose()


_WAITS_FOR_A_STANDBY = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


async def known(engine: AsyncEngine) -> set[str]:
    async with PostgresUnitOfWork(engine) as uow:
        return await uow.paid_invoices.known([f"in_{number}" for number in range(9)])


async def test_what_is_written_twice_is_written_both_times(single: AsyncEngine) -> None:
    async with PostgresUnitOfWork(single) as uow:
        await uow.paid_invoices.add(["in_1"])
        await uow.trials.redeem([USER])
        await uow.paid_invoices.add(["in_2"])
        await uow.commit()

    assert await known(single) == {"in_1", "in_2"}


async def test_locks_are_taken_in_the_order_in_which_things_were_written(
    engine: AsyncEngine, single: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    """Left to itself PostgreSQL would mark the webhook, and hold it, while it waits."""
    intake = PostgresIntake(single)
    await intake.record(webhook("evt_1"))
    id_ = await bystander.fetchval("SELECT id FROM payments.stripe_webhook_events")

    async def work_off() -> None:
        async with PostgresUnitOfWork(single) as uow:
            await uow.customers.save([customer(USER)])
            await uow.paid_invoices.add(["in_1"])
            await uow.inbox.settle([Processed(id_, Outcome.APPLIED)])
            await uow.commit()

    async with PostgresUnitOfWork(engine) as holder:
        await holder.customers.save([customer(USER)])
        await write_down(holder)
        working = asyncio.create_task(work_off())
        await until_blocked(bystander)
        assert await bystander.fetchval(
            "SELECT count(*) FROM (SELECT FROM payments.stripe_webhook_events"
            " FOR UPDATE SKIP LOCKED) AS free"
        )
        await holder.commit()
    await working


async def test_what_is_written_is_seen_by_whatever_is_asked_next(single: AsyncEngine) -> None:
    async with PostgresUnitOfWork(single) as uow:
        await uow.customers.save([customer(USER)])
        assert await uow.customers.exists(USER)  # through SQLAlchemy
        await uow.paid_invoices.add(["in_1"])
        assert await uow.paid_invoices.known(["in_1"]) == {"in_1"}  # through the driver


async def test_what_was_not_committed_is_undone_for_whoever_is_given_the_connection(
    single: AsyncEngine,
) -> None:
    async with PostgresUnitOfWork(single) as uow:
        await uow.paid_invoices.add(["in_1"])
        await write_down(uow)

    assert await known(single) == set()


async def test_a_statement_that_is_broken_off_leaves_nothing_behind(
    single: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    async def write() -> None:
        async with PostgresUnitOfWork(single) as uow:
            await uow.paid_invoices.add(["in_1"])
            await write_down(uow)
            await uow.customers.save([customer(USER)])
            await uow.commit()

    async with bystander.transaction():
        await bystander.execute("LOCK TABLE payments.stripe_customers IN EXCLUSIVE MODE")
        writing = asyncio.create_task(write())
        await until_blocked(bystander)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

    assert await known(single) == set()


async def test_a_transaction_that_has_failed_is_not_taken_for_committed(
    single: AsyncEngine,
) -> None:
    async with PostgresUnitOfWork(single) as uow:
        await uow.paid_invoices.add(["x" * 300])
        with pytest.raises(asyncpg.DataError):
            await write_down(uow)
        with pytest.raises(StorageUnavailable, match="had failed before"):
            await uow.commit()


async def test_a_session_that_was_ended_while_nobody_used_it_is_given_to_nobody(
    single: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    session = await Session.connect(single)
    ended = session.driver
    await session.close()
    assert await terminate(bystander) == 1
    async with asyncio.timeout(PATIENCE):
        while not ended.is_closed():  # its end is still on its way
            await asyncio.sleep(0)

    assert await known(single) == set()


async def test_where_one_was_found_broken_none_that_is_as_old_is_given_out(
    engine: AsyncEngine,
) -> None:
    old = [await Session.connect(engine) for _ in range(3)]
    drivers = {session.driver for session in old}
    broken = old[0]
    broken.driver.terminate()
    with pytest.raises(asyncpg.InterfaceError):
        await broken.rows(_NOTHING, {})
    for session in old:
        await session.close()

    new = [await Session.connect(engine) for _ in range(3)]
    assert not drivers & {session.driver for session in new}
    assert all(driver.is_closed() for driver in drivers)
    for session in new:
        await session.close()


async def ask_through_sqlalchemy(uow: UnitOfWork) -> None:
    await uow.customers.exists(USER)


@pytest.mark.parametrize("ask", [write_down, ask_through_sqlalchemy])
async def test_a_unit_of_work_whose_connection_was_lost_goes_on_on_no_other(
    engine: AsyncEngine, bystander: asyncpg.Connection, ask: Callable[[UnitOfWork], Awaitable[None]]
) -> None:
    async with PostgresUnitOfWork(engine) as uow:
        await uow.paid_invoices.add(["in_1"])
        await write_down(uow)
        await terminate(bystander)
        with pytest.raises(_LOST):
            await write_down(uow)
        with pytest.raises(StorageUnavailable, match="was lost"):
            await ask(uow)
        await uow.paid_invoices.add(["in_2"])
        with pytest.raises(StorageUnavailable, match="was lost"):
            await uow.commit()

    assert await known(engine) == set()


async def test_what_a_trigger_refuses_is_the_fault_of_the_data(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    await bystander.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON payments.paid_invoices
            FOR EACH ROW EXECUTE FUNCTION refuse();
    """)

    async def add() -> None:
        async with PostgresUnitOfWork(engine) as uow:
            await uow.paid_invoices.add(["in_1"])
            await uow.commit()

    try:
        with pytest.raises(asyncpg.RaiseError, match="not this one"):
            await add()
    finally:
        await bystander.execute("DROP FUNCTION refuse CASCADE")


async def test_a_repeat_is_known_no_sooner_than_what_it_repeats_is_safe(
    engine: AsyncEngine, bystander: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what was answered 200 would be lost with the server, as the first try was refused for."""
    monkeypatch.setattr(inbox, "_INTAKE_TIMEOUT", 0.3)
    await bystander.execute("SET synchronous_commit = local")
    await bystander.execute("ALTER SYSTEM SET synchronous_standby_names = 'that_is_away'")
    await bystander.execute("SELECT pg_reload_conf()")
    intake = PostgresIntake(engine)
    try:
        probe = asyncio.create_task(intake.record(webhook("evt_0")))
        async with asyncio.timeout(PATIENCE):
            while not await bystander.fetchval(_WAITS_FOR_A_STANDBY):
                if probe.done():  # the server has not heard of it yet
                    probe = asyncio.create_task(intake.record(webhook("evt_0")))
                await asyncio.sleep(0.01)
        await asyncio.gather(probe, return_exceptions=True)
        for _ in range(2):  # the first is written here, and the second finds it
            with pytest.raises(StorageUnavailable):
                await intake.record(webhook("evt_1"))
        assert await bystander.fetchval("SELECT count(*) FROM payments.stripe_webhook_events") == 2
    finally:
        await bystander.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await bystander.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(PATIENCE):
        while await bystander.fetchval("SHOW synchronous_standby_names"):
            await asyncio.sleep(0.01)
    monkeypatch.undo()
    assert not await intake.record(webhook("evt_1"))


def test_what_the_driver_says_of_a_session_that_has_just_ended_is_worth_a_repetition() -> None:
    """Its last words have arrived, and that it is closed has not."""
    with pytest.raises(StorageUnavailable), storage_errors():
        raise asyncpg.exceptions.InternalClientError("another operation (2) is in progress")
