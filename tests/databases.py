"""A database that has the schema already, as fixtures for the conftest of a package to import."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.migrate import upgrade
from adapters.postgres.privileges import grant_to
from adapters.postgres.tables import metadata
from tests.conftest import PASSWORD

__all__ = ["migrated_database", "migrated_url", "owner_url"]


@pytest.fixture(scope="session")
def migrated_database(postgres_server_url: str, service_role: str) -> Iterator[str]:
    """Give the owner's URL of a database that is migrated once, for one test after the other."""
    name = f"test_{uuid4().hex}"
    url = urlsplit(postgres_server_url)._replace(path=f"/{name}").geturl()

    # Migrations run in an event loop of their own, which takes a thread without one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_execute, postgres_server_url, f"CREATE DATABASE {name}").result()
        thread.submit(upgrade, url).result()
        thread.submit(grant_to, url, service_role).result()
        yield url
        drop = f"DROP DATABASE {name} WITH (FORCE)"
        thread.submit(_execute, postgres_server_url, drop).result()


@pytest.fixture
def migrated_url(owner_url: str, service_role: str) -> str:
    """Give the same as `owner_url` to a role with the service's privileges and no others."""
    return as_role(owner_url, service_role)


@pytest.fixture
async def owner_url(migrated_database: str) -> AsyncIterator[str]:
    """Give the URL of a database with an empty schema that only this test uses now.

    Emptying tables is many times faster than making a database.
    """
    yield migrated_database
    connection = await asyncpg.connect(migrated_database)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        tables = [table.fullname for table in reversed(metadata.sorted_tables)]
        # The names are those of our own tables.
        await connection.execute("; ".join(f"DELETE FROM {table}" for table in tables))  # noqa: S608
    finally:
        await connection.close()


def as_role(url: str, role: str) -> str:
    """The same database for the role that `service_role` gives."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{PASSWORD}@{address}").geturl()


def _execute(url: str, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())
