"""Whatever hangs, a user is answered before their gateway gives up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any, cast

import pytest
from litestar.types import Message, Receive, Scope, Send

from adapters.http.deadline import Deadline
from adapters.http.user_api import DEADLINE
from tests.api.conftest import MovableClock, World, world_of
from tests.api.stripe_api import StripeApi
from tests.proxy import Proxy

# Seconds after which common gateways give up.
GATEWAY = 30


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(migrated_url) as proxy:
        yield proxy


class Patience:
    """Every request's time, which is up when the test says so: however slow the machine is."""

    def __init__(self) -> None:
        self._limits: list[asyncio.Timeout] = []

    def __call__(self, seconds: float) -> asyncio.Timeout:
        """Begin a request's time."""
        assert seconds == DEADLINE
        limit = asyncio.timeout(None)
        self._limits.append(limit)
        return limit

    def ends(self) -> None:
        """The time of the request that came last is up."""
        self._limits[-1].reschedule(asyncio.get_running_loop().time())


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Patience:
    patience = Patience()
    monkeypatch.setattr("adapters.http.deadline.timeout", patience)
    return patience


@pytest.fixture
async def hurried(
    environment: dict[str, str],
    database: Proxy,
    stripe_api: StripeApi,
    clock: MovableClock,
    patience: Patience,
) -> AsyncIterator[World]:
    """The application, whose requests' time the test has in hand."""
    environment["DATABASE_URL"] = database.url
    async with world_of(environment, stripe_api, clock) as world:
        yield world


def test_it_is_below_that_of_the_gateway_with_all_the_tidying_up() -> None:
    assert DEADLINE + 4 < GATEWAY


async def test_what_has_begun_to_be_answered_is_not_broken_off() -> None:
    said: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):  # the time was up at once
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(message: Message) -> None:
        said.append(message["type"])

    await Deadline(app, 0)(cast("Scope", {}), cast("Receive", None), send)

    assert said == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "a"}], ids=["plain", "keyed"])
async def test_a_request_that_stripe_holds_up_is_broken_off_and_can_be_repeated(
    hurried: World, patience: Patience, headers: dict[str, str]
) -> None:
    user = hurried.somebody()
    hurried.stripe.released.clear()

    asking = asyncio.create_task(user("POST", "/customers", **headers))
    await hurried.stripe.reached.wait()
    patience.ends()
    late = await asking

    assert late.status_code == 503
    assert late.json()["type"] == "urn:payments:problem:took-too-long"
    assert int(late.headers["retry-after"]) >= 1
    hurried.stripe.released.set()
    again = await user("POST", "/customers", **headers)
    assert again.status_code == 200
    assert "idempotent-replayed" not in again.headers
    assert len(hurried.stripe.all("customer")) == 1


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "a"}], ids=["plain", "keyed"])
async def test_a_database_that_does_not_answer_holds_nobody_up(
    hurried: World, database: Proxy, patience: Patience, headers: dict[str, str]
) -> None:
    user = hurried.somebody()
    await user("POST", "/customers")

    async with database.stalled():
        asking = asyncio.create_task(
            user("POST", "/create-portal-session", {"returnUrl": "x"}, **headers)
        )
        if headers:  # its key is looked up first; without one the database is not needed
            await database.holds_up()
            patience.ends()
        refused = await asking

    assert refused.status_code == (503 if headers else 422)


async def test_nor_those_who_only_look(hurried: World, database: Proxy, patience: Patience) -> None:
    user = hurried.somebody()
    await user("POST", "/customers")

    async with database.stalled():
        looking = asyncio.create_task(user("GET", "/subscription"))
        await database.holds_up()
        patience.ends()
        late = await looking

    assert late.status_code == 503
    assert int(late.headers["retry-after"]) >= 1


async def test_nor_does_one_that_stops_to_answer_while_the_request_is_carried_out(
    hurried: World, database: Proxy, patience: Patience
) -> None:
    user = hurried.somebody()
    hurried.stripe.released.clear()
    asking = asyncio.create_task(user("POST", "/customers", Idempotency_Key="a"))
    await hurried.stripe.reached.wait()

    async with database.stalled():
        hurried.stripe.released.set()
        await database.holds_up()
        patience.ends()
        late = await asking

    assert late.status_code == 503
    # Its key could not be let go of, so it is taken for dead first.
    hurried.clock.move(minutes=2)
    assert (await user("POST", "/customers", Idempotency_Key="a")).status_code == 200
    assert len(hurried.stripe.all("customer")) == 1


async def test_nor_does_one_that_stops_to_answer_when_the_answer_is_to_be_kept(
    hurried: World,
    database: Proxy,
    logged: list[MutableMapping[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = hurried.container.idempotency_keys()
    finish = keys.finish

    async def finish_while_it_is_stalled(*about: Any) -> bool:
        async with database.stalled():
            return await finish(*about)

    monkeypatch.setattr(keys, "finish", finish_while_it_is_stalled)
    user = hurried.somebody()

    answer = await user("POST", "/customers", Idempotency_Key="a")

    assert answer.status_code == 200, "what was done is done, and is told"
    assert [line["error"] for line in logged if line["event"] == "answer_not_kept"] == [
        "the database did not answer in time"  # and not what its driver says of it, far later
    ]
    again = await user("POST", "/customers", Idempotency_Key="a")
    assert again.json()["type"] == "urn:payments:problem:request-under-way"
