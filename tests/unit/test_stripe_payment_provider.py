"""Stripe is asked through its own SDK, over HTTP, and may fail in every way a server can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
import stripe

from adapters.stripe import api
from adapters.stripe.api import StripeApi
from adapters.stripe.payment_provider import StripePaymentProvider
from domain.money import Money
from domain.plans import Offer
from ports.payment_provider import ProviderCustomer, ProviderUnavailable
from tests import stripe_stand_in as failures
from tests.builders import OFFERS, price_list
from tests.stripe_payloads import (
    DAY,
    START,
    USER,
    at,
    customer,
    deleted,
    plan_of,
    price,
    subscription,
)
from tests.stripe_stand_in import Failure, StripeStandIn, run_stripe_stand_in

KEY: Final = "sk_test_for_tests"


@pytest.fixture
def stripe_stand_in() -> Iterator[StripeStandIn]:
    with run_stripe_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
async def provider(stripe_stand_in: StripeStandIn) -> AsyncIterator[StripePaymentProvider]:
    found = StripePaymentProvider(StripeApi(KEY, stripe_stand_in.url), price_list())
    yield found
    await found.close()


FAILURES: Final[dict[str, Failure]] = {
    "an error of its own": failures.status(500),
    "too many requests": failures.status(429, "rate_limit_error"),
    "a wrong key": failures.status(401, "invalid_request_error"),
    "a missing permission": failures.status(403, "invalid_request_error"),
    "a bad request": failures.status(400, "invalid_request_error"),
    "a path it does not know": failures.status(404, "invalid_request_error"),
    "a proxy's not found": failures.raw(404, "<html>not found</html>"),
    "a proxy's bad gateway": failures.raw(502, "<html>bad gateway</html>"),
    "half an answer": failures.raw(200, '{"id": "cus_1", "obj'),
    "an answer that is no JSON": failures.raw(200, "<html>welcome</html>"),
    "an empty answer": failures.raw(200, ""),
    "an answer without an object": failures.raw(200, "{}"),
    "a list": failures.raw(200, '{"object": "list", "data": {}}'),
}

CALLS: Final[dict[str, Callable[[StripePaymentProvider], Any]]] = {
    "customer": lambda provider: provider.fetch_customer("cus_1"),
    "subscription": lambda provider: provider.fetch_subscription("sub_1"),
    "prices": lambda provider: provider.fetch_prices(OFFERS),
}


async def test_a_customer_is_read_as_it_is_now(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn
) -> None:
    stripe_stand_in.customers["cus_1"] = customer(email="now@example.com")

    assert await provider.fetch_customer("cus_1") == ProviderCustomer(
        "cus_1", USER, "now@example.com", "Alice", at(START), deleted=False
    )
    (request,) = stripe_stand_in.requests
    assert request.path == "/v1/customers/cus_1"
    assert request.authorization == f"Bearer {KEY}"


async def test_a_deleted_customer_is_known_as_deleted(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn
) -> None:
    stripe_stand_in.customers["cus_1"] = deleted()

    assert await provider.fetch_customer("cus_1") == ProviderCustomer("cus_1", deleted=True)


@pytest.mark.parametrize("shape", ["new", "old"])
async def test_a_subscription_is_read_in_either_shape(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn, shape: Any
) -> None:
    stripe_stand_in.subscriptions["sub_1"] = subscription(shape=shape, status="trialing")

    found = await provider.fetch_subscription("sub_1")

    assert found is not None
    assert (found.status, found.plan, found.interval) == ("trialing", "general", "month")
    assert found.current_period_end == found.trial_end == at(START + 180 * DAY)


async def test_what_stripe_does_not_know_is_absent(provider: StripePaymentProvider) -> None:
    assert await provider.fetch_customer("cus_1") is None
    assert await provider.fetch_subscription("sub_1") is None
    found = await provider.fetch_prices(OFFERS)
    assert (found.by_ref, found.current) == ({}, {})


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_failure_is_an_absence_for_now_and_never_an_answer(
    provider: StripePaymentProvider,
    stripe_stand_in: StripeStandIn,
    call: Callable[[StripePaymentProvider], Any],
    failure: Failure,
) -> None:
    stripe_stand_in.failures = [failure] * 5

    with pytest.raises(ProviderUnavailable) as raised:
        await call(provider)

    assert KEY not in str(raised.value)


@pytest.mark.parametrize("failure", [failures.reset, failures.half, failures.hang])
async def test_a_connection_that_breaks_or_hangs_is_given_up(
    stripe_stand_in: StripeStandIn, failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "TIMEOUT", 0.2)
    monkeypatch.setattr(api, "RETRIES", 0)
    provider = StripePaymentProvider(StripeApi(KEY, stripe_stand_in.url), price_list())
    stripe_stand_in.failures = [failure]

    with pytest.raises(ProviderUnavailable, match=r"did not answer CustomerService\.retrieve"):
        await provider.fetch_customer("cus_1")
    await provider.close()


async def test_nobody_answering_is_an_absence_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "RETRIES", 0)
    with run_stripe_stand_in() as gone:
        pass
    provider = StripePaymentProvider(StripeApi(KEY, gone.url), price_list())

    with pytest.raises(ProviderUnavailable):
        await provider.fetch_customer("cus_1")
    await provider.close()


async def test_a_passing_failure_is_tried_again(
    stripe_stand_in: StripeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.0)
    provider = StripePaymentProvider(StripeApi(KEY, stripe_stand_in.url), price_list())
    stripe_stand_in.customers["cus_1"] = customer()
    stripe_stand_in.failures = [failures.status(500, retry=True), failures.reset]

    assert await provider.fetch_customer("cus_1") is not None
    assert len(stripe_stand_in.requests) == 3
    await provider.close()


@pytest.mark.parametrize(
    "found",
    [
        customer(email=7),  # type: ignore[arg-type]  # what must never happen may
        customer(metadata="x"),
        customer(created=10**18),
    ],
)
async def test_a_customer_of_another_shape_is_an_absence_for_now(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn, found: Any
) -> None:
    stripe_stand_in.customers["cus_1"] = found

    with pytest.raises(ProviderUnavailable, match="a shape we do not know"):
        await provider.fetch_customer("cus_1")


@pytest.mark.parametrize(
    "found",
    [
        subscription(status="?"),
        subscription(trial_end=10**18),
        subscription(customer=["cus_1"], trial_end=[]),
    ],
)
async def test_a_subscription_of_another_shape_is_an_absence_for_now(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn, found: Any
) -> None:
    stripe_stand_in.subscriptions["sub_1"] = found

    with pytest.raises(ProviderUnavailable, match="a shape we do not know"):
        await provider.fetch_subscription("sub_1")


# Prices


def offer(lookup_key: str) -> Offer:
    return next(found for found in OFFERS if found.lookup_key == lookup_key)


async def test_prices_are_found_by_their_lookup_keys(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn
) -> None:
    stripe_stand_in.prices = [price(found.lookup_key) for found in OFFERS]

    found = await provider.fetch_prices(OFFERS)

    assert found.current == {o.lookup_key: f"price_{o.lookup_key}" for o in OFFERS}
    assert found.by_ref["price_event_organizer_annual"] == offer("event_organizer_annual")


async def test_an_archived_price_is_known_and_not_for_sale(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn
) -> None:
    stripe_stand_in.prices = [
        price(found.lookup_key, active=found.lookup_key != "general_annual") for found in OFFERS
    ]

    found = await provider.fetch_prices(OFFERS)

    assert found.by_ref["price_general_annual"] == offer("general_annual")
    assert "general_annual" not in found.current
    assert len(found.current) == len(OFFERS) - 1


async def test_a_superseded_price_is_found_through_its_product(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn
) -> None:
    stripe_stand_in.prices = [
        price("general_monthly", product="prod_general"),
        price("general_annual", product="prod_general"),
        price("event_organizer_monthly", product="prod_organizer"),
        price(None, id="price_old_month", product="prod_general", active=False, unit_amount=800),
        price(
            None, id="price_old_year", product="prod_general", interval="year", unit_amount=10_000
        ),
        price(None, id="price_week", product="prod_general", interval="week"),
        price(None, id="price_once", product="prod_general") | {"recurring": None},
        price(None, id="price_foreign", product="prod_else"),
    ]

    found = await provider.fetch_prices(OFFERS)

    assert found.by_ref == {
        "price_general_monthly": offer("general_monthly"),
        "price_general_annual": offer("general_annual"),
        "price_event_organizer_monthly": offer("event_organizer_monthly"),
        # At what its subscribers pay, whatever it is sold for now.
        "price_old_month": replace(offer("general_monthly"), price=Money(800, "usd")),
        "price_old_year": offer("general_annual"),
    }
    assert set(found.current) == {"general_monthly", "general_annual", "event_organizer_monthly"}


async def test_a_superseded_price_of_a_product_with_several_plans_is_not_guessed(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn
) -> None:
    stripe_stand_in.prices = [
        price("general_monthly"),
        price("event_organizer_monthly"),
        price(None, id="price_old_month"),
    ]

    found = await provider.fetch_prices(OFFERS)

    assert "price_old_month" not in found.by_ref
    assert set(found.current) == {"general_monthly", "event_organizer_monthly"}


async def test_prices_are_read_page_by_page(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn
) -> None:
    stripe_stand_in.largest_page = 2
    old = [price(None, id=f"price_old_{number}") for number in range(5)]
    stripe_stand_in.prices = [*old, price("general_monthly")]

    found = await provider.fetch_prices(OFFERS)

    assert set(found.by_ref) == {"price_general_monthly", *(sold["id"] for sold in old)}


async def test_a_failure_on_a_later_page_is_an_absence_for_now(
    provider: StripePaymentProvider, stripe_stand_in: StripeStandIn
) -> None:
    stripe_stand_in.largest_page = 1
    stripe_stand_in.prices = [price("general_monthly"), price("general_annual")]
    stripe_stand_in.failures = [None, failures.status(500)]

    with pytest.raises(ProviderUnavailable):
        await provider.fetch_prices(OFFERS)


async def test_learned_prices_are_recognised_in_what_is_fetched_later(
    stripe_stand_in: StripeStandIn,
) -> None:
    prices = price_list()
    provider = StripePaymentProvider(StripeApi(KEY, stripe_stand_in.url), prices)
    old = price(None, id="price_old", product="prod_1", interval="month")
    stripe_stand_in.prices = [price("general_monthly"), old]
    stripe_stand_in.subscriptions["sub_1"] = subscription(prices=[old])

    before = await provider.fetch_subscription("sub_1")
    found = await provider.fetch_prices(OFFERS)
    prices.learn(found.by_ref, found.current)
    after = await provider.fetch_subscription("sub_1")
    await provider.close()

    assert before is not None
    assert after is not None
    assert (before.plan, after.plan) == ("unknown", "general")
    assert plan_of(old)["id"] == after.price_ref


def test_the_sdk_tells_nothing_home() -> None:
    assert stripe.enable_telemetry is False
