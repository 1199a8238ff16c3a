"""What happens to a purchase that nobody has to pay for or give a card for."""

from __future__ import annotations

import pytest

from tests.money.conftest import Till

GENERAL = "general_monthly"


async def test_a_card_on_file_is_not_charged_before_the_buyer_confirms(till: Till) -> None:
    user = await till.somebody()
    await till.put_a_card_on_file((await user("POST", "/customers")).json()["customerId"])

    begun = (await user.subscribe(till.price(GENERAL))).json()

    assert (begun["status"], begun["intentType"]) == ("incomplete", "payment")
    assert till.taken(user) == []
    await till.confirm(begun)
    assert till.taken(user) == [1000]


async def test_with_a_card_on_file_a_trial_begins_with_the_call(till: Till) -> None:
    user = await till.somebody(trial=True)
    await till.put_a_card_on_file((await user("POST", "/customers")).json()["customerId"])

    begun = (await user.subscribe(till.price(GENERAL))).json()

    assert (begun["status"], begun["clientSecret"], begun["intentType"]) == ("trialing", None, None)


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answer lost"])
async def test_a_trial_that_began_with_the_call_is_used_whatever_becomes_of_it(
    till: Till, lost: bool
) -> None:
    """An operator ends it at once. Without a card of its own nothing would tell it from one that
    was never confirmed.
    """
    user = await till.somebody(trial=True)
    await till.put_a_card_on_file((await user("POST", "/customers")).json()["customerId"])
    if lost:
        till.wire.lose_answers("POST", "/v1/subscriptions")
    begun = (await user.subscribe(till.price(GENERAL))).json()
    assert begun["status"] == "trialing"
    [subscription] = till.subscriptions(user)
    await till.stripe.v1.subscriptions.cancel_async(subscription["id"])

    again = (await user.subscribe(till.price(GENERAL))).json()

    assert (again["status"], again["intentType"]) == ("incomplete", "payment")


@pytest.mark.parametrize("trial", [True, False])
async def test_what_began_with_the_call_is_known_before_its_webhook(
    till: Till, trial: bool
) -> None:
    user = await till.somebody(trial=trial)
    customer = (await user("POST", "/customers")).json()["customerId"]
    if trial:
        await till.put_a_card_on_file(customer)
    else:
        await till.give_credit(user, 1000)
    begun = (await user.subscribe(till.price(GENERAL))).json()

    await till.work_off()

    seen = (await user("GET", "/subscription")).json()
    assert (seen["id"], seen["status"]) == (begun["subscriptionId"], begun["status"])
    assert seen["hasAccess"]


async def test_with_enough_credit_a_subscription_begins_with_the_call(till: Till) -> None:
    user = await till.somebody()
    await till.give_credit(user, 1500)

    begun = (await user.subscribe(till.price(GENERAL))).json()

    assert (begun["status"], begun["clientSecret"], begun["intentType"]) == ("active", None, None)
    assert till.taken(user) == []


async def test_with_some_credit_the_rest_is_confirmed(till: Till) -> None:
    user = await till.somebody()
    await till.give_credit(user, 300)

    begun = (await user.subscribe(till.price(GENERAL))).json()

    assert (begun["status"], begun["intentType"]) == ("incomplete", "payment")
    await till.confirm(begun)
    assert till.taken(user) == [700]


async def test_credit_comes_back_when_an_attempt_is_closed(till: Till) -> None:
    user = await till.somebody()
    await till.give_credit(user, 300)
    await user.subscribe(till.price(GENERAL))

    begun = (await user.subscribe(till.price("general_annual"))).json()
    await till.confirm(begun)

    assert till.taken(user) == [10_000 - 300]
