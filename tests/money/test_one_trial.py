"""One trial per user, also while the webhooks that would tell of it are late."""

from __future__ import annotations

import pytest

from tests.money.conftest import Till

GENERAL = "general_monthly"


@pytest.mark.parametrize("how", ["elements", "checkout"])
async def test_a_trial_that_was_confirmed_and_ended_is_used_before_we_hear_of_it(
    till: Till, how: str
) -> None:
    user = await till.somebody(trial=True)
    if how == "elements":
        await till.confirm((await user.subscribe(till.price(GENERAL))).json())
    else:
        await till.fill_in((await user.checkout(till.price(GENERAL))).json()["sessionId"])
    [first] = till.subscriptions(user)
    await till.stripe.v1.subscriptions.cancel_async(first["id"])

    second = (await user.subscribe(till.price(GENERAL))).json()

    assert (second["status"], second["intentType"]) == ("incomplete", "payment")
    await till.confirm(second)
    assert till.taken(user) == [1000]


async def test_a_checkout_that_was_completed_has_used_the_trial(till: Till) -> None:
    """Though nothing of the subscription tells: its card was taken away."""
    user = await till.somebody(trial=True)
    await till.fill_in((await user.checkout(till.price(GENERAL))).json()["sessionId"])
    [first] = till.subscriptions(user)
    await till.stripe.v1.payment_methods.detach_async(first["default_payment_method"])
    await till.stripe.v1.subscriptions.cancel_async(first["id"])

    second = (await user.subscribe(till.price(GENERAL))).json()

    assert second["intentType"] == "payment"


async def test_an_attempt_that_was_closed_has_not(till: Till) -> None:
    user = await till.somebody(trial=True)
    await user.subscribe(till.price(GENERAL))
    await user.subscribe(till.price("general_annual"))

    third = (await user.subscribe(till.price(GENERAL))).json()

    assert third["intentType"] == "setup"
