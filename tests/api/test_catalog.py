"""`payments catalog sync`: Stripe sells what the settings say."""

from __future__ import annotations

import asyncio

import pytest

from service import cli
from tests.api.conftest import MovableClock, World, world_of
from tests.api.stripe_api import PLANS, StripeApi


async def sync(world: World) -> dict[str, str]:
    return {
        found.offer.lookup_key: str(found.outcome)
        for found in await world.container.sync_catalog()()
    }


async def test_an_empty_account_gets_products_and_prices(world: World) -> None:
    world.stripe.objects.clear()

    assert await sync(world) == dict.fromkeys(PLANS, "created")

    assert {product["name"] for product in world.stripe.all("product")} == {
        "General",
        "Event Organizer",
    }
    assert {
        price["lookup_key"]: (price["unit_amount"], price["recurring"]["interval"])
        for price in world.stripe.all("price")
    } == PLANS


async def test_a_second_run_changes_nothing(world: World) -> None:
    world.stripe.objects.clear()
    await sync(world)
    before = dict(world.stripe.objects)

    assert await sync(world) == dict.fromkeys(PLANS, "unchanged")
    assert world.stripe.objects == before


async def test_two_runs_at_once_create_each_price_once(world: World) -> None:
    for _ in range(50):
        world.stripe.objects.clear()
        world.stripe._remembered.clear()
        await asyncio.gather(sync(world), sync(world))
        assert len(world.stripe.all("price")) == 4
        assert len(world.stripe.all("product")) == 2


async def test_a_changed_amount_makes_a_new_price_that_takes_the_lookup_key_over(
    environment: dict[str, str], stripe_api: StripeApi, clock: MovableClock
) -> None:
    environment["GENERAL_MONTHLY_AMOUNT"] = "1200"
    async with world_of(environment, stripe_api, clock) as world:
        outcomes = await sync(world)
        await world.container.learn_prices().run_once()
        config = (await world.client.get("/api/payments/config")).json()

    assert outcomes == dict.fromkeys(PLANS, "unchanged") | {"general_monthly": "replaced"}
    old = stripe_api.objects["price_general_monthly"]
    [new] = [p for p in stripe_api.all("price") if p["lookup_key"] == "general_monthly"]
    assert old["lookup_key"] is None
    assert (new["unit_amount"], new["product"]) == (1200, old["product"])
    assert config["plans"][0]["prices"][0]["priceId"] == new["id"]


async def test_whoever_bought_at_the_old_price_keeps_plan_and_price(
    environment: dict[str, str], stripe_api: StripeApi, clock: MovableClock
) -> None:
    async with world_of(environment, stripe_api, clock) as world:
        user = await world.subscribed()
    environment["GENERAL_MONTHLY_AMOUNT"] = "1200"
    async with world_of(environment, stripe_api, clock) as world:
        await sync(world)
        await world.container.learn_prices().run_once()
        user.client = world.client
        seen = (await user("GET", "/subscription")).json()

    assert (seen["plan"], seen["priceId"]) == ("general", "price_general_monthly")
    assert seen["nextCharge"]["amount"] is None


@pytest.mark.usefixtures("stripe_api")
def test_it_needs_no_database_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("STRIPE_SECRET_KEY", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)

    assert cli.main(["catalog", "sync"]) == 2

    said = capsys.readouterr().err
    assert "STRIPE_SECRET_KEY is not set" in said
    assert "DATABASE_URL" not in said
