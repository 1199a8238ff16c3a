"""Migrations, climbed in every direction, and the command that runs them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from alembic import command

from adapters.postgres.migrate import alembic_config, upgrade
from adapters.postgres.tables import metadata

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
