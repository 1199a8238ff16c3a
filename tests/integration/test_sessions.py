"""What a unit of work does on its connection, and in which state it hands the connection back."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import create_engine, storage_errors
from adapters.postgres.session import Session
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from ports.unit_of_work import StorageUnavailable
from tests.examples import customer
from tests.integration.backends import terminate, until_blocked, write_down

USER = UUID(int=1)


@pytest.fixture
async def single(migrated_url: str) -> AsyncIterator[AsyncEngine]:
    """Give an engine with one connection, which whoever comes next is given."""
    engine = create_engine(migrated_url, name="under test", pool_size=1)
    yield engine
    await engine.dispose()


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
    while not ended.is_closed():  # its end is still on its way
        await asyncio.sleep(0)

    assert await known(single) == set()


def test_what_the_driver_says_of_a_session_that_has_just_ended_is_worth_a_repetition() -> None:
    """Its last words have arrived, and that it is closed has not."""
    with pytest.raises(StorageUnavailable), storage_errors():
        raise asyncpg.exceptions.InternalClientError("another operation (2) is in progress")
