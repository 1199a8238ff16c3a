"""More than can be taken: shed with a 503 that says when, within bounds, and recovered at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from httpx import ASGITransport, AsyncClient, Response

from adapters.http.app import create_app
from adapters.http.bodies import Bodies
from adapters.http.config import PublicSettings
from adapters.stripe.webhooks import StripeWebhooks
from ports.inbox import ReceivedWebhook
from service.receive_webhook import ReceiveWebhook
from tests.builders import price_list
from tests.http.conftest import NOW, StoppedClock
from tests.stripe_payloads import SECRET, Signed, encode, event, signed, subscription

PATH = "/api/payments/webhook"


class SlowInbox:
    """Keeps what is recorded once it is let go, and tells how many wait for that."""

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.go_on = asyncio.Event()
        self.waiting = 0
        self.arrived = asyncio.Condition()

    async def record(self, webhook: ReceivedWebhook) -> bool:
        async with self.arrived:
            self.waiting += 1
            self.arrived.notify_all()
        await self.go_on.wait()
        self.kept.add(webhook.event_id)
        return True

    async def until_waiting(self, count: int) -> None:
        async with asyncio.timeout(30), self.arrived:
            await self.arrived.wait_for(lambda: self.waiting >= count)

    async def close(self) -> None:
        """Nothing waits."""


@asynccontextmanager
async def serving(inbox: SlowInbox, bodies: Bodies) -> AsyncIterator[AsyncClient]:
    prices = price_list()
    app = create_app(
        ReceiveWebhook(StripeWebhooks([SECRET], prices), inbox, StoppedClock()),
        prices,
        PublicSettings("pk_test_public", "usd", 180),
        [],
        bodies=bodies,
    )
    transport = ASGITransport(cast("Any", app))  # the two type ASGI differently
    async with AsyncClient(transport=transport, base_url="http://payments") as client:
        yield client


def request(number: int, size: int = 0) -> Signed:
    body = encode(event("customer.updated", subscription("sub_1"), id=f"evt_{number}"))
    return signed(body + b" " * max(0, size - len(body)), timestamp=NOW)


async def post(client: AsyncClient, one: Signed) -> Response:
    return await client.post(PATH, content=one.body, headers={"stripe-signature": one.header})


def assert_shed(answer: Response) -> None:
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:payments:problem:try-again"
    assert int(answer.headers["retry-after"]) > 0


async def test_beyond_capacity_webhooks_are_shed_with_a_503_that_says_when() -> None:
    inbox, bodies = SlowInbox(), Bodies(most_requests=3)
    async with serving(inbox, bodies) as client:
        taken = [asyncio.create_task(post(client, request(number))) for number in range(3)]
        await inbox.until_waiting(3)

        assert_shed(await post(client, request(3)))

        inbox.go_on.set()
        assert [one.status_code for one in await asyncio.gather(*taken)] == [200] * 3
        # At once, and the very same that was shed before.
        assert (await post(client, request(3))).status_code == 200
    assert inbox.kept == {f"evt_{number}" for number in range(4)}


async def test_a_flood_takes_no_more_memory_than_is_allowed() -> None:
    size, room = 50_000, 1_000_000
    inbox, bodies = SlowInbox(), Bodies(most_bytes=room)
    async with serving(inbox, bodies) as client:
        flood = [asyncio.create_task(post(client, request(n, size))) for n in range(200)]
        await inbox.until_waiting(room // size)
        done: set[asyncio.Task[Response]] = set()
        while len(done) < 200 - room // size:
            newly, _ = await asyncio.wait(
                set(flood) - done, return_when=asyncio.FIRST_COMPLETED, timeout=30
            )
            assert newly, "what is too much was neither taken nor shed"
            done |= newly
            assert bodies.bytes <= room
        for task in done:
            assert_shed(task.result())

        inbox.go_on.set()
        answers = await asyncio.gather(*flood)
        assert [one.status_code for one in answers].count(200) == room // size
    assert len(inbox.kept) == room // size
    assert (bodies.bytes, bodies.requests) == (0, 0)


async def test_a_body_that_trickles_in_is_given_up() -> None:
    inbox, bodies = SlowInbox(), Bodies(patience=0.05)
    inbox.go_on.set()

    async def trickle() -> AsyncIterator[bytes]:
        yield b'{"id": '
        await asyncio.Event().wait()

    async with serving(inbox, bodies) as client:
        answer = await client.post(PATH, content=trickle(), headers={"stripe-signature": "t=1"})

    assert answer.status_code == 408
    assert answer.json()["type"] == "urn:payments:problem:body-too-slow"
    assert (bodies.bytes, bodies.requests) == (0, 0)


async def test_whatever_becomes_of_a_request_its_room_is_free_again() -> None:
    inbox, bodies = SlowInbox(), Bodies(most_requests=1)
    async with serving(inbox, bodies) as client:
        broken_off = asyncio.create_task(post(client, request(1)))
        await inbox.until_waiting(1)
        broken_off.cancel()
        await asyncio.wait([broken_off])
        inbox.go_on.set()

        assert (await client.post(PATH, content=b"{}")).status_code == 400
        assert (await client.post(PATH, content=b"x" * 600_000)).status_code == 413
        assert (await post(client, request(2))).status_code == 200
    assert (bodies.bytes, bodies.requests) == (0, 0)
