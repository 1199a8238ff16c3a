import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import create_engine
from tests.databases import migrated_database, migrated_url, owner_url

__all__ = ["migrated_database", "migrated_url", "owner_url"]


@pytest.fixture
async def engine(migrated_url: str) -> AsyncIterator[AsyncEngine]:
    """Give the engine of the adapters under test."""
    engine = create_engine(migrated_url, name="under test", pool_size=10)
    yield engine
    await engine.dispose()


@pytest.fixture
async def bystander(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection of the owner to the same database."""
    connection = await asyncpg.connect(owner_url)
    yield connection
    with contextlib.suppress(asyncpg.InterfaceError, OSError):
        await connection.close()
