"""Whatever hangs, a user is answered before their gateway gives up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

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


@pytest.fixture
async def hurried(
    environment: dict[str, str],
    database: Proxy,
    stripe_api: StripeApi,
    clock: MovableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """The application with a deadline that a test can wait for."""
    monkeypatch.setattr("adapters.http.user_api.DEADLINE", 0.3)
    environment["DATABASE_URL"] = database.url
    async with world_of(environment, stripe_api, clock) as world:
        yield world


def test_it_is_below_that_of_the_gateway_with_all_the_tidying_up() -> None:
    assert DEADLINE + 4 < GATEWAY


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "a"}], ids=["plain", "keyed"])
async def test_a_request_that_stripe_holds_up_is_broken_off_and_can_be_repeated(
    hurried: World, headers: dict[str, str]
) -> None:
    user = hurried.somebody()
    hurried.stripe.released.clear()

    late = await user("POST", "/customers", **headers)

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
    hurried: World, database: Proxy, headers: dict[str, str]
) -> None:
    user = hurried.somebody()
    await user("POST", "/customers")

    async with database.stalled():
        late = await user("POST", "/create-portal-session", {"returnUrl": "x"}, **headers)
        view = await user("GET", "/subscription")

    statuses = {"plain": 422, "keyed": 503}
    assert late.status_code == statuses["keyed" if headers else "plain"]
    assert view.status_code == 503
    assert int(view.headers["retry-after"]) >= 1


async def test_nor_does_one_that_stops_to_answer_while_the_request_is_carried_out(
    hurried: World, database: Proxy
) -> None:
    user = hurried.somebody()
    hurried.stripe.released.clear()
    asking = asyncio.create_task(user("POST", "/customers", Idempotency_Key="a"))
    await hurried.stripe.reached.wait()

    async with database.stalled():
        hurried.stripe.released.set()
        late = await asking

    assert late.status_code == 503
    # Its key could not be let go of, so it is taken for dead first.
    hurried.clock.move(minutes=2)
    assert (await user("POST", "/customers", Idempotency_Key="a")).status_code == 200
    assert len(hurried.stripe.all("customer")) == 1
