"""A migrated database, made once and emptied after each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.migrate import upgrade
from adapters.postgres.tables import metadata


@pytest.fixture(scope="session")
def migrated_database(postgres_server_url: str) -> Iterator[str]:
    """Give the URL of a database that is migrated once, for one test after the other."""
    name = f"test_{uuid4().hex}"
    url = urlsplit(postgres_server_url)._replace(path=f"/{name}").geturl()
    # Migrations run in an event loop of their own, which takes a thread without one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(execute, postgres_server_url, f"CREATE DATABASE {name}").result()
        thread.submit(upgrade, url).result()
        yield url
        drop = f"DROP DATABASE {name} WITH (FORCE)"
        thread.submit(execute, postgres_server_url, drop).result()


@pytest.fixture
async def migrated_url(migrated_database: str) -> AsyncIterator[str]:
    """Give the URL of a database with an empty schema that only this test uses now."""
    yield migrated_database
    tables = [table.fullname for table in metadata.sorted_tables]
    connection = await asyncpg.connect(migrated_database)
    await connection.execute(f"TRUNCATE {', '.join(tables)}")
    await connection.close()


def execute(url: str, statement: str) -> None:
    """Run one statement."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())
