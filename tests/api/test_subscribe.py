"""Buying on our own page, with Stripe Elements."""

from __future__ import annotations

import asyncio

from tests.api.conftest import ANNUAL, MONTHLY, World


async def test_within_the_trial_a_card_is_set_up(world: World) -> None:
    answer = await world.somebody().subscribe()

    [subscription] = world.stripe.all("subscription")
    assert answer.status_code == 200
    begun = answer.json()
    assert begun["status"] == "incomplete"
    assert begun["intentType"] == "setup"
    assert begun["clientSecret"] == f"seti_secret_{subscription['id']}"
    sent = world.stripe.sent[-1].form
    assert sent["payment_behavior"] == "default_incomplete"
    assert sent["trial_settings"]["end_behavior"]["missing_payment_method"] == "cancel"


async def test_without_a_trial_the_first_payment_is_confirmed(world: World) -> None:
    user = world.somebody()
    async with world.container.unit_of_work() as uow:
        await uow.trials.redeem([user.id])
        await uow.commit()

    begun = (await user.subscribe()).json()

    [subscription] = world.stripe.all("subscription")
    assert begun["intentType"] == "payment"
    assert begun["clientSecret"] == f"pi_secret_{subscription['id']}"


async def test_what_was_begun_and_not_confirmed_grants_nothing_and_burns_no_trial(
    world: World,
) -> None:
    user = world.somebody()
    await user.subscribe()
    [subscription] = world.stripe.all("subscription")
    await world.deliver("customer.subscription.created", subscription)
    await world.work_off()

    seen = (await user("GET", "/subscription")).json()
    assert (seen["status"], seen["hasAccess"], seen["trialAvailable"]) == (
        "incomplete",
        False,
        True,
    )

    # A hundred and eighty days later Stripe gives it up for want of a card.
    world.clock.move(days=180)
    ended = world.stripe.cancel_subscription({}, subscription["id"])
    await world.deliver("customer.subscription.deleted", ended)
    await world.work_off()

    seen = (await user("GET", "/subscription")).json()
    assert (seen["status"], seen["trialAvailable"]) == ("canceled", True)
    assert (await user.subscribe()).json()["intentType"] == "setup"


async def test_once_confirmed_access_is_granted_and_the_trial_is_used(world: World) -> None:
    user = world.somebody()
    begun = (await user.subscribe()).json()
    [subscription] = world.stripe.all("subscription")
    world.stripe.confirm(subscription["id"])
    await world.deliver("customer.subscription.updated", subscription)
    await world.work_off()

    seen = (await user("GET", "/subscription")).json()
    assert seen["id"] == begun["subscriptionId"]
    assert (seen["status"], seen["hasAccess"], seen["trialAvailable"]) == ("trialing", True, False)
    assert seen["trialDaysLeft"] == 180


async def test_a_declined_card_can_be_tried_again_at_once(world: World) -> None:
    user = world.somebody()

    first, second = await user.subscribe(), await user.subscribe()

    assert first.json() == second.json()
    assert len(world.stripe.all("subscription")) == 1


async def test_another_plan_takes_the_place_of_the_unfinished_one(world: World) -> None:
    user = world.somebody()
    await user.subscribe(MONTHLY)

    second = await user.subscribe(ANNUAL)

    first, annual = world.stripe.all("subscription")
    assert first["status"] == "canceled"
    assert second.json()["clientSecret"] == f"seti_secret_{annual['id']}"


async def test_an_open_page_of_stripe_is_closed(world: World) -> None:
    user = world.somebody()
    await user.checkout()
    await user.subscribe()

    [session] = world.stripe.all("checkout.session")
    assert session["status"] == "expired"


async def test_two_tabs_begin_one_subscription(world: World) -> None:
    for _ in range(50):
        user = world.somebody()
        answers = await asyncio.gather(user.subscribe(), user.subscribe())
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json() == answers[1].json()

    assert len(world.stripe.all("subscription")) == 50


async def test_two_tabs_with_different_plans_leave_one_to_confirm(world: World) -> None:
    for number in range(1, 51):
        user = world.somebody()
        await asyncio.gather(user.subscribe(MONTHLY), user.subscribe(ANNUAL))
        left = [s for s in world.stripe.all("subscription") if s["status"] != "canceled"]
        assert len(left) == number
