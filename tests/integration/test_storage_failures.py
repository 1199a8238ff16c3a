"""What becomes of PostgreSQL's failures, and how the adapters come back from them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import engine as postgres_engine
from adapters.postgres import listening as postgres_listening
from adapters.postgres.engine import create_engine
from adapters.postgres.health import PostgresHealth
from adapters.postgres.inbox import PostgresIntake
from adapters.postgres.partitions import PostgresPartitions
from adapters.postgres.tables import REVISION
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from adapters.postgres.wakeups import PostgresWakeups
from ports.inbox import Outcome, Processed
from ports.partitions import PARTITIONS, LeaseLost
from ports.unit_of_work import ConcurrentChange, StorageUnavailable
from ports.wakeups import Stage
from tests.examples import customer, message, webhook
from tests.integration.backends import PATIENCE, terminate, until_blocked, write_down
from tests.proxy import Proxy

USER = UUID(int=1)


async def is_linked(engine: AsyncEngine) -> bool:
    async with PostgresUnitOfWork(engine) as uow:
        return await uow.customers.exists(USER)


async def link(engine: AsyncEngine, reference: str = "cus_1") -> None:
    async with PostgresUnitOfWork(engine) as uow:
        await uow.customers.save([customer(USER, reference)])
        await uow.commit()


@pytest.fixture
async def empty(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Give the engine of a database without a schema."""
    engine = create_engine(database_url, name="under test", pool_size=2)
    yield engine
    await engine.dispose()


async def test_a_missing_schema_says_what_to_do(empty: AsyncEngine) -> None:
    with pytest.raises(StorageUnavailable, match="run `payments migrate`"):
        await is_linked(empty)
    with pytest.raises(StorageUnavailable, match="run `payments migrate`"):
        await PostgresIntake(empty).record(webhook())
    with pytest.raises(StorageUnavailable, match="run `payments migrate`"):
        await PostgresPartitions(empty).renew()
    health = await PostgresHealth(empty).check()
    assert not health.well
    assert "payments migrate" in (health.hint or "")


async def test_a_missing_privilege_says_so(
    migrated_url: str, bystander: asyncpg.Connection
) -> None:
    role = f"test_{uuid4().hex}"
    await bystander.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    address = urlsplit(migrated_url).netloc.rpartition("@")[2]
    url = urlsplit(migrated_url)._replace(netloc=f"{role}:secret@{address}").geturl()
    engine = create_engine(url, name="under test", pool_size=1)
    try:
        with pytest.raises(StorageUnavailable, match="privilege"):
            await is_linked(engine)
    finally:
        await engine.dispose()
        await bystander.execute(f"DROP ROLE {role}")


async def test_a_server_that_is_not_there_is_unavailable_and_unwell() -> None:
    engine = create_engine(
        "postgresql://somebody:s3cret@127.0.0.1:1/nowhere", name="under test", pool_size=1
    )
    with pytest.raises(StorageUnavailable, match="cannot be reached") as caught:
        await is_linked(engine)
    assert "s3cret" not in str(caught.value)
    health = await PostgresHealth(engine).check()
    assert (health.name, health.well) == ("database", False)
    assert "s3cret" not in (health.hint or "")
    await engine.dispose()


async def test_a_migrated_database_is_well(engine: AsyncEngine) -> None:
    health = await PostgresHealth(engine).check()

    assert (health.well, health.hint) == (True, None)


@pytest.mark.parametrize(("version", "well"), [(f"{int(REVISION) - 1:04}", False), ("9999", True)])
async def test_a_schema_is_good_for_this_release_and_earlier_ones(
    engine: AsyncEngine, bystander: asyncpg.Connection, version: str, well: bool
) -> None:
    """Between two releases the schema is the later one's, and the earlier one has to serve."""
    await bystander.execute("UPDATE payments.alembic_version SET version_num = $1", version)
    try:
        health = await PostgresHealth(engine).check()
    finally:
        await bystander.execute("UPDATE payments.alembic_version SET version_num = $1", REVISION)

    assert health.well == well
    assert well or "payments migrate" in (health.hint or "")


