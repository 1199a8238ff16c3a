"""A subscriber looks, cancels, resumes and changes the plan; what is not theirs is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.api.conftest import ANNUAL, MONTHLY, ORGANIZER, Somebody, World
from tests.api.stripe_api import ENDED


async def id_of(user: Somebody) -> str:
    found: str = (await user("GET", "/subscription")).json()["id"]
    return found


async def test_without_a_subscription_there_is_status_none(world: World) -> None:
    seen = (await world.somebody()("GET", "/subscription")).json()

    assert seen == {
        "id": None,
        "status": "none",
        "hasAccess": False,
        "accessUntil": None,
        "plan": None,
        "interval": None,
        "priceId": None,
        "startDate": None,
        "endDate": None,
        "trialEndDate": None,
        "trialDaysLeft": 0,
        "trialAvailable": True,
        "currentPeriodEnd": None,
        "cancelAt": None,
        "nextCharge": None,
    }


async def test_a_trial_shows_its_days_and_what_comes_after(world: World) -> None:
    user = await world.subscribed(trial=True)
    world.clock.move(days=79, hours=12)

    seen = (await user("GET", "/subscription")).json()

    assert (seen["status"], seen["plan"], seen["interval"]) == ("trialing", "general", "month")
    assert seen["trialDaysLeft"] == 101
    assert seen["accessUntil"] is None
    assert seen["nextCharge"] == {"at": seen["trialEndDate"], "amount": 1000, "currency": "usd"}


@pytest.mark.parametrize("status", ["unpaid", "paused", "unheard_of", "past_due"])
async def test_of_two_that_run_the_one_that_grants_access_is_shown(
    world: World, status: str
) -> None:
    user = await world.subscribed()
    first = await id_of(user)
    [subscription] = world.stripe.all("subscription")
    now = world.clock.seconds()
    await world.deliver(
        "customer.subscription.updated",
        subscription | {"id": "sub_second", "status": status, "start_date": now, "created": now},
    )
    # By now the second one's grace is over, where it had any.
    world.clock.move(days=8)
    await world.work_off()

    seen = (await user("GET", "/subscription")).json()

    assert (seen["id"], seen["hasAccess"]) == (first, True)


async def test_a_later_subscription_comes_before_the_one_that_ended(world: World) -> None:
    user = await world.subscribed()
    [first] = world.stripe.all("subscription")
    world.clock.move(days=1)
    ended = world.stripe.cancel_subscription({}, first["id"])
    await world.deliver("customer.subscription.deleted", ended)
    await world.work_off()
    assert (await user("GET", "/subscription")).json()["status"] == "canceled"

    session = (await user.checkout(ANNUAL)).json()["sessionId"]
    await world.deliver("customer.subscription.created", world.stripe.complete(session))
    await world.work_off()

    seen = (await user("GET", "/subscription")).json()
    assert (seen["status"], seen["interval"]) == ("active", "year")


REQUESTS: list[Callable[[Somebody, str], Any]] = [
    lambda user, id_: user("DELETE", f"/subscriptions/{id_}"),
    lambda user, id_: user("DELETE", f"/subscriptions/{id_}?immediately=true"),
    lambda user, id_: user("POST", f"/subscriptions/{id_}/resume"),
    lambda user, id_: user("POST", f"/subscriptions/{id_}/preview", {"priceId": ORGANIZER}),
    lambda user, id_: user(
        "PATCH",
        f"/subscriptions/{id_}",
        {"priceId": ORGANIZER, "prorationDate": "2026-01-01T00:00:00Z"},
    ),
]


@pytest.mark.parametrize("request_", REQUESTS)
async def test_what_is_somebody_elses_is_not_there(
    world: World, request_: Callable[[Somebody, str], Any]
) -> None:
    owner = await world.subscribed()
    stranger = await world.subscribed()
    before = dict(world.stripe.all("subscription")[0])
    subscription_id = await id_of(owner)

    theirs = await request_(stranger, subscription_id)
    nobodys = await request_(world.somebody(), str(uuid4()))

    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json() == nobodys.json()
    assert world.stripe.all("subscription")[0] == before


async def test_a_cancellation_takes_effect_with_the_period(world: World) -> None:
    user = await world.subscribed()

    seen = (await user("DELETE", f"/subscriptions/{await id_of(user)}")).json()

    [subscription] = world.stripe.all("subscription")
    assert subscription["cancel_at_period_end"] is True
    assert (seen["status"], seen["hasAccess"]) == ("active", True)
    assert seen["cancelAt"] == seen["accessUntil"] == seen["currentPeriodEnd"]
    assert seen["nextCharge"] is None


async def test_a_cancellation_can_take_effect_at_once(world: World) -> None:
    user = await world.subscribed()
    subscription_id = await id_of(user)
    world.clock.move(days=3)

    seen = (await user("DELETE", f"/subscriptions/{subscription_id}?immediately=true")).json()

    assert (seen["status"], seen["hasAccess"]) == ("canceled", False)
    assert world.stripe.all("subscription")[0]["status"] == "canceled"


@pytest.mark.parametrize("query", ["", "?immediately=true"])
async def test_nothing_is_canceled_twice(world: World, query: str) -> None:
    user = await world.subscribed()
    path = f"/subscriptions/{await id_of(user)}{query}"
    world.clock.move(seconds=1)
    first = await user("DELETE", path)
    await world.tell_of_all()

    again = await user("DELETE", path)

    assert first.status_code == 200
    assert again.status_code == 409
    assert again.json()["type"] == "urn:payments:problem:already-canceled"


@pytest.mark.parametrize("query", ["", "?immediately=true"])
async def test_until_we_have_heard_of_it_a_repeated_cancellation_says_what_is(
    world: World, query: str
) -> None:
    """Whoever repeats it has not had the answer."""
    user = await world.subscribed()
    path = f"/subscriptions/{await id_of(user)}{query}"

    first, again = await user("DELETE", path), await user("DELETE", path)

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()


@pytest.mark.parametrize("query", ["", "?immediately=true"])
@pytest.mark.parametrize("trial", [False, True])
async def test_what_was_never_confirmed_is_closed(world: World, query: str, trial: bool) -> None:
    user = world.somebody()
    if not trial:
        async with world.container.unit_of_work() as uow:
            await uow.trials.redeem([user.id])
            await uow.commit()
    begun = (await user.subscribe()).json()
    path = f"/subscriptions/{begun['subscriptionId']}{query}"

    answers = [await user("DELETE", path), await user("DELETE", path)]
    await world.tell_of_all()
    answers.append(await user("DELETE", path))

    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert answers[0].json()["status"] == ("canceled" if trial else "expired")
    assert world.stripe.all("subscription")[0]["status"] in ENDED
    if trial:
        assert (await user("GET", "/subscription")).json()["trialAvailable"] is True


async def test_a_scheduled_cancellation_can_be_taken_back(world: World) -> None:
    user = await world.subscribed()
    path = f"/subscriptions/{await id_of(user)}"
    await user("DELETE", path)

    seen = (await user("POST", f"{path}/resume")).json()

    [subscription] = world.stripe.all("subscription")
    assert subscription["cancel_at_period_end"] is False
    assert subscription["cancel_at"] is None
    assert seen["cancelAt"] is None
    await world.tell_of_all()
    again = await user("POST", f"{path}/resume")
    assert again.json()["type"] == "urn:payments:problem:nothing-to-resume"


async def test_so_can_one_that_the_portal_has_scheduled_without_the_flag(world: World) -> None:
    user = await world.subscribed()
    [subscription] = world.stripe.all("subscription")
    subscription["cancel_at"] = world.clock.seconds() + 1000

    answer = await user("POST", f"/subscriptions/{await id_of(user)}/resume")

    assert answer.status_code == 200
    assert subscription["cancel_at"] is None


async def test_cancel_resume_and_cancel_again_is_no_repetition(world: World) -> None:
    user = await world.subscribed()
    path = f"/subscriptions/{await id_of(user)}"

    await user("DELETE", path)
    await user("POST", f"{path}/resume")
    await user("DELETE", path)

    assert world.stripe.all("subscription")[0]["cancel_at_period_end"] is True


async def test_the_plan_one_has_is_no_change(world: World) -> None:
    user = await world.subscribed(MONTHLY)
    path = f"/subscriptions/{await id_of(user)}/preview"

    answer = await user("POST", path, {"priceId": MONTHLY})

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:plan-unchanged"


async def test_a_preview_shows_all_its_lines_on_however_many_pages(world: World) -> None:
    user = await world.subscribed(MONTHLY)
    path = f"/subscriptions/{await id_of(user)}/preview"
    whole = (await user("POST", path, {"priceId": ORGANIZER})).json()
    world.stripe.lines_with_a_preview = 1

    paged = await user("POST", path, {"priceId": ORGANIZER})

    assert len(whole["lines"]) > 1
    assert paged.json() == whole


@pytest.mark.parametrize("status", ["past_due", "unpaid", "paused", "canceled"])
async def test_a_plan_that_is_not_running_cannot_be_changed(world: World, status: str) -> None:
    user = await world.subscribed(MONTHLY)
    path = f"/subscriptions/{await id_of(user)}/preview"
    world.stripe.all("subscription")[0]["status"] = status

    answer = await user("POST", path, {"priceId": ORGANIZER})

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:plan-not-changeable"
