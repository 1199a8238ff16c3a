"""GET /api/payments/config, /health/live and /health/ready."""

from __future__ import annotations

import asyncio

from httpx import AsyncClient

from domain.plans import PriceList
from ports.health import Health
from tests.builders import OFFERS
from tests.http.conftest import Dependency


async def test_a_page_is_told_what_it_needs_to_sell(client: AsyncClient) -> None:
    response = await client.get("/api/payments/config")

    assert response.status_code == 200
    assert response.json() == {
        "publishableKey": "pk_test_public",
        "currency": "usd",
        "trialPeriodDays": 180,
        "plans": [
            {
                "plan": plan,
                "prices": [
                    {
                        "lookupKey": f"{plan}_{name}",
                        "priceId": None,
                        "interval": interval,
                        "amount": amount,
                        "currency": "usd",
                    }
                    for name, interval, amount in (
                        ("monthly", "month", monthly),
                        ("annual", "year", annual),
                    )
                ],
            }
            for plan, monthly, annual in (
                ("general", 1000, 10000),
                ("event_organizer", 1500, 15000),
            )
        ],
    }


async def test_the_prices_that_are_sold_are_told_once_they_are_known(
    client: AsyncClient, prices: PriceList
) -> None:
    prices.learn({"price_1": OFFERS[0], "price_old": OFFERS[0]}, {OFFERS[0].lookup_key: "price_1"})

    plans = (await client.get("/api/payments/config")).json()["plans"]

    assert [price["priceId"] for plan in plans for price in plan["prices"]] == [
        "price_1",
        None,
        None,
        None,
    ]


async def test_a_process_that_answers_is_alive_whatever_it_depends_on(
    client: AsyncClient, database: Dependency
) -> None:
    database.health = Health("database", well=False, hint="start it")

    response = await client.get("/health/live")

    assert response.status_code == 200
    assert response.json() == {"status": "ok", "checks": []}


async def test_it_is_ready_when_everything_it_depends_on_is_well(client: AsyncClient) -> None:
    response = await client.get("/health/ready")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "checks": [{"name": "database", "well": True, "hint": None}],
    }


async def test_it_is_not_ready_without_its_database_and_says_what_to_do(
    client: AsyncClient, database: Dependency
) -> None:
    database.health = Health("database", well=False, hint="start it")

    response = await client.get("/health/ready")

    assert response.status_code == 503
    assert response.json() == {
        "status": "unavailable",
        "checks": [{"name": "database", "well": False, "hint": "start it"}],
    }


async def test_however_many_ask_at_once_whether_it_is_ready_it_looks_once(
    client: AsyncClient, database: Dependency
) -> None:
    database.answers.clear()
    asking = [asyncio.create_task(client.get("/health/ready")) for _ in range(20)]
    while not database.looked_at:
        await asyncio.sleep(0)
    gone = asking.pop(0)
    gone.cancel()
    database.answers.set()

    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
    assert database.looked_at == 1
    database.health = Health("database", well=False)
    assert (await client.get("/health/ready")).status_code == 503
