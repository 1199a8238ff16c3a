"""The customer was deleted at Stripe and the webhook that says so is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from httpx import Response

from tests.api.conftest import ORIGIN, Somebody
from tests.money.conftest import Till

GENERAL = "general_monthly"
Ask = Callable[[Till, Somebody], Awaitable[Response]]
WAYS: dict[str, Ask] = {
    "subscribe": lambda till, user: user.subscribe(till.price(GENERAL)),
    "checkout": lambda till, user: user.checkout(till.price(GENERAL)),
    "portal": lambda _, user: user(
        "POST", "/create-portal-session", {"returnUrl": f"{ORIGIN}/account"}
    ),
}


async def customer_of(user: Somebody) -> str:
    found: str = (await user("POST", "/customers")).json()["customerId"]
    return found


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
async def test_a_new_customer_takes_its_place(till: Till, ask: Ask) -> None:
    user = await till.somebody()
    first = await customer_of(user)
    await till.stripe.v1.customers.delete_async(first)

    answer = await ask(till, user)

    assert answer.status_code == 200, answer.text
    second = await customer_of(user)
    assert second != first
    assert [one["id"] for one in till.all("customer") if not one.get("deleted")] == [second]


@pytest.mark.usefixtures("worker")
async def test_what_the_deleted_customer_had_is_over(till: Till) -> None:
    user = await till.subscriber(GENERAL)
    await till.stripe.v1.customers.delete_async(await customer_of(user))

    answer = await user.subscribe(till.price(GENERAL))

    assert answer.status_code == 200, answer.text
    assert [one["status"] for one in till.subscriptions(user)] == ["canceled", "incomplete"]


@pytest.mark.usefixtures("worker")
async def test_once_the_webhook_comes_after_all_nothing_changes(till: Till) -> None:
    user = await till.somebody()
    await till.stripe.v1.customers.delete_async(await customer_of(user))
    await user.subscribe(till.price(GENERAL))
    second = await customer_of(user)
    [deleted] = [one for one in till.all("event") if one["type"] == "customer.deleted"]

    await till.deliver(deleted)
    await till.work_off()

    assert await customer_of(user) == second


async def test_a_subscription_of_an_earlier_customer_still_counts_while_it_runs(
    till: Till,
) -> None:
    """Our link was retired, the provider still charges."""
    user = await till.subscriber(GENERAL)
    first = await customer_of(user)
    report = till.deletion_of(first)
    await till.deliver(report)
    await till.work_off()

    answer = await user.subscribe(till.price(GENERAL))

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:already-subscribed"


async def test_one_of_an_earlier_customer_that_has_ended_does_not_though_we_have_not_heard(
    till: Till,
) -> None:
    user = await till.subscriber(GENERAL)
    first = await customer_of(user)
    await till.stripe.v1.customers.delete_async(first)
    await till.deliver(till.deletion_of(first))
    await till.work_off()
    assert (await user("GET", "/subscription")).json()["status"] == "active"

    answer = await user.subscribe(till.price(GENERAL))

    assert answer.status_code == 200, answer.text


async def test_without_a_worker_it_is_to_be_tried_again(till: Till) -> None:
    user = await till.somebody()
    await till.stripe.v1.customers.delete_async(await customer_of(user))
    till.container.own_webhooks()._patience = 0.01

    answer = await user.subscribe(till.price(GENERAL))
    await till.work_off()
    again = await user.subscribe(till.price(GENERAL))

    assert (answer.status_code, again.status_code) == (503, 200)


async def test_a_customer_that_is_there_is_not_let_go_of(till: Till) -> None:
    user = await till.somebody()
    first = await customer_of(user)

    assert not await till.container.own_webhooks().let_go_of(first)
    assert await customer_of(user) == first
