"""Whoever does what a 409 says gets on, and does not meet the next 409."""

from __future__ import annotations

import pytest

from tests.money.conftest import Till, at

GENERAL, ANNUAL = "general_monthly", "general_annual"


async def test_with_an_end_scheduled_one_resumes_and_then_changes_the_plan(till: Till) -> None:
    user = await till.subscriber(GENERAL)
    subscriber = await at(user)
    await subscriber.cancel()

    refused = await user.subscribe(till.price(ANNUAL))

    assert refused.json()["type"] == "urn:payments:problem:already-subscribed"
    assert "resume it" in refused.json()["detail"]
    assert refused.json()["instead"] == "POST /api/payments/subscriptions/{id}/resume"
    assert (await subscriber.resume()).status_code == 200
    shown = await subscriber.preview(till.price(ANNUAL))
    assert (await subscriber.change(till.price(ANNUAL), shown)).status_code == 200


async def test_whose_subscription_is_paused_ends_it_and_buys_another(till: Till) -> None:
    user = await till.subscriber(GENERAL)
    subscriber = await at(user)
    [subscription] = till.subscriptions(user)
    await till.stripe.v1.subscriptions.pause_async(subscription["id"], {"type": "subscription"})
    assert subscription["status"] == "paused"

    refused = [
        await user.subscribe(till.price(ANNUAL)),
        await subscriber.preview(till.price(ANNUAL)),
    ]

    assert [answer.status_code for answer in refused] == [409, 409]
    assert "end it" in refused[0].json()["detail"]
    end_it = "DELETE /api/payments/subscriptions/{id}?immediately=true"
    assert refused[0].json()["instead"] == end_it
    assert "cancel it immediately" in refused[1].json()["detail"]
    assert (await subscriber.cancel(immediately=True)).status_code == 200
    assert (await user.subscribe(till.price(ANNUAL))).status_code == 200


@pytest.mark.parametrize("status", ["past_due", "unpaid"])
async def test_whose_subscription_is_owed_for_may_end_it_and_buy_another(
    till: Till, status: str
) -> None:
    user = await till.subscriber(GENERAL)
    subscriber = await at(user)
    [subscription] = till.subscriptions(user)
    subscription["status"] = status

    refused = (await user.subscribe(till.price(ANNUAL))).json()

    assert f"that is {status}" in refused["detail"]
    assert "settle what is owed in the portal, or end it" in refused["detail"]
    assert refused["instead"] == "POST /api/payments/create-portal-session"
    assert (await subscriber.cancel(immediately=True)).status_code == 200
    assert (await user.subscribe(till.price(ANNUAL))).status_code == 200


async def test_no_words_for_people_hold_a_request_for_programs(till: Till) -> None:
    user = await till.subscriber(GENERAL)

    refused = (await user.subscribe(till.price(ANNUAL))).json()

    assert refused["instead"] == "PATCH /api/payments/subscriptions/{id}"
    assert "/" not in refused["detail"]


async def test_whose_purchase_was_not_confirmed_buys_the_other_plan(till: Till) -> None:
    user = await till.somebody()
    begun = (await user.subscribe(till.price(GENERAL))).json()

    path = f"/subscriptions/{begun['subscriptionId']}/preview"
    refused = await user("POST", path, {"priceId": till.price(ANNUAL)})

    assert refused.status_code == 409
    assert "buy the plan you want" in refused.json()["detail"]
    assert (await user.subscribe(till.price(ANNUAL))).status_code == 200
