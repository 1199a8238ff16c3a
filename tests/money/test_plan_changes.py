"""A change of plan charges what was shown, once, or nothing at all. All amounts in cents."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from functools import partial

import pytest
from httpx import Response

from tests.api.conftest import Somebody
from tests.money.conftest import (
    GOOD_CARD,
    TREACHEROUS_CARD,
    WARY_CARD,
    Subscriber,
    Till,
    at,
    race,
)

GENERAL, ANNUAL = "general_monthly", "general_annual"
ORGANIZER, ORGANIZER_ANNUAL = "event_organizer_monthly", "event_organizer_annual"
SUBSCRIPTION, VOID = "/v1/subscriptions/sub_[^/]+", "/v1/invoices/[^/]+/void"


async def plan_of(user: Somebody, till: Till) -> str:
    """The plan that Stripe charges for."""
    [subscription] = till.subscriptions(user)
    [item] = subscription["items"]["data"]
    key: str = item["price"]["lookup_key"]
    return key


async def half_way(
    till: Till, plan: str = GENERAL, *, card: str = GOOD_CARD, trial: bool = False
) -> tuple[Somebody, Subscriber]:
    """A subscriber in the middle of a month of 31 days."""
    user = await till.subscriber(plan, card=card, trial=trial)
    await till.sandbox.advance(days=15.5)
    return user, await at(user)


@pytest.mark.parametrize(
    ("days", "credit", "charge"),
    # Each line is a fraction of 31 days in seconds, floored on its own.
    [(15.5, -500, 750), (10, -678, 1016), (20, -355, 532), (1, -968, 1451)],
)
async def test_an_upgrade_is_charged_at_once_as_it_was_shown(
    till: Till, days: float, credit: int, charge: int
) -> None:
    user = await till.subscriber(GENERAL)
    await till.sandbox.advance(days=days)
    subscriber, price = await at(user), till.price(ORGANIZER)

    shown = await subscriber.preview(price)
    await till.sandbox.advance(seconds=5 * 60)
    changed = await subscriber.change(price, shown)

    assert [line["amount"] for line in shown.json()["lines"]] == [credit, charge]
    assert shown.json()["amountDueNow"] == credit + charge
    assert (changed.status_code, changed.json()["pending"]) == (200, False)
    assert changed.json()["subscription"]["plan"] == "event_organizer"
    assert till.taken(user) == [1000, credit + charge]


async def test_a_downgrade_is_a_credit_and_charges_nothing(till: Till) -> None:
    user, subscriber = await half_way(till, ORGANIZER)
    price = till.price(GENERAL)

    shown = await subscriber.preview(price)
    changed = await subscriber.change(price, shown)

    assert [line["amount"] for line in shown.json()["lines"]] == [-750, 500]
    assert shown.json()["amountDueNow"] == 0
    assert changed.json()["subscription"]["plan"] == "general"
    assert till.taken(user) == [1500]
    await till.sandbox.advance(days=16)
    assert till.taken(user) == [1500, 1000 - 250]


async def test_a_change_of_the_interval_is_charged_at_once(till: Till) -> None:
    user, subscriber = await half_way(till)
    price = till.price(ANNUAL)

    shown = await subscriber.preview(price)
    await subscriber.change(price, shown)

    assert shown.json()["amountDueNow"] == 10_000 - 500
    assert till.taken(user) == [1000, 9500]


async def test_what_is_left_of_a_year_counts_against_the_new_month(till: Till) -> None:
    user = await till.subscriber(ORGANIZER_ANNUAL)
    await till.sandbox.advance(days=183)
    subscriber, price = await at(user), till.price(ORGANIZER)

    shown = await subscriber.preview(price)
    changed = await subscriber.change(price, shown)

    assert shown.json()["amountDueNow"] == 0
    assert changed.json()["subscription"]["interval"] == "month"
    assert till.taken(user) == [15_000]


async def test_within_the_trial_nothing_is_charged(till: Till) -> None:
    user, subscriber = await half_way(till, trial=True)
    price = till.price(ORGANIZER)

    shown = await subscriber.preview(price)
    changed = await subscriber.change(price, shown)

    assert (shown.json()["lines"], shown.json()["amountDueNow"]) == ([], 0)
    assert changed.json()["subscription"]["status"] == "trialing"
    assert changed.json()["subscription"]["plan"] == "event_organizer"
    assert till.taken(user) == []


async def refused(till: Till, user: Somebody, answer: Response, taken: list[int]) -> None:
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:preview-outdated"
    assert till.taken(user) == taken


@pytest.mark.parametrize("seconds", [-1, 1, -3600, 3600])
async def test_a_date_that_was_never_shown_cannot_be_confirmed(till: Till, seconds: int) -> None:
    user, subscriber = await half_way(till)
    price = till.price(ORGANIZER)
    shown = (await subscriber.preview(price)).json()["prorationDate"]
    other = datetime.fromisoformat(shown) + timedelta(seconds=seconds)

    await refused(till, user, await subscriber.change(price, other.isoformat()), [1000])


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
async def test_nor_can_one_that_no_calendar_has(till: Till, date: str) -> None:
    user, subscriber = await half_way(till)

    await refused(till, user, await subscriber.change(till.price(ORGANIZER), date), [1000])


async def test_what_was_shown_can_be_confirmed_by_the_clock_of_another_place(till: Till) -> None:
    _, subscriber = await half_way(till)
    price = till.price(ORGANIZER)
    shown = (await subscriber.preview(price)).json()["prorationDate"]
    elsewhere = datetime.fromisoformat(shown).astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert (await subscriber.change(price, elsewhere.isoformat())).status_code == 200


async def test_what_was_shown_for_one_plan_does_not_confirm_another(till: Till) -> None:
    user, subscriber = await half_way(till)
    shown = await subscriber.preview(till.price(ORGANIZER))

    await refused(till, user, await subscriber.change(till.price(ANNUAL), shown), [1000])
    assert await plan_of(user, till) == GENERAL


async def test_what_was_shown_to_one_user_does_not_confirm_anothers_change(till: Till) -> None:
    _user, subscriber = await half_way(till)
    other = await till.subscriber(GENERAL)
    shown = await subscriber.preview(till.price(ORGANIZER))

    answer = await (await at(other)).change(till.price(ORGANIZER), shown)

    await refused(till, other, answer, [1000])


@pytest.mark.parametrize(("seconds", "status"), [(15 * 60, 200), (15 * 60 + 1, 409)])
async def test_what_was_shown_can_be_confirmed_for_a_quarter_of_an_hour(
    till: Till, seconds: int, status: int
) -> None:
    _, subscriber = await half_way(till)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    await till.sandbox.advance(seconds=seconds)

    assert (await subscriber.change(price, shown)).status_code == status


@pytest.mark.parametrize("credit", [100, -100])
async def test_another_balance_makes_another_amount(till: Till, credit: int) -> None:
    user, subscriber = await half_way(till)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    await till.give_credit(user, credit)

    await refused(till, user, await subscriber.change(price, shown), [1000])
    await till.sandbox.advance(seconds=1)
    again = await subscriber.preview(price)
    await subscriber.change(price, again)
    assert again.json()["amountDueNow"] == 249 - credit
    assert till.taken(user) == [1000, 249 - credit]


async def test_nobody_is_asked_to_consent_to_another_amount(till: Till) -> None:
    """The balance was changed after our last look."""
    user, subscriber = await half_way(till, card=WARY_CARD)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    till.wire.before("POST", SUBSCRIPTION, partial(till.give_credit, user, 100))

    await refused(till, user, await subscriber.change(price, shown), [1000])
    assert [i["id"] for i in till.all("invoice") if i["status"] == "open"] == []


async def test_what_was_shown_holds_for_the_plan_there_was(till: Till) -> None:
    """The plan was changed elsewhere meanwhile, and at the same amount."""
    user, subscriber = await half_way(till, trial=True)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    [subscription] = till.subscriptions(user)
    [item] = subscription["items"]["data"]
    await till.stripe.v1.subscriptions.update_async(
        subscription["id"], {"items": [{"id": item["id"], "price": till.price(ANNUAL)}]}
    )

    await refused(till, user, await subscriber.change(price, shown), [])


async def test_what_was_shown_of_the_last_period_no_longer_holds(till: Till) -> None:
    user = await till.subscriber(GENERAL)
    await till.sandbox.advance(days=31, seconds=-60)
    subscriber, price = await at(user), till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    await till.sandbox.advance(seconds=120)

    await refused(till, user, await subscriber.change(price, shown), [1000])


async def test_a_clock_that_is_behind_does_not_ask_for_a_time_before_the_period(
    till: Till,
) -> None:
    user = await till.subscriber(GENERAL)
    subscriber, price = await at(user), till.price(ORGANIZER)
    till.clock.behind = timedelta(seconds=30)

    shown = await subscriber.preview(price)

    assert shown.status_code == 200, shown.text
    assert shown.json()["amountDueNow"] == 500
    assert (await subscriber.change(price, shown)).status_code == 200
    assert till.taken(user) == [1000, 500]


async def test_within_one_second_no_second_amount_is_shown(till: Till) -> None:
    user, subscriber = await half_way(till)
    price = till.price(ORGANIZER)
    first, again = await subscriber.preview(price), await subscriber.preview(price)
    await till.give_credit(user, 100)

    other = await subscriber.preview(price)

    assert first.json() == again.json()
    assert other.json()["type"] == "urn:payments:problem:changed-meanwhile"


# What is repeated


async def test_the_same_change_again_is_not_charged_again(till: Till) -> None:
    user, subscriber = await half_way(till)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)

    first, again = await subscriber.change(price, shown), await subscriber.change(price, shown)

    assert first.json() == again.json()
    assert till.taken(user) == [1000, 250]


async def test_the_same_change_twice_at_once_is_charged_once(till: Till) -> None:
    for _ in range(50):
        user, price = await till.subscriber(GENERAL), till.price(ORGANIZER)
        subscriber = await at(user)
        shown = await subscriber.preview(price)
        answers = await asyncio.gather(*(subscriber.change(price, shown) for _ in range(2)))
        assert 200 in {answer.status_code for answer in answers}
        assert till.taken(user) == [1000, 500]


async def test_of_two_changes_at_once_one_is_made_as_it_was_shown(till: Till) -> None:
    for _ in range(50):
        user = await till.subscriber(GENERAL)
        subscriber = await at(user)
        due = {}
        for plan in (ORGANIZER, ANNUAL):
            shown = await subscriber.preview(till.price(plan))
            due[plan] = shown.json()["amountDueNow"]
        answers = await asyncio.gather(
            *(subscriber.change(till.price(plan), shown) for plan in (ORGANIZER, ANNUAL))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert till.taken(user) == [1000, due[await plan_of(user, till)]]


async def test_there_and_back_and_there_again_under_one_date_is_done_anew(till: Till) -> None:
    """Within a trial, where nothing is charged and all dates may be the same."""
    user, subscriber = await half_way(till, trial=True)
    there = await subscriber.preview(till.price(ORGANIZER))
    await subscriber.change(till.price(ORGANIZER), there)
    back = await subscriber.preview(till.price(GENERAL))
    await subscriber.change(till.price(GENERAL), back)
    assert await plan_of(user, till) == GENERAL

    again = await subscriber.change(till.price(ORGANIZER), there)

    assert there.json()["prorationDate"] == back.json()["prorationDate"]
    assert again.json()["subscription"]["plan"] == "event_organizer"
    assert await plan_of(user, till) == ORGANIZER


async def test_there_and_back_and_there_again_is_charged_as_shown(till: Till) -> None:
    user, subscriber = await half_way(till)
    there, price = await subscriber.preview(till.price(ORGANIZER)), till.price(ORGANIZER)
    await subscriber.change(price, there)
    back = await subscriber.preview(till.price(GENERAL))
    await subscriber.change(till.price(GENERAL), back)

    # A credit of 250 waits by now, so the amount is another one.
    await refused(till, user, await subscriber.change(price, there), [1000, 250])
    assert await plan_of(user, till) == GENERAL
    await till.sandbox.advance(seconds=1)
    shown = await subscriber.preview(price)
    await subscriber.change(price, shown)
    assert await plan_of(user, till) == ORGANIZER
    assert sum(till.taken(user)) == 1000 + 250 + shown.json()["amountDueNow"]


# Cards that do not pay


async def test_a_declined_card_changes_nothing_and_another_one_can_be_tried_at_once(
    till: Till,
) -> None:
    user, subscriber = await half_way(till, card=TREACHEROUS_CARD)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)

    declined = await subscriber.change(price, shown)

    assert declined.status_code == 402
    assert declined.json()["type"] == "urn:payments:problem:card-declined"
    assert declined.json()["code"] == "card_declined"
    assert declined.json()["declineCode"] == "generic_decline"
    [subscription] = till.subscriptions(user)
    assert subscription["pending_update"] is None
    assert await plan_of(user, till) == GENERAL
    assert [i["id"] for i in till.all("invoice") if i["status"] == "open"] == []

    await till.pay_with(user, GOOD_CARD)
    again = await subscriber.change(price, shown)
    assert (again.status_code, again.json()["pending"]) == (200, False)
    assert till.taken(user) == [1000, 250]
    assert await plan_of(user, till) == ORGANIZER


async def take_the_card_away(till: Till, user: Somebody) -> None:
    """The subscriber removes it in the portal."""
    [subscription] = till.subscriptions(user)
    await till.stripe.v1.payment_methods.detach_async(subscription["default_payment_method"])


@pytest.mark.parametrize("plan", [ORGANIZER, ANNUAL])
async def test_without_a_card_an_upgrade_is_refused_and_the_portal_is_named(
    till: Till, plan: str
) -> None:
    user, subscriber = await half_way(till)
    await take_the_card_away(till, user)
    price = till.price(plan)
    shown = await subscriber.preview(price)

    answer = await subscriber.change(price, shown)

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:card-needed"
    assert "portal" in answer.json()["detail"]
    [subscription] = till.subscriptions(user)
    assert subscription["pending_update"] is None
    assert [i["id"] for i in till.all("invoice") if i["status"] == "open"] == []

    # With the customer's card, which is no subscription's own.
    await till.put_a_card_on_file(subscription["customer"])
    again = await subscriber.change(price, shown)
    assert (again.status_code, again.json()["pending"]) == (200, False)
    assert till.taken(user) == [1000, shown.json()["amountDueNow"]]


async def test_a_card_that_is_gone_at_the_last_moment_leaves_nothing_to_be_paid(
    till: Till,
) -> None:
    user, subscriber = await half_way(till)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    till.wire.before("POST", SUBSCRIPTION, partial(take_the_card_away, till, user))

    answer = await subscriber.change(price, shown)

    assert answer.json()["type"] == "urn:payments:problem:card-needed"
    [subscription] = till.subscriptions(user)
    assert subscription["pending_update"] is None
    assert [i["id"] for i in till.all("invoice") if i["status"] == "open"] == []


@pytest.mark.parametrize("free", ["credit", "downgrade"])
async def test_where_nothing_is_due_no_card_is_needed(till: Till, free: str) -> None:
    downgrade = free == "downgrade"
    user, subscriber = await half_way(till, ORGANIZER if downgrade else GENERAL)
    await take_the_card_away(till, user)
    if not downgrade:
        await till.give_credit(user, 1000)
    price = till.price(GENERAL if downgrade else ORGANIZER)

    answer = await subscriber.change(price, await subscriber.preview(price))

    assert (answer.status_code, answer.json()["pending"]) == (200, False)


async def test_a_card_can_be_declined_any_number_of_times(till: Till) -> None:
    _user, subscriber = await half_way(till, card=TREACHEROUS_CARD)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)

    answers = [await subscriber.change(price, shown) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [402, 402, 402]
    # Each time the bank was asked anew.
    assert len([c for c in till.all("charge") if c["status"] == "failed"]) == 3


async def test_a_declined_change_does_not_block_another_one(till: Till) -> None:
    user, subscriber = await half_way(till, card=TREACHEROUS_CARD)
    await subscriber.change(till.price(ORGANIZER), await subscriber.preview(till.price(ORGANIZER)))
    await till.pay_with(user, GOOD_CARD)

    shown = await subscriber.preview(till.price(ANNUAL))
    changed = await subscriber.change(till.price(ANNUAL), shown)

    assert changed.status_code == 200
    assert till.taken(user) == [1000, 9500]


async def test_a_card_that_wants_its_holder_waits_for_the_holder(till: Till) -> None:
    user, subscriber = await half_way(till, card=WARY_CARD)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)

    waiting = await subscriber.change(price, shown)

    assert (waiting.status_code, waiting.json()["pending"]) == (200, True)
    assert waiting.json()["subscription"]["plan"] == "general"
    assert waiting.json()["hostedInvoiceUrl"].startswith("http")
    assert till.taken(user) == [1000]
    await till.pass_challenge(waiting.json())
    assert till.taken(user) == [1000, 250]
    assert await plan_of(user, till) == ORGANIZER


async def test_a_change_that_waits_is_not_begun_a_second_time(till: Till) -> None:
    user, subscriber = await half_way(till, card=WARY_CARD)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)

    first, again = await subscriber.change(price, shown), await subscriber.change(price, shown)

    assert first.json() == again.json()
    assert first.json()["pending"] is True
    await till.pass_challenge(first.json())
    assert till.taken(user) == [1000, 250]
    done = await subscriber.change(price, shown)
    assert (done.json()["pending"], done.json()["clientSecret"]) == (False, None)
    assert till.taken(user) == [1000, 250]


async def test_another_change_takes_the_place_of_one_that_waits(till: Till) -> None:
    user, subscriber = await half_way(till, card=WARY_CARD)
    first = await subscriber.change(
        till.price(ORGANIZER), await subscriber.preview(till.price(ORGANIZER))
    )
    shown = await subscriber.preview(till.price(ANNUAL))

    second = await subscriber.change(till.price(ANNUAL), shown)

    assert second.json()["pending"] is True
    assert not await till.pass_challenge(first.json())
    assert await till.pass_challenge(second.json())
    assert till.taken(user) == [1000, 9500]
    assert await plan_of(user, till) == ANNUAL


async def test_a_change_that_is_paid_before_another_one_is_kept(till: Till) -> None:
    user, subscriber = await half_way(till, card=WARY_CARD)
    first = await subscriber.change(
        till.price(ORGANIZER), await subscriber.preview(till.price(ORGANIZER))
    )
    shown = await subscriber.preview(till.price(ANNUAL))
    till.wire.before("POST", VOID, partial(till.pass_challenge, first.json()))

    second = await subscriber.change(till.price(ANNUAL), shown)

    assert second.status_code == 409
    assert second.json()["type"] == "urn:payments:problem:changed-meanwhile"
    assert till.taken(user) == [1000, 250]
    await till.work_off()
    assert (await user("GET", "/subscription")).json()["plan"] == "event_organizer"


async def test_whoever_is_first_only_one_of_two_changes_is_paid(till: Till) -> None:
    """Fifty races between the holder's consent to one change and the request for another."""
    winners = set()
    for moment in race(till, 50):
        user = await till.subscriber(GENERAL, card=WARY_CARD)
        subscriber = await at(user)
        shown = await subscriber.preview(till.price(ORGANIZER))
        first = (await subscriber.change(till.price(ORGANIZER), shown)).json()
        shown = await subscriber.preview(till.price(ANNUAL))
        rival = moment(partial(till.consent, first))
        second = await subscriber.change(till.price(ANNUAL), shown)
        won = await rival.won()

        winners.add(won)
        assert second.status_code == (409 if won else 200), second.text
        assert till.taken(user) == ([1000, 500] if won else [1000])
        assert await plan_of(user, till) == (ORGANIZER if won else GENERAL)
        [subscription] = till.subscriptions(user)
        assert (subscription["pending_update"] is None) == won
    assert winners == {True, False}


async def test_a_payment_that_the_bank_has_in_hand_is_waited_for(till: Till) -> None:
    user, subscriber = await half_way(till, card=WARY_CARD)
    await subscriber.change(till.price(ORGANIZER), await subscriber.preview(till.price(ORGANIZER)))
    till.all("payment_intent")[-1]["status"] = "processing"

    shown = await subscriber.preview(till.price(ANNUAL))
    second = await subscriber.change(till.price(ANNUAL), shown)

    assert second.status_code == 409
    assert second.json()["type"] == "urn:payments:problem:payment-processing"
    assert till.taken(user) == [1000]


async def test_the_end_of_a_subscription_is_the_end_of_a_change_that_waits(till: Till) -> None:
    user, subscriber = await half_way(till, card=WARY_CARD)
    shown = await subscriber.preview(till.price(ORGANIZER))
    waiting = (await subscriber.change(till.price(ORGANIZER), shown)).json()

    answer = await subscriber.cancel(immediately=True)

    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert not await till.pass_challenge(waiting)
    assert till.taken(user) == [1000]
