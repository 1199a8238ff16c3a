"""A sandbox takes a database that is empty or a sandbox's own, and leaves every other alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adapters.postgres.migrate import upgrade
from sandbox.ownership import AlreadyRunning, NotOurs, owned

WEBHOOK = (
    "INSERT INTO payments.stripe_webhook_events"
    " (id, event_id, event_type, livemode, payload, traceparent, stripe_created_at, ordering_key,"
    " partition) VALUES (gen_random_uuid(), 'evt_1', 'invoice.paid', $1, '', '', now(), 'cus_1', 0)"
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Somebody's connection to the database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_an_empty_one_is_taken_and_known_again(database_url: str, tmp_path: Path) -> None:
    """Whatever it is filled with meanwhile, and however its URL is written then."""
    async with owned(database_url, tmp_path, given=True) as first:
        await asyncio.to_thread(upgrade, database_url)
    database = await asyncpg.connect(database_url)
    await _keep_a_webhook(database, live=False)
    await database.close()
    async with owned(f"{database_url}?sslmode=disable", tmp_path / "other", given=True) as again:
        assert again == first


async def test_one_that_was_only_migrated_is_taken(database_url: str, tmp_path: Path) -> None:
    await asyncio.to_thread(upgrade, database_url)
    async with owned(database_url, tmp_path, given=True) as mark:
        assert mark


async def test_what_somebody_else_has_written_is_left_alone(
    database_url: str, database: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    await asyncio.to_thread(upgrade, database_url)
    await _keep_a_webhook(database, live=False)
    with pytest.raises(NotOurs, match="stripe_webhook_events has rows, and no sandbox has marked"):
        await _take(database_url, tmp_path)
    assert await database.fetchval("SELECT processed FROM payments.stripe_webhook_events") is False
    assert await _mark(database) is None


async def test_what_happened_in_live_mode_is_left_alone_even_where_a_sandbox_was(
    database_url: str, database: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    async with owned(database_url, tmp_path, given=True):
        await asyncio.to_thread(upgrade, database_url)
    await _keep_a_webhook(database, live=True)
    with pytest.raises(NotOurs, match="holds what has happened in live mode"):
        await _take(database_url, tmp_path)


async def test_one_that_a_service_is_connected_to_is_left_alone(
    database_url: str, database: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    """Though there is nothing in it yet; once the service has gone, it is taken."""
    service = await asyncpg.connect(database_url, server_settings={"application_name": "payments"})
    with pytest.raises(NotOurs, match="connected to it is payments"):
        await _take(database_url, tmp_path)
    assert await _mark(database) is None
    await service.close()
    await _take(database_url, tmp_path)


async def test_two_do_not_have_one_at_the_same_time(database_url: str, tmp_path: Path) -> None:
    async with owned(database_url, tmp_path, given=True):
        with pytest.raises(AlreadyRunning, match=r"works on this database \(payments sandbox, pid"):
            await _take(database_url, tmp_path)


async def _take(url: str, data: Path) -> None:
    async with owned(url, data, given=True):
        pass


async def _mark(database: asyncpg.Connection[Any]) -> Any:
    return await database.fetchval(
        "SELECT obj_description(to_regnamespace('payments'), 'pg_namespace')"
    )


async def _keep_a_webhook(database: asyncpg.Connection[Any], *, live: bool) -> None:
    await database.execute(WEBHOOK, live)
