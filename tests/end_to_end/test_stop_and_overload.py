"""A process that is stopped or flooded: what is answered 200 is there, nothing is half done."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest

from adapters.postgres.group_commit import LARGEST_BATCH, MOST_WAITING, MOST_WAITING_BYTES
from tests.databases import as_role
from tests.end_to_end.processes import Process, run, running
from tests.stripe_payloads import SECRET, Payload, Signed, customer, event, signed

LOCK = "LOCK TABLE payments.stripe_webhook_events IN SHARE ROW EXCLUSIVE MODE"
# What a flooded process may take more than an idle one, in bytes: requests and their bodies.
ROOM = 150 * 1024 * 1024


@pytest.fixture
async def environment(database_url: str, service_role: str) -> dict[str, str]:
    status, output = await run(
        {"DATABASE_URL": database_url}, "migrate", "--grant-to", service_role
    )
    assert status == 0, output
    return {
        "DATABASE_URL": as_role(database_url, service_role),
        "STRIPE_SECRET_KEY": "sk_test_1",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_1",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": "http://127.0.0.1:1",
        "JWT_SECRET": "a secret that is long enough for the tests",
        "JWT_ISSUER": "https://identity.example",
        "JWT_AUDIENCE": "payments",
    }


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def post(client: httpx.AsyncClient, request: Signed) -> httpx.Response:
    return await client.post(
        "/api/payments/webhook",
        content=request.body,
        headers={"stripe-signature": request.header},
    )


def webhook(number: int = 1, **more: Any) -> Payload:
    return event("customer.updated", customer("cus_1") | more, id=f"evt_{number}")


async def kept(owner: asyncpg.Connection) -> set[str]:
    rows = await owner.fetch("SELECT event_id FROM payments.stripe_webhook_events")
    return {row["event_id"] for row in rows}


async def until_writing(owner: asyncpg.Connection) -> None:
    """Return once the service waits for the lock."""
    async with asyncio.timeout(30):
        while not await owner.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted"
            " AND relation = 'payments.stripe_webhook_events'::regclass"
        ):
            await asyncio.sleep(0.01)


async def until_closed(service: Process) -> None:
    """Return once nobody is listening any more."""
    port = urlsplit(service.address).port
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.01)


async def test_a_webhook_in_flight_is_answered_before_the_process_ends(
    environment: dict[str, str], owner: asyncpg.Connection, tmp_path: Path
) -> None:
    async with (
        running("api", environment, tmp_path) as service,
        httpx.AsyncClient(base_url=service.address or "", timeout=30) as client,
    ):
        async with owner.transaction():
            await owner.execute(LOCK)
            in_flight = asyncio.create_task(post(client, signed(webhook())))
            await until_writing(owner)
            service.signal(signal.SIGTERM)
            await until_closed(service)
            assert not in_flight.done()
        answer = await in_flight
        assert await service.wait() == 0

    assert answer.json() == {"received": True, "duplicate": False}
    assert await kept(owner) == {"evt_1"}


async def test_a_webhook_that_was_not_answered_is_not_half_there(
    environment: dict[str, str], owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """The process is killed while it stops: nobody was told 200, so nothing need be there."""
    async with (
        running("api", environment, tmp_path) as service,
        httpx.AsyncClient(base_url=service.address or "", timeout=30) as client,
        owner.transaction(),
    ):
        await owner.execute(LOCK)
        in_flight = asyncio.create_task(post(client, signed(webhook())))
        await until_writing(owner)
        service.signal(signal.SIGTERM)
        await until_closed(service)
        service.signal(signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            await in_flight
        await service.wait()
    async with asyncio.timeout(30):  # until the server has noticed that its client is gone
        while await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ):
            await asyncio.sleep(0.01)
    assert await kept(owner) == set()

    async with (
        running("api", environment, tmp_path) as service,
        httpx.AsyncClient(base_url=service.address or "", timeout=30) as client,
    ):
        assert (await post(client, signed(webhook()))).json() == {
            "received": True,
            "duplicate": False,
        }


async def answer_to(address: str | None, request: Signed) -> tuple[int, bool]:
    """Post on a connection of its own; the status, and whether it says when to come again."""
    # A client library spends most of a minute on as many connections.
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(address).port)
    head = (
        "POST /api/payments/webhook HTTP/1.1\r\nHost: payments\r\nConnection: close\r\n"
        f"Stripe-Signature: {request.header}\r\nContent-Length: {len(request.body)}\r\n\r\n"
    )
    writer.write(head.encode() + request.body)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    writer.close()
    return int(answer.split()[1]), "retry-after: " in answer


@pytest.mark.parametrize("size", [4_096, 65_536])
async def test_a_flood_is_shed_within_bounds_and_over_at_once(
    environment: dict[str, str], owner: asyncpg.Connection, tmp_path: Path, size: int
) -> None:
    """The database stands still while more comes in than may wait, by its number or its size."""
    too_many = 200
    waiting = min(MOST_WAITING, MOST_WAITING_BYTES // size)
    # What the committer took before it got stuck is beside that.
    room = waiting + LARGEST_BATCH
    # Signed beforehand: the flood should be a fast one.
    floods = [
        [signed(webhook(n, description="x" * size)) for n in range(start, start + room + too_many)]
        for start in (0, room + too_many)
    ]
    async with running("api", environment, tmp_path) as service:
        assert await answer_to(service.address, signed(webhook(-1))) == (200, False)
        process = psutil.Process(service.pid)
        before = process.memory_info().rss
        grown: list[int] = []
        statuses: list[int] = []
        for flood in floods:
            async with owner.transaction():
                await owner.execute(LOCK)
                answers = [asyncio.create_task(answer_to(service.address, one)) for one in flood]
                for answered in islice(asyncio.as_completed(answers), too_many):
                    assert await answered == (503, True)
                grown.append(process.memory_info().rss - before)
            statuses += [(await one)[0] for one in answers]
            # It takes the next one at once.
            after = signed(webhook(-2 - len(grown)))
            assert await answer_to(service.address, after) == (200, False)
        assert "webhooks are waiting to be written" in service.log

    assert max(grown) < ROOM
    assert grown[1] - grown[0] < ROOM / 4, "the second flood needs what the first one needed"
    assert set(statuses) == {200, 503}
    taken = {f"evt_{number}" for number, status in enumerate(statuses) if status == 200}
    assert taken <= await kept(owner)
