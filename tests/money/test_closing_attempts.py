"""What was begun in one tab is closed by another: no payment is ever taken for nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import stripe

from tests.api.conftest import Somebody
from tests.money.conftest import Till, race

MONTHLY, ANNUAL = "general_monthly", "general_annual"
VOID, CANCEL_SETUP = "/v1/invoices/[^/]+/void", "/v1/setup_intents/[^/]+/cancel"
EXPIRE = "/v1/checkout/sessions/[^/]+/expire"


def running(till: Till, user: Somebody) -> list[dict[str, Any]]:
    """Subscriptions that were confirmed and have not ended."""
    return [
        one
        for one in till.subscriptions(user)
        if one["status"] in ("active", "trialing") and one["pending_setup_intent"] is None
    ]


def saved_cards(till: Till, user: Somebody) -> list[dict[str, Any]]:
    customers = {one["customer"] for one in till.subscriptions(user)}
    return [
        one
        for one in till.all("setup_intent")
        if one["customer"] in customers and one["status"] == "succeeded"
    ]


async def test_a_payment_that_comes_first_is_kept_and_the_other_tab_is_told(till: Till) -> None:
    user = await till.somebody()
    first = (await user.subscribe(till.price(MONTHLY))).json()
    till.wire.before("POST", VOID, lambda: till.confirm(first))

    second = await user.subscribe(till.price(ANNUAL))

    assert second.status_code == 409
    assert second.json()["type"] == "urn:payments:problem:already-subscribed"
    [subscription] = till.subscriptions(user)
    assert subscription["status"] == "active"
    assert till.taken(user) == [1000]


async def test_the_running_subscription_is_known_without_its_webhook(till: Till) -> None:
    user = await till.somebody()
    first = (await user.subscribe(till.price(MONTHLY))).json()
    till.wire.before("POST", VOID, lambda: till.confirm(first))
    await user.subscribe(till.price(ANNUAL))

    await till.work_off()

    seen = (await user("GET", "/subscription")).json()
    assert (seen["id"], seen["status"]) == (first["subscriptionId"], "active")


async def test_a_closing_that_comes_first_lets_nothing_be_paid(till: Till) -> None:
    user = await till.somebody()
    first = (await user.subscribe(till.price(MONTHLY))).json()

    second = (await user.subscribe(till.price(ANNUAL))).json()

    with pytest.raises(stripe.StripeError):
        await till.confirm(first)
    assert till.taken(user) == []
    assert [one["status"] for one in till.subscriptions(user)] == [
        "incomplete_expired",
        "incomplete",
    ]
    await till.confirm(second)
    assert till.taken(user) == [10_000]


async def test_a_card_that_is_saved_first_is_kept_and_the_other_tab_is_told(till: Till) -> None:
    user = await till.somebody(trial=True)
    first = (await user.subscribe(till.price(MONTHLY))).json()
    till.wire.before("POST", CANCEL_SETUP, lambda: till.confirm(first))

    second = await user.subscribe(till.price(ANNUAL))

    assert second.json()["type"] == "urn:payments:problem:already-subscribed"
    assert len(running(till, user)) == 1


async def test_an_attempt_within_the_trial_that_is_closed_can_no_longer_be_confirmed(
    till: Till,
) -> None:
    user = await till.somebody(trial=True)
    first = (await user.subscribe(till.price(MONTHLY))).json()

    second = (await user.subscribe(till.price(ANNUAL))).json()

    with pytest.raises(stripe.StripeError):
        await till.confirm(first)
    assert saved_cards(till, user) == []
    assert [one["status"] for one in till.subscriptions(user)] == ["canceled", "trialing"]
    await till.confirm(second)
    assert len(running(till, user)) == 1


@pytest.mark.parametrize("trial", [False, True], ids=["payment", "trial"])
async def test_whoever_is_first_nothing_is_taken_for_nothing(till: Till, trial: bool) -> None:
    """Fifty races between the button in one tab and another plan in the other.

    The button is pressed before or after each of the requests that the other tab's purchase takes.
    """
    winners = set()
    for moment in race(till, 50):
        user = await till.somebody(trial=trial)
        first = (await user.subscribe(till.price(MONTHLY))).json()
        rival = moment(partial(till.confirm, first))
        second = await user.subscribe(till.price(ANNUAL))
        won = await rival.won()

        winners.add(won)
        assert len(running(till, user)) == (1 if won else 0)
        assert till.taken(user) == ([1000] if won and not trial else [])
        assert len(saved_cards(till, user)) == (1 if won and trial else 0)
        assert second.status_code == (409 if won else 200), second.text
    assert winners == {True, False}


async def test_a_payment_that_the_bank_has_in_hand_is_waited_for(till: Till) -> None:
    user = await till.somebody()
    await user.subscribe(till.price(MONTHLY))
    [intent] = till.all("payment_intent")
    intent["status"] = "processing"

    for second in (
        await user.subscribe(till.price(ANNUAL)),
        await user.checkout(till.price(ANNUAL)),
    ):
        assert second.status_code == 409
        assert second.json()["type"] == "urn:payments:problem:payment-processing"
    [subscription] = till.subscriptions(user)
    assert subscription["status"] == "incomplete"


async def test_an_attempt_that_was_given_up_elsewhere_makes_room(till: Till) -> None:
    """Stripe cancels a setup that was tried too often; an operator may void an invoice."""
    user = await till.somebody(trial=True)
    await user.subscribe(till.price(MONTHLY))
    [intent] = till.all("setup_intent")
    await till.stripe.v1.setup_intents.cancel_async(intent["id"])

    second = (await user.subscribe(till.price(MONTHLY))).json()

    await till.confirm(second)
    assert len(running(till, user)) == 1


async def test_a_checkout_that_was_finished_first_is_a_running_subscription(till: Till) -> None:
    user = await till.somebody()
    session = (await user.checkout(till.price(MONTHLY))).json()["sessionId"]
    till.wire.before("POST", EXPIRE, lambda: till.fill_in(session))

    second = await user.checkout(till.price(ANNUAL))

    assert second.json()["type"] == "urn:payments:problem:already-subscribed"
    await till.work_off()
    assert (await user("GET", "/subscription")).json()["status"] == "active"


async def test_a_checkout_that_expired_meanwhile_makes_room(till: Till) -> None:
    user = await till.somebody()
    session = (await user.checkout(till.price(MONTHLY))).json()["sessionId"]
    till.wire.before("POST", EXPIRE, lambda: till.stripe.v1.checkout.sessions.expire_async(session))

    assert (await user.checkout(till.price(ANNUAL))).status_code == 200


async def test_a_checkout_that_stripe_will_not_expire_is_an_error(till: Till) -> None:
    """Not 'just finished': both pages could be bought on."""
    user = await till.somebody()
    await user.checkout(till.price(MONTHLY))
    till.sandbox.control.add_fault("/v1/checkout/sessions/{id}/expire", status=400)

    second = await user.checkout(till.price(ANNUAL))

    assert second.status_code == 400
    assert second.json()["type"] == "urn:payments:problem:provider-refused"


async def test_a_checkout_and_another_plan_race_for_one_subscription(till: Till) -> None:
    winners = set()
    for moment in race(till, 50):
        user = await till.somebody()
        session = (await user.checkout(till.price(MONTHLY))).json()["sessionId"]
        rival = moment(partial(till.fill_in, session))
        second = await user.checkout(till.price(ANNUAL))
        won = await rival.won()

        winners.add(won)
        assert second.status_code == (409 if won else 200), second.text
        assert till.taken(user) == ([1000] if won else [])
    assert winners == {True, False}
