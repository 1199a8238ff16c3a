"""The service against the stateful stand-in for Stripe: one customer per user, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from sandbox.stripe.server import StripeSandbox
from tests.api.conftest import MovableClock, Somebody, World, world_of
from tests.api.stripe_api import StripeApi


@pytest.fixture
async def sandbox() -> AsyncIterator[StripeSandbox]:
    stand_in = StripeSandbox()
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
async def instances(
    sandbox: StripeSandbox,
    environment: dict[str, str],
    stripe_api: StripeApi,
    clock: MovableClock,
) -> AsyncIterator[list[World]]:
    """Two instances of the application, which share nothing but the database and Stripe."""
    environment |= {"STRIPE_API_BASE": sandbox.url, "STRIPE_SECRET_KEY": sandbox.api_key}
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(world_of(environment, stripe_api, clock))
            for _ in range(2)
        ]


def customers_of(sandbox: StripeSandbox, user: Somebody) -> list[str]:
    return [
        customer["id"]
        for customer in sandbox.world.store.all("customer")
        if customer["metadata"]["user_id"] == str(user.id)
    ]


async def test_two_first_requests_at_once_make_one_customer(
    sandbox: StripeSandbox, instances: list[World]
) -> None:
    """With tokens that differ, of which the operation must not depend."""
    one, other = instances
    for _ in range(50):
        user = one.somebody()
        elsewhere = other.somebody(id=user.id, email="new@example.com", name="Alicia")
        answers = await asyncio.gather(user("POST", "/customers"), elsewhere("POST", "/customers"))

        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["customerId"] for answer in answers} == set(
            customers_of(sandbox, user)
        )
        assert len(customers_of(sandbox, user)) == 1


async def test_a_customer_whose_row_was_never_written_is_found_again(
    sandbox: StripeSandbox, instances: list[World]
) -> None:
    """Whoever created it died before it could write that down; since then the email changed."""
    user = instances[0].somebody(email="new@example.com")
    purchases = instances[1].container.purchases()
    created = await purchases.create_customer(user.id, operation=f"customer:{user.id}:0")
    await purchases.update_customer(created, "old@example.com", "Alice")

    answer = await user("POST", "/customers")

    assert (answer.status_code, answer.json()["customerId"]) == (200, created)
    assert customers_of(sandbox, user) == [created]
    assert sandbox.world.store.get("customer", created)["email"] == "new@example.com"
