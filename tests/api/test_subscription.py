"""A subscriber looks, cancels, resumes and changes the plan; what is not theirs is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.api.conftest import ANNUAL, MONTHLY, ORGANIZER, Somebody, World
from tests.api.stripe_api import prorate

ORGANIZER_ANNUAL = "price_event_organizer_annual"


async def id_of(user: Somebody) -> str:
    found: str = (await user("GET", "/subscription")).json()["id"]
    return found


async def preview(user: Somebody, price: str) -> dict[str, Any]:
    path = f"/subscriptions/{await id_of(user)}/preview"
    answer = await user("POST", path, {"priceId": price})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def change(user: Somebody, price: str, date: str) -> Any:
    path = f"/subscriptions/{await id_of(user)}"
    return await user("PATCH", path, {"priceId": price, "prorationDate": date})


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


async def test_nothing_is_canceled_twice(world: World) -> None:
    user = await world.subscribed()
    path = f"/subscriptions/{await id_of(user)}"
    await user("DELETE", path)

    scheduled = await user("DELETE", path)
    await user("DELETE", f"{path}?immediately=true")
    ended = await user("DELETE", f"{path}?immediately=true")

    for answer in (scheduled, ended):
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:payments:problem:already-canceled"


async def test_what_never_ran_cannot_be_canceled(world: World) -> None:
    user = world.somebody()
    begun = (await user.subscribe()).json()

    answer = await user("DELETE", f"/subscriptions/{begun['subscriptionId']}")

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:no-active-subscription"


async def test_a_scheduled_cancellation_can_be_taken_back(world: World) -> None:
    user = await world.subscribed()
    path = f"/subscriptions/{await id_of(user)}"
    await user("DELETE", path)

    seen = (await user("POST", f"{path}/resume")).json()

    [subscription] = world.stripe.all("subscription")
    assert subscription["cancel_at_period_end"] is False
    assert subscription["cancel_at"] is None
    assert seen["cancelAt"] is None
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


@pytest.mark.parametrize(
    ("days", "credit", "charge"),
    # 30 days of 1000 and of 1500 cents; each line is floored on its own.
    [(15, -500, 750), (10, -667, 1000), (20, -334, 500), (1, -967, 1450)],
)
async def test_an_upgrade_is_charged_at_once_down_to_the_cent(
    world: World, days: int, credit: int, charge: int
) -> None:
    user = await world.subscribed(MONTHLY)
    world.clock.move(days=days)

    shown = await preview(user, ORGANIZER)
    world.clock.move(minutes=5)
    changed = (await change(user, ORGANIZER, shown["prorationDate"])).json()

    assert [line["amount"] for line in shown["lines"]] == [credit, charge]
    assert shown["amountDueNow"] == credit + charge
    assert world.stripe.charges == [credit + charge]
    assert changed["pending"] is False
    assert changed["subscription"]["plan"] == "event_organizer"


def test_the_arithmetic_is_stripes() -> None:
    """As recorded from Stripe: a fraction in seconds, -2.5 becomes -3 and +4.5 becomes +4."""
    assert prorate(-5, 0, 100, 50) == -3
    assert prorate(9, 0, 100, 50) == 4


async def test_an_upgrade_takes_effect_only_when_paid(world: World) -> None:
    user = await world.subscribed(MONTHLY)
    world.clock.move(days=15)
    world.stripe.declines = True
    shown = await preview(user, ORGANIZER)

    changed = (await change(user, ORGANIZER, shown["prorationDate"])).json()

    assert changed["pending"] is True
    assert changed["subscription"]["plan"] == "general"
    assert changed["clientSecret"].startswith("pi_secret_")
    assert changed["hostedInvoiceUrl"].startswith("https://")
    assert world.stripe.charges == []


async def test_an_upgrade_that_waits_for_its_payment_is_not_begun_a_second_time(
    world: World,
) -> None:
    """Both invoices could be paid."""
    user = await world.subscribed(MONTHLY)
    world.clock.move(days=15)
    world.stripe.declines = True
    shown = await preview(user, ORGANIZER)
    await change(user, ORGANIZER, shown["prorationDate"])
    world.stripe.declines = False

    again = await change(user, ORGANIZER, shown["prorationDate"])

    assert again.status_code == 409
    assert again.json()["type"] == "urn:payments:problem:change-pending"
    assert world.stripe.charges == []


async def test_a_downgrade_is_a_credit_and_charges_nothing(world: World) -> None:
    user = await world.subscribed(ORGANIZER)
    world.clock.move(days=15)

    shown = await preview(user, MONTHLY)
    changed = (await change(user, MONTHLY, shown["prorationDate"])).json()

    assert [line["amount"] for line in shown["lines"]] == [-750, 500]
    assert shown["amountDueNow"] == 0
    assert world.stripe.charges == []
    assert changed["subscription"]["plan"] == "general"
    assert world.stripe.sent[-1].form["proration_behavior"] == "create_prorations"


async def test_a_change_of_the_interval_is_charged_at_once(world: World) -> None:
    user = await world.subscribed(MONTHLY)
    world.clock.move(days=15)

    shown = await preview(user, ANNUAL)
    await change(user, ANNUAL, shown["prorationDate"])

    assert shown["amountDueNow"] == 10_000 - 500
    assert world.stripe.charges == [9500]


async def test_what_is_left_of_a_year_counts_against_the_new_month(world: World) -> None:
    user = await world.subscribed(ORGANIZER_ANNUAL)
    world.clock.move(days=73)

    shown = await preview(user, ORGANIZER)

    assert [line["amount"] for line in shown["lines"]] == [-12_000, 1500]
    assert shown["amountDueNow"] == 0


async def test_within_the_trial_nothing_is_charged(world: World) -> None:
    user = await world.subscribed(trial=True)

    shown = await preview(user, ORGANIZER)
    changed = (await change(user, ORGANIZER, shown["prorationDate"])).json()

    assert (shown["lines"], shown["amountDueNow"]) == ([], 0)
    assert world.stripe.charges == []
    assert changed["subscription"]["plan"] == "event_organizer"
    assert changed["subscription"]["status"] == "trialing"


async def test_the_same_change_twice_at_once_is_charged_once(world: World) -> None:
    for number in range(1, 51):
        user = await world.subscribed(MONTHLY)
        shown = await preview(user, ORGANIZER)
        await asyncio.gather(*(change(user, ORGANIZER, shown["prorationDate"]) for _ in range(2)))
        assert len(world.stripe.charges) == number


@pytest.mark.parametrize("shift", [timedelta(hours=-2), timedelta(minutes=5), timedelta(days=-9)])
async def test_only_what_was_shown_just_now_can_be_confirmed(
    world: World, shift: timedelta
) -> None:
    user = await world.subscribed(MONTHLY)
    world.clock.move(days=15)
    shown = await preview(user, ORGANIZER)
    date = datetime.fromisoformat(shown["prorationDate"]) + shift

    answer = await change(user, ORGANIZER, date.isoformat())

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:preview-outdated"
    assert world.stripe.charges == []


async def test_a_preview_of_the_last_period_no_longer_holds(world: World) -> None:
    user = await world.subscribed(MONTHLY)
    world.clock.move(days=30, minutes=-1)
    shown = await preview(user, ORGANIZER)
    world.clock.move(minutes=2)
    [item] = world.stripe.all("subscription")[0]["items"]["data"]
    item["current_period_start"] = item["current_period_end"]
    item["current_period_end"] += 30 * 86_400

    assert (await change(user, ORGANIZER, shown["prorationDate"])).status_code == 409


async def test_the_plan_one_has_is_no_change(world: World) -> None:
    user = await world.subscribed(MONTHLY)
    path = f"/subscriptions/{await id_of(user)}/preview"

    answer = await user("POST", path, {"priceId": MONTHLY})

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:plan-unchanged"


@pytest.mark.parametrize("status", ["past_due", "unpaid", "paused", "canceled"])
async def test_a_plan_that_is_not_running_cannot_be_changed(world: World, status: str) -> None:
    user = await world.subscribed(MONTHLY)
    path = f"/subscriptions/{await id_of(user)}/preview"
    world.stripe.all("subscription")[0]["status"] = status

    answer = await user("POST", path, {"priceId": ORGANIZER})

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:plan-not-changeable"