async def test_a_session_that_is_ended_before_the_commit_keeps_nothing(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    async def commit_too_late() -> None:
        async with PostgresUnitOfWork(engine) as uow:
            await uow.customers.save([customer(USER)])
            await write_down(uow)
            assert await terminate(bystander) == 1
            await uow.commit()

    with pytest.raises(StorageUnavailable):
        await commit_too_late()

    assert not await is_linked(engine)


async def test_a_session_that_is_ended_between_two_statements_keeps_nothing(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    async def go_on() -> None:
        async with PostgresUnitOfWork(engine) as uow:
            await uow.customers.save([customer(USER)])
            await write_down(uow)
            assert await terminate(bystander) == 1
            await uow.paid_invoices.known(["in_1"])

    with pytest.raises(StorageUnavailable):
        await go_on()

    assert not await is_linked(engine)


async def test_a_session_that_is_ended_within_a_statement_keeps_nothing(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    async with bystander.transaction():
        await bystander.execute("LOCK TABLE payments.stripe_customers IN EXCLUSIVE MODE")
        linking = asyncio.create_task(link(engine))
        await until_blocked(bystander)
        assert await terminate(bystander) == 1
        with pytest.raises(StorageUnavailable):
            await linking

    assert not await is_linked(engine)


async def test_an_ended_session_does_not_hide_why_a_unit_of_work_was_left(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    async def leave_with(error: BaseException | None) -> None:
        async with PostgresUnitOfWork(engine) as uow:
            await uow.customers.save([customer(USER)])
            await write_down(uow)
            await terminate(bystander)
            if error is not None:
                raise error

    await leave_with(None)
    with pytest.raises(ZeroDivisionError):
        await leave_with(ZeroDivisionError())
    with pytest.raises(asyncio.CancelledError):
        await leave_with(asyncio.CancelledError())

    assert not await is_linked(engine)


async def test_a_database_that_falls_silent_is_unavailable_and_found_again(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_engine, "_COMMAND_TIMEOUT", 0.2)
    async with Proxy(migrated_url) as proxy:
        engine = create_engine(proxy.url, name="under test", pool_size=1)
        assert not await is_linked(engine)
        for _ in range(2):  # the pool's only connection must not be lost on the way
            async with proxy.stalled():
                with pytest.raises(StorageUnavailable):
                    await asyncio.wait_for(link(engine), PATIENCE)
            proxy.drop()
            with contextlib.suppress(StorageUnavailable):
                await is_linked(engine)
            assert not await is_linked(engine)
        await engine.dispose()


async def test_sessions_that_are_ended_while_idle_cost_at_most_one_try(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    async with PostgresUnitOfWork(engine) as one, PostgresUnitOfWork(engine) as other:
        await one.customers.exists(USER)
        await other.customers.exists(USER)
    assert await terminate(bystander) == 2

    with contextlib.suppress(StorageUnavailable):
        await is_linked(engine)

    for _ in range(2):
        assert not await is_linked(engine)


async def test_a_unit_of_work_that_is_cancelled_within_a_statement_is_rolled_back(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    async with bystander.transaction():
        await bystander.execute("LOCK TABLE payments.stripe_customers IN EXCLUSIVE MODE")
        linking = asyncio.create_task(link(engine))
        await until_blocked(bystander)
        linking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await linking

    assert not await is_linked(engine)
    assert (
        await bystander.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'under test' AND state LIKE 'idle in transaction%'"
        )
        == 0
    )


async def test_a_deadlock_ends_one_of_the_two_with_something_worth_repeating(
    engine: AsyncEngine,
) -> None:
    first_held = asyncio.Barrier(2)

    async def add(one: str, other: str) -> None:
        async with PostgresUnitOfWork(engine) as uow:
            await uow.paid_invoices.add([one])
            await write_down(uow)
            await first_held.wait()
            await uow.paid_invoices.add([other])
            await uow.commit()

    results = await asyncio.gather(add("in_1", "in_2"), add("in_2", "in_1"), return_exceptions=True)

    [error] = [result for result in results if result is not None]
    assert isinstance(error, StorageUnavailable)
    async with PostgresUnitOfWork(engine) as uow:
        assert await uow.paid_invoices.known(["in_1", "in_2"]) == {"in_1", "in_2"}


async def test_a_second_link_waits_for_the_first_and_is_then_a_concurrent_change(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    async with PostgresUnitOfWork(engine) as first:
        await first.customers.save([customer(USER, "cus_1")])
        await write_down(first)
        second = asyncio.create_task(link(engine, "cus_2"))
        await until_blocked(bystander)
        await first.commit()
    with pytest.raises(ConcurrentChange):
        await second


async def test_a_second_link_stands_where_the_first_is_rolled_back(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    async with PostgresUnitOfWork(engine) as first:
        await first.customers.save([customer(USER, "cus_1")])
        await write_down(first)
        second = asyncio.create_task(link(engine, "cus_2"))
        await until_blocked(bystander)
    await second

    async with PostgresUnitOfWork(engine) as uow:
        assert await uow.customers.reference_of(USER) == "cus_2"


async def test_what_contradicts_the_data_is_not_worth_repeating(engine: AsyncEngine) -> None:
    """Two messages of one subscription cannot have one version."""

    async def add_twice() -> None:
        async with PostgresUnitOfWork(engine) as uow:
            await uow.outbox.add([message(version=1), message(version=1)])
            await uow.commit()

    with pytest.raises(asyncpg.UniqueViolationError):
        await add_twice()


async def test_a_stalled_worker_whose_session_the_server_ended_commits_nothing_after_takeover(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    await PostgresIntake(engine).record(webhook("evt_1"))
    stalled, successor = PostgresPartitions(engine, lease_seconds=0), PostgresPartitions(engine)
    await stalled.renew()

    async def stall() -> None:
        async with PostgresUnitOfWork(engine) as uow:
            [claimed] = await uow.inbox.claim(stalled.held(), limit=1)
            await uow.outbox.add([message()])
            await uow.inbox.settle([Processed(claimed.id, Outcome.APPLIED)])
            await write_down(uow)
            # As the server itself does to whoever is idle in a transaction for too long.
            await terminate(bystander)
            await successor.renew()
            await uow.commit()

    with pytest.raises(StorageUnavailable):
        await stall()

    async with PostgresUnitOfWork(engine) as uow:
        claimed = await uow.inbox.claim(successor.held(), limit=10)
        assert [webhook.event_id for webhook in claimed] == ["evt_1"]
        assert await uow.outbox.claim(successor.held(), limit=10) == []
    async with PostgresUnitOfWork(engine) as uow:
        with pytest.raises(LeaseLost):
            await uow.inbox.claim(stalled.held(), limit=1)


async def test_a_worker_that_stalls_in_the_midst_of_a_statement_holds_nothing_up(
    engine: AsyncEngine,
) -> None:
    """Its session counts as active, so no timeout of the server's ends it."""
    stalled = PostgresPartitions(engine, lease_seconds=0)
    await stalled.renew()
    successor = PostgresPartitions(engine, lease_seconds=0.05)

    async def stall() -> None:
        async with PostgresUnitOfWork(engine) as uow:
            await uow.inbox.claim(stalled.held(), limit=1)
            assert uow._session is not None
            await uow._session.driver.prepare("SELECT 1")  # and then it is frozen
            async with asyncio.timeout(PATIENCE):
                while len(successor.held().partitions) < PARTITIONS:
                    await successor.renew()
            await uow.commit()

    with pytest.raises(StorageUnavailable):
        await stall()


async def test_a_session_that_is_between_two_statements_is_left_to_the_server(
    engine: AsyncEngine,
) -> None:
    async with PostgresUnitOfWork(engine) as uow:
        await uow.customers.save([customer(USER)])
        await PostgresPartitions(engine, lease_seconds=0).renew()
        await uow.commit()
    assert await is_linked(engine)


async def test_partitions_are_given_back_only_after_the_batch_that_relies_on_them(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    leaving, successor = PostgresPartitions(engine), PostgresPartitions(engine)
    await leaving.renew()
    share = leaving.held()
    async with PostgresUnitOfWork(engine) as uow:
        await uow.inbox.claim(share, limit=1)
        releasing = asyncio.create_task(leaving.release())
        await until_blocked(bystander)
        await uow.outbox.add([message()])
        await uow.commit()
    await releasing

    await successor.renew()
    async with PostgresUnitOfWork(engine) as uow:
        assert len(await uow.outbox.claim(successor.held(), limit=10)) == 1


async def test_a_sign_of_life_does_not_wait_for_the_batch_in_hand(engine: AsyncEngine) -> None:
    worker = PostgresPartitions(engine)
    await worker.renew()
    async with PostgresUnitOfWork(engine) as uow:
        await uow.inbox.claim(worker.held(), limit=1)
        await asyncio.wait_for(worker.renew(), PATIENCE / 2)


async def test_what_is_beyond_the_share_is_given_back_only_after_the_batch_in_hand(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    await PostgresIntake(engine).record(webhook("evt_1"))
    worker, joining = PostgresPartitions(engine), PostgresPartitions(engine)
    await worker.renew()
    await joining.renew()
    before = worker.held()
    async with PostgresUnitOfWork(engine) as uow:
        [claimed] = await uow.inbox.claim(before, limit=1)
        giving_back = asyncio.create_task(worker.renew())
        await until_blocked(bystander)
        await uow.inbox.settle([Processed(claimed.id, Outcome.APPLIED)])
        await uow.commit()

    assert await giving_back
    assert worker.held().epoch > before.epoch
    async with PostgresUnitOfWork(engine) as uow:
        with pytest.raises(LeaseLost):
            await uow.inbox.claim(before, limit=1)


async def test_the_server_ends_whoever_is_idle_in_a_transaction_for_too_long(
    engine: AsyncEngine,
) -> None:
    async with engine.connect() as connection:
        shown = await connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout")
        assert shown.scalar() == "10s"


async def woken(wakeups: PostgresWakeups) -> bool:
    """Wait for a wake-up of the inbox; False where none came."""
    before = time.monotonic()
    await wakeups.wait(Stage.INBOX, PATIENCE)
    return time.monotonic() - before < PATIENCE


async def test_a_listener_whose_session_is_ended_listens_again(
    engine: AsyncEngine, bystander: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_listening, "_RECONNECT", 0.01)
    monkeypatch.setattr(postgres_listening, "_KEEPALIVE", 2 * PATIENCE)
    wakeups = PostgresWakeups(engine)
    listening = asyncio.create_task(wakeups.listen())
    try:
        assert await woken(wakeups)
        for _ in range(2):
            assert await terminate(bystander, "LISTEN%") == 1
            assert await woken(wakeups)  # for what was missed meanwhile
            await PostgresIntake(engine).record(webhook())
            assert await woken(wakeups)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_a_listener_whose_connection_has_fallen_silent_listens_again(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_listening, "_RECONNECT", 0.01)
    monkeypatch.setattr(postgres_listening, "_KEEPALIVE", 0.05)
    monkeypatch.setattr(postgres_engine, "_COMMAND_TIMEOUT", 0.2)
    async with Proxy(migrated_url) as proxy:
        engine = create_engine(proxy.url, name="under test", pool_size=2)
        wakeups = PostgresWakeups(engine)
        listening = asyncio.create_task(wakeups.listen())
        assert await woken(wakeups)
        async with proxy.stalled():
            await asyncio.wait_for(proxy.connected(), PATIENCE)
            proxy.drop()
        assert await woken(wakeups)  # for what was missed meanwhile
        await PostgresIntake(engine).record(webhook())
        assert await woken(wakeups)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await engine.dispose()


async def test_a_listener_survives_that_there_is_no_database(
    engine: AsyncEngine, empty: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_listening, "_RECONNECT", 0)
    nowhere = create_engine("postgresql://x@127.0.0.1:1/x", name="under test", pool_size=1)
    listening = asyncio.create_task(PostgresWakeups(nowhere).listen())
    done, _ = await asyncio.wait({listening}, timeout=0.2)

    assert not done
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await nowhere.dispose()


async def test_a_connection_to_what_has_become_read_only_is_left_for_another(
    migrated_url: str,
) -> None:
    engine = create_engine(migrated_url, name="under test", pool_size=1)
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.text("SET default_transaction_read_only = on"))
        health = await PostgresHealth(engine).check()
        assert (health.well, health.hint) == (False, "it takes no writes: is it a standby?")
        with pytest.raises(StorageUnavailable, match="takes no writes"):
            await PostgresIntake(engine).record(webhook())

        assert await PostgresIntake(engine).record(webhook())
        assert (await PostgresHealth(engine).check()).well
    finally:
        await engine.dispose()


async def test_no_connection_is_made_to_what_takes_no_writes(
    migrated_url: str, bystander: asyncpg.Connection
) -> None:
    engine = create_engine(migrated_url, name="under test", pool_size=1)
    name = await bystander.fetchval("SELECT current_database()")
    await bystander.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        with pytest.raises(StorageUnavailable, match="takes no writes"):
            await PostgresPartitions(engine).renew()
        assert not (await PostgresHealth(engine).check()).well
    finally:
        await bystander.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    try:
        assert await PostgresPartitions(engine).renew()
    finally:
        await engine.dispose()


async def test_the_server_does_not_wait_long_for_who_acknowledges_nothing(
    engine: AsyncEngine,
) -> None:
    async with engine.connect() as connection:
        assert await connection.scalar(sa.text("SHOW tcp_user_timeout")) == "10000"
