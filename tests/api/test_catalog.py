"""`payments catalog sync`: Stripe sells what the settings say."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from service import cli
from service.learn_prices import SHORTEST_INTERVAL, LearnPrices
from tests.api.conftest import MONTHLY, MovableClock, World, world_of
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


async def test_a_price_for_several_months_is_not_sold_but_replaced(
    environment: dict[str, str], stripe_api: StripeApi, clock: MovableClock
) -> None:
    quarterly = stripe_api.objects[MONTHLY]
    quarterly["recurring"] = {"interval": "month", "interval_count": 3}
    async with world_of(environment, stripe_api, clock) as world:
        answer = await world.somebody().subscribe(MONTHLY)
        assert answer.json()["type"] == "urn:payments:problem:price-not-offered"

        published = await sync(world)

        assert published["general_monthly"] == "replaced"
        await world.container.learn_prices().run_once()
        current = world.container.prices().current_ref("general_monthly")
        assert current not in (None, MONTHLY)


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


async def test_what_another_machine_has_synced_is_sold_at_once(
    world: World,
    environment: dict[str, str],
    stripe_api: StripeApi,
    clock: MovableClock,
    logged: list[MutableMapping[str, Any]],
) -> None:
    """An API that knows its prices meets one that was made elsewhere since."""
    await world.container.learn_prices().run_once()
    environment["GENERAL_MONTHLY_AMOUNT"] = "1200"
    async with world_of(environment, stripe_api, clock) as elsewhere:
        await sync(elsewhere)
    [new] = [p for p in stripe_api.all("price") if p["lookup_key"] == "general_monthly"]

    bought = await world.somebody().checkout(new["id"])
    old = await world.somebody().checkout("price_general_monthly")
    config = (await world.client.get("/api/payments/config")).json()

    assert bought.status_code == 200
    assert old.status_code == 422
    # What is shown is what is charged, whatever this instance's own settings say.
    shown = config["plans"][0]["prices"][0]
    assert (shown["priceId"], shown["amount"]) == (new["id"], 1200)
    [warning] = [line for line in logged if line["event"] == "price_differs"]
    assert (warning["lookup_key"], warning["sold_at"]) == ("general_monthly", "1200 usd")


async def test_prices_that_nobody_sells_are_no_flood_of_requests(world: World) -> None:
    await world.container.learn_prices().run_once()
    world.stripe.sent.clear()

    answers = await asyncio.gather(
        *(world.somebody().checkout(f"price_made_up_{number}") for number in range(20))
    )

    assert {answer.status_code for answer in answers} == {422}
    looked = [sent for sent in world.stripe.sent if "lookup_keys" in sent.form]
    assert len(looked) == 1


async def test_a_price_is_looked_up_again_after_a_while(world: World) -> None:
    time = 0.0
    learn_prices = LearnPrices(
        world.container.payment_provider(), world.container.prices(), monotonic=lambda: time
    )
    for seconds, looks in ((0.0, 1), (SHORTEST_INTERVAL - 0.1, 1), (0.1, 2)):
        time += seconds
        await learn_prices.look_again()
        assert len([sent for sent in world.stripe.sent if "lookup_keys" in sent.form]) == looks


async def test_while_stripe_is_away_no_price_is_called_unknown(world: World) -> None:
    """Neither for whoever asks Stripe, nor for those that wait for its answer."""
    await world.container.learn_prices().run_once()
    world.stripe.down = True

    answers = await asyncio.gather(*(world.somebody().checkout("price_new") for _ in range(5)))

    assert {answer.status_code for answer in answers} == {503}


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
    assert seen["nextCharge"]["amount"] == 1000


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
