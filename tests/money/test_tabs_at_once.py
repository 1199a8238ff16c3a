"""Stripe takes its time over what one tab has begun, and meanwhile there is another tab."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import stripe
from httpx import Response

from adapters.stripe.api import StripeApi
from service import operation_names
from service.change_claim import changing
from tests.api.conftest import Somebody
from tests.money.conftest import Till, at
from tests.money.test_lost_answers import BUYING, Buy, begun

GENERAL, ANNUAL = "general_monthly", "general_annual"


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for another request looks again as often as ever, and sooner; whoever is waited for
    is not given up, however slow the machine is.
    """
    monkeypatch.setattr(operation_names, "A_MOMENT", 0.1)
    monkeypatch.setattr(stripe.HTTPXClient, "INITIAL_DELAY", 0.01)
    monkeypatch.setattr("adapters.stripe.api.TIMEOUT", 60.0)
    monkeypatch.setattr("adapters.http.user_api.DEADLINE", 60.0)
    assert StripeApi.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(StripeApi.__init__.__kwdefaults__, "deadline", 60.0)


@pytest.fixture
async def held(till: Till) -> AsyncIterator[None]:
    """Whatever was held back at Stripe is let go in the end."""
    yield
    till.sandbox.control.release_faults()


async def hold(till: Till, path: str, buy: Buy, user: Somebody) -> asyncio.Future[Response]:
    """One tab's purchase, which Stripe has in hand and does not answer yet."""
    till.sandbox.control.add_fault(path, status=None, hold=True)
    arrived = till.wire.arrival("POST", path)
    first = asyncio.ensure_future(buy(user, till.price(GENERAL)))
    await arrived.wait()
    return first


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("lookup_key", [GENERAL, ANNUAL], ids=["same", "other"])
@pytest.mark.parametrize(("path", "buy"), BUYING.values(), ids=BUYING)
async def test_a_second_tab_waits_for_what_the_first_has_begun(
    till: Till, path: str, buy: Buy, lookup_key: str
) -> None:
    user = await till.somebody()
    first = await hold(till, path, buy, user)
    again = till.wire.arrival("POST", path)
    second = asyncio.ensure_future(buy(user, till.price(lookup_key)))
    await again.wait()
    till.sandbox.control.release_faults()

    answers = [await first, await second]

    assert [answer.status_code for answer in answers] == [200, 200], [a.text for a in answers]
    assert begun(till, user) == 1
    assert (answers[0].json() == answers[1].json()) is (lookup_key == GENERAL)


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("lookup_key", [GENERAL, ANNUAL], ids=["same", "other"])
@pytest.mark.parametrize(("path", "buy"), BUYING.values(), ids=BUYING)
async def test_a_second_tab_is_told_that_a_purchase_is_under_way(
    till: Till, path: str, buy: Buy, lookup_key: str
) -> None:
    """Not that nobody answers: Stripe does."""
    user = await till.somebody()
    first = await hold(till, path, buy, user)

    second = await buy(user, till.price(lookup_key))

    assert second.status_code == 409, second.text
    assert second.json()["type"] == "urn:payments:problem:purchase-under-way"
    assert second.headers["retry-after"] == "1"
    till.sandbox.control.release_faults()
    assert (await first).status_code == 200
    assert begun(till, user) == 1


async def test_while_one_tab_changes_a_subscription_another_is_told_when_to_come_again(
    till: Till,
) -> None:
    subscriber = await at(await till.subscriber(GENERAL))

    async with changing(till.container.claims(), UUID(subscriber.id), till.clock.now()):
        meanwhile = await subscriber.cancel(immediately=True)

    assert meanwhile.status_code == 409, meanwhile.text
    assert meanwhile.json()["type"] == "urn:payments:problem:change-under-way"
    assert meanwhile.headers["retry-after"] == "5"
    assert (await subscriber.cancel(immediately=True)).status_code == 200


@pytest.mark.usefixtures("held")
async def test_two_tabs_of_a_new_user_make_one_customer(till: Till) -> None:
    user = await till.somebody()
    till.sandbox.control.add_fault("/v1/customers", status=None, hold=True)
    arrived = till.wire.arrival("POST", "/v1/customers")
    first = asyncio.create_task(user("POST", "/customers"))
    await arrived.wait()
    late = await user("POST", "/customers")
    again = till.wire.arrival("POST", "/v1/customers")
    second = asyncio.create_task(user("POST", "/customers"))
    await again.wait()
    till.sandbox.control.release_faults()

    assert late.status_code == 409
    assert late.json()["type"] == "urn:payments:problem:purchase-under-way"
    assert [(await answer).status_code for answer in (first, second)] == [200, 200]
    assert len(till.all("customer")) == 1


@pytest.mark.parametrize(("path", "buy"), BUYING.values(), ids=BUYING)
async def test_a_failure_that_stripe_has_recorded_holds_for_no_other_terms(
    till: Till, path: str, buy: Buy
) -> None:
    """The first tab's answer was lost as well, and it never asks again."""
    user = await till.somebody()
    till.sandbox.control.add_fault(path)
    till.wire.vanish_after("POST", path)
    assert (await buy(user, till.price(GENERAL))).status_code == 503
    till.wire.be_up()

    second = await buy(user, till.price(ANNUAL))

    assert second.status_code == 200, second.text
    assert begun(till, user) == 1


@pytest.mark.parametrize(("path", "buy"), BUYING.values(), ids=BUYING)
async def test_what_is_asked_again_to_learn_of_a_failure_begins_nothing(
    till: Till, path: str, buy: Buy
) -> None:
    """A day later Stripe has forgotten the first terms, and would begin what nobody wants now."""
    user = await till.somebody()
    till.sandbox.control.add_fault(path)
    till.wire.vanish_after("POST", path)
    await buy(user, till.price(GENERAL))
    till.wire.be_up()
    await till.sandbox.advance(hours=23, seconds=30 * 60)
    asked = len(till.wire.sent)

    second = await buy(user, till.price(ANNUAL))

    # Stripe still knows the key; whoever has to wait for that to pass is not kept for long.
    assert second.status_code == 409, second.text
    assert second.json()["type"] == "urn:payments:problem:purchase-under-way"
    assert till.wire.sent[asked:].count(("POST", path)) == 5
    await till.sandbox.advance(hours=1)
    assert (await buy(user, till.price(ANNUAL))).status_code == 200
    assert begun(till, user) == 1


@pytest.mark.parametrize(("path", "buy"), BUYING.values(), ids=BUYING)
async def test_a_refusal_that_stripe_has_recorded_is_not_for_ever(
    till: Till, path: str, buy: Buy
) -> None:
    """What it has begun and turned down it turns down for a day, whatever has changed since."""
    user = await till.somebody()
    price = till.price(GENERAL)
    await till.stripe.v1.prices.update_async(price, {"active": False})
    assert (await buy(user, price)).status_code == 400
    await till.stripe.v1.prices.update_async(price, {"active": True})

    again = await buy(user, price)

    assert again.status_code == 200, again.text
