"""What was begun and never confirmed: it charges nobody, and keeps nobody from a whole trial."""

from __future__ import annotations

import pytest
import stripe

from tests.money.conftest import Subscriber, Till

GENERAL = "general_monthly"
DAY = 24 * 3600


async def test_an_attempt_that_is_resumed_at_once_is_the_same(till: Till) -> None:
    user = await till.somebody(trial=True)
    first = (await user.subscribe(till.price(GENERAL))).json()
    await till.sandbox.advance(seconds=50 * 60)

    again = (await user.subscribe(till.price(GENERAL))).json()

    assert again == first
    assert len(till.subscriptions(user)) == 1


async def test_an_attempt_that_is_resumed_late_has_the_whole_trial(till: Till) -> None:
    user = await till.somebody(trial=True)
    first = (await user.subscribe(till.price(GENERAL))).json()
    await till.sandbox.advance(days=170)

    again = (await user.subscribe(till.price(GENERAL))).json()

    assert again["subscriptionId"] != first["subscriptionId"]
    old, new = till.subscriptions(user)
    assert (old["status"], new["status"]) == ("canceled", "trialing")
    assert new["trial_end"] == till.sandbox.clock.now() + 180 * DAY
    await till.confirm(again)
    await till.sandbox.advance(days=179)
    assert till.taken(user) == []
    await till.sandbox.advance(days=2)
    assert till.taken(user) == [1000]


async def test_nobody_is_charged_for_what_they_never_confirmed(till: Till) -> None:
    """A card comes by another way, for something else."""
    user = await till.somebody(trial=True)
    await user.subscribe(till.price(GENERAL))
    await till.tell_of(user)
    [attempt] = till.subscriptions(user)
    await till.put_a_card_on_file(attempt["customer"])
    await till.sandbox.advance(days=1, seconds=1)

    assert await till.container.close_abandoned()() == 1

    assert attempt["status"] == "canceled"
    await till.sandbox.advance(days=181)
    assert till.taken(user) == []
    again = (await user.subscribe(till.price(GENERAL))).json()
    assert again["status"] == "trialing", "it has burnt no trial"


@pytest.mark.parametrize("trial", [True, False])
async def test_what_was_begun_within_a_day_is_left_alone(till: Till, trial: bool) -> None:
    user = await till.somebody(trial=trial)
    begun = (await user.subscribe(till.price(GENERAL))).json()
    await till.tell_of(user)
    await till.sandbox.advance(seconds=22 * 3600)

    assert await till.container.close_abandoned()() == 0

    await till.confirm(begun)


async def test_what_was_confirmed_is_kept_though_we_have_not_heard_of_it(till: Till) -> None:
    user = await till.somebody(trial=True)
    begun = (await user.subscribe(till.price(GENERAL))).json()
    await till.tell_of(user)
    await till.confirm(begun)
    await till.sandbox.advance(days=2)

    assert await till.container.close_abandoned()() == 0

    [subscription] = till.subscriptions(user)
    assert subscription["status"] == "trialing"
    # Its webhooks are two days late, and may never come.
    await till.work_off()
    seen = (await user("GET", "/subscription")).json()
    assert (seen["status"], seen["hasAccess"]) == ("trialing", True)


async def test_what_is_paid_for_is_kept_though_its_card_was_never_set_up(till: Till) -> None:
    """The trial has ended, and a card that came by another way was charged."""
    user = await till.somebody(trial=True)
    await user.subscribe(till.price(GENERAL))
    await till.tell_of(user)
    [subscription] = till.subscriptions(user)
    await till.put_a_card_on_file(subscription["customer"])
    await till.sandbox.advance(days=181)

    assert await till.container.close_abandoned()() == 0

    assert subscription["status"] == "active"
    await till.work_off()
    assert (await user("GET", "/subscription")).json()["status"] == "active"


async def test_one_that_cannot_be_closed_keeps_no_other_open(till: Till) -> None:
    users = [await till.somebody(trial=True) for _ in range(2)]
    for user in users:
        await user.subscribe(till.price(GENERAL))
        await till.tell_of(user)
    await till.sandbox.advance(days=2)
    till.sandbox.control.add_fault("/v1/setup_intents/{id}/cancel", status=400)

    assert await till.container.close_abandoned()() == 1
    for user in users:
        await till.tell_of(user)
    assert await till.container.close_abandoned()() == 1

    assert {s["status"] for user in users for s in till.subscriptions(user)} == {"canceled"}


async def test_an_attempt_that_is_given_up_can_no_longer_be_paid(till: Till) -> None:
    user = await till.somebody()
    begun = (await user.subscribe(till.price(GENERAL))).json()

    answer = await Subscriber(user, begun["subscriptionId"]).cancel()

    assert (answer.status_code, answer.json()["status"]) == (200, "expired")
    with pytest.raises(stripe.StripeError):
        await till.confirm(begun)
    assert till.taken(user) == []


@pytest.mark.parametrize(
    ("trial", "path"),
    [(False, "/v1/invoices/[^/]+/void"), (True, "/v1/setup_intents/[^/]+/cancel")],
)
async def test_an_attempt_that_is_confirmed_before_it_is_given_up_is_kept(
    till: Till, trial: bool, path: str
) -> None:
    user = await till.somebody(trial=trial)
    begun = (await user.subscribe(till.price(GENERAL))).json()
    till.wire.before("POST", path, lambda: till.confirm(begun))

    answer = await Subscriber(user, begun["subscriptionId"]).cancel()

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:changed-meanwhile"
    [subscription] = till.subscriptions(user)
    assert subscription["status"] == ("trialing" if trial else "active")
    await till.work_off()
    seen = (await user("GET", "/subscription")).json()
    assert seen["status"] == subscription["status"]
