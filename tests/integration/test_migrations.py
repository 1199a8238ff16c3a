"""Migrations, climbed in every direction, and the command that runs them."""

import asyncio
import sys
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from adapters.postgres.migrate import alembic_config, upgrade
from adapters.postgres.tables import REVISION, metadata
from ports.unit_of_work import StorageUnavailable

TABLES = {table.name for table in metadata.tables.values()}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def tables(database: asyncpg.Connection) -> set[str]:
    rows = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'payments'")
    return {row["tablename"] for row in rows} - {"alembic_version"}


async def payments_migrate(directory: Path, **environment: str) -> tuple[int | None, str]:
    """Run the command with this environment and no other; its status and what it says."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("payments"),
        "migrate",
        cwd=directory,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_migrations_go_up_down_to_the_base_and_up_again(
    database_url: str, database: asyncpg.Connection
) -> None:
    config = alembic_config(database_url)
    # Alembic runs an event loop of its own, hence the threads.
    await asyncio.to_thread(command.upgrade, config, "head")
    assert await tables(database) == TABLES
    await asyncio.to_thread(command.downgrade, config, "base")
    assert await tables(database) == set()
    await asyncio.to_thread(command.upgrade, config, "head")
    assert await tables(database) == TABLES


async def test_the_migrated_schema_is_the_one_the_adapters_know(
    database_url: str, database: asyncpg.Connection
) -> None:
    await database.execute(
        "CREATE TABLE public.of_another_service (id integer);"
        "CREATE SCHEMA users; CREATE TABLE users.of_another_service (id integer)"
    )
    await asyncio.to_thread(upgrade, database_url)

    # Raises where a further migration would be needed.
    await asyncio.to_thread(command.check, alembic_config(database_url))


async def test_migrating_what_is_migrated_changes_nothing(
    database_url: str, database: asyncpg.Connection
) -> None:
    await asyncio.to_thread(upgrade, database_url)
    await database.execute("INSERT INTO payments.paid_invoices VALUES ('in_1')")
    await asyncio.to_thread(upgrade, database_url)

    assert await database.fetchval("SELECT count(*) FROM payments.paid_invoices") == 1


async def test_a_migration_that_fails_leaves_nothing_behind(
    database_url: str, database: asyncpg.Connection
) -> None:
    await database.execute("CREATE SCHEMA payments; CREATE TABLE payments.workers (id integer)")

    with pytest.raises(Exception, match=r"42P07|already exists"):
        await asyncio.to_thread(upgrade, database_url)

    assert await tables(database) == {"workers"}


async def test_the_command_needs_the_databases_url_and_nothing_else(
    database_url: str, database: asyncpg.Connection, tmp_path: Path
) -> None:
    status, said = await payments_migrate(tmp_path, DATABASE_URL=database_url)

    assert (status, said) == (0, said)
    assert await tables(database) == TABLES


async def test_several_commands_at_once_migrate_one_after_the_other(
    database_url: str, database: asyncpg.Connection, tmp_path: Path
) -> None:
    results = await asyncio.gather(
        *(payments_migrate(tmp_path, DATABASE_URL=database_url) for _ in range(3))
    )

    assert [status for status, _ in results] == [0, 0, 0], results
    assert await tables(database) == TABLES
    assert await database.fetchval("SELECT count(*) FROM payments.alembic_version") == 1


async def test_the_command_fails_where_the_database_cannot_be_reached(tmp_path: Path) -> None:
    status, said = await payments_migrate(
        tmp_path, DATABASE_URL="postgresql://somebody:s3cret@127.0.0.1:1/nowhere"
    )

    assert status
    assert "cannot be reached" in said
    assert "s3cret" not in said


def test_what_readiness_asks_for_is_the_newest_migration_and_ids_can_be_compared() -> None:
    script = ScriptDirectory.from_config(alembic_config(""))
    assert script.get_current_head() == REVISION
    ids = [revision.revision for revision in script.walk_revisions()]
    assert all(len(one) == 4 and one.isdecimal() for one in ids)
    assert ids == sorted(ids, reverse=True)


async def test_a_table_is_written_to_while_an_index_on_it_is_built(
    database_url: str, database: asyncpg.Connection
) -> None:
    await asyncio.to_thread(upgrade, database_url, "0003")
    writer = await asyncpg.connect(database_url, command_timeout=10)
    try:
        # A transaction under way, for the end of which the building has to wait.
        old = database.transaction()
        await old.start()
        await database.execute(_A_MESSAGE)
        building = asyncio.create_task(asyncio.to_thread(upgrade, database_url, lock_timeout=0.05))
        await _until(
            writer,
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE 'CREATE INDEX CONCURRENTLY%'",
        )
        await writer.execute(_A_MESSAGE)
        await old.commit()
        await building
    finally:
        await writer.close()
    assert await database.fetchval("SELECT bool_and(indisvalid) FROM pg_index")
    assert await database.fetchval("SELECT count(*) FROM payments.outbox_events") == 2


async def test_an_index_that_was_broken_off_is_built_anew(
    database_url: str, database: asyncpg.Connection
) -> None:
    await asyncio.to_thread(upgrade, database_url, "0003")
    await database.execute(
        "CREATE INDEX ix_outbox_events_done ON payments.outbox_events (created_at);"
        "UPDATE pg_index SET indisvalid = false"
        " WHERE indexrelid = 'payments.ix_outbox_events_done'::regclass"
    )

    await asyncio.to_thread(upgrade, database_url)

    assert await database.fetchval("SELECT bool_and(indisvalid) FROM pg_index")
    await asyncio.to_thread(command.check, alembic_config(database_url))


async def test_a_migration_lets_go_of_a_table_that_is_in_use_and_tries_again(
    database_url: str, database: asyncpg.Connection, logged: list[MutableMapping[str, Any]]
) -> None:
    await asyncio.to_thread(upgrade, database_url, "0004")
    async with database.transaction():
        await database.execute("LOCK TABLE payments.subscriptions IN ACCESS SHARE MODE")
        migrating = asyncio.create_task(asyncio.to_thread(upgrade, database_url, lock_timeout=0.05))
        async with asyncio.timeout(30):
            while "migration_waits" not in [line["event"] for line in logged]:
                await asyncio.sleep(0.01)  # it runs in a thread, and gives no event to wait on
    await migrating

    assert await database.fetchval("SELECT version_num FROM payments.alembic_version") == REVISION


async def test_a_migration_gives_up_on_a_table_that_is_never_free_and_keeps_what_came_before(
    database_url: str, database: asyncpg.Connection
) -> None:
    await asyncio.to_thread(upgrade, database_url, "0001")
    async with database.transaction():
        await database.execute("LOCK TABLE payments.subscriptions IN ACCESS SHARE MODE")
        with pytest.raises(StorageUnavailable, match="somebody holds a table"):
            await asyncio.to_thread(upgrade, database_url, lock_timeout=0.02)

    assert await database.fetchval("SELECT version_num FROM payments.alembic_version") == "0004"


_A_MESSAGE = (
    "INSERT INTO payments.outbox_events"
    " (subscription_id, version, type, body, ordering_key, partition)"
    " VALUES (gen_random_uuid(), 1, 't', '', 'k', 1)"
)


async def _until(database: asyncpg.Connection, question: str) -> None:
    async with asyncio.timeout(30):
        while not await database.fetchval(question):
            await asyncio.sleep(0.01)  # the server's own state: there is no event to wait on
