"""A subscription is ended while a change of its plan is made or paid: nobody pays for nothing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from httpx import Response

from tests.api.conftest import Somebody
from tests.money.conftest import WARY_CARD, Subscriber, Till, at, race
from tests.money.test_plan_changes import ANNUAL, GENERAL, ORGANIZER, SUBSCRIPTION, VOID, half_way
from tests.money.wire import TRIES

if TYPE_CHECKING:  # the SDK has these for type checkers alone
    from stripe.params import SubscriptionUpdateParams


async def waiting_change(till: Till) -> tuple[Somebody, Subscriber, dict[str, Any]]:
    """A subscriber with a change that waits for the card's holder."""
    user, subscriber = await half_way(till, card=WARY_CARD)
    shown = await subscriber.preview(till.price(ORGANIZER))
    return user, subscriber, (await subscriber.change(till.price(ORGANIZER), shown)).json()


async def test_a_change_that_is_paid_before_the_end_is_not_paid_for_nothing(till: Till) -> None:
    user, subscriber, waiting = await waiting_change(till)
    till.wire.before("POST", VOID, partial(till.pass_challenge, waiting))

    answer = await subscriber.cancel(immediately=True)

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:changed-meanwhile"
    assert till.taken(user) == [1000, 250]
    await till.work_off()
    seen = (await user("GET", "/subscription")).json()
    assert (seen["status"], seen["plan"]) == ("active", "event_organizer")
    assert (await subscriber.cancel(immediately=True)).json()["status"] == "canceled"


async def test_an_end_waits_for_a_payment_that_the_bank_has_in_hand(till: Till) -> None:
    _, subscriber, _ = await waiting_change(till)
    till.all("payment_intent")[-1]["status"] = "processing"

    answer = await subscriber.cancel(immediately=True)

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:payment-processing"
    assert till.all("subscription")[0]["status"] == "active"


async def test_whoever_is_first_nobody_pays_for_what_they_have_ended(till: Till) -> None:
    """Fifty races between the holder's consent to a change and the end of the subscription."""
    winners = set()
    for moment in race(till, 50):
        user = await till.subscriber(GENERAL, card=WARY_CARD)
        subscriber = await at(user)
        shown = await subscriber.preview(till.price(ORGANIZER))
        waiting = (await subscriber.change(till.price(ORGANIZER), shown)).json()
        rival, sent = moment(partial(till.consent, waiting)), len(till.wire.sent)
        answer = await subscriber.cancel(immediately=True)
        won = await rival.won()

        winners.add(won)
        assert till.taken(user) == ([1000, 500] if won else [1000])
        assert answer.status_code in ((200, 409) if won else (200,)), answer.text
        ended = till.subscriptions(user)[0]["status"] == "canceled"
        assert ended == (answer.status_code == 200)
        if won and ended:  # it was paid before the end was asked for, and in force by then
            assert not [one for one in till.wire.sent[sent:] if re.fullmatch(VOID, one[1])]
    assert winners == {True, False}


async def keep(
    answers: dict[str, Response], name: str, ask: Callable[[], Awaitable[Response]]
) -> None:
    answers[name] = await ask()


@pytest.mark.parametrize("first", ["the end", "the change"])
async def test_an_end_and_a_change_at_once_leave_nothing_to_be_paid(till: Till, first: str) -> None:
    """Fifty races, each of the two in the middle of the other."""
    outcomes = set()
    for moment in race(till, 50):
        user = await till.subscriber(GENERAL, card=WARY_CARD)
        subscriber, price = await at(user), till.price(ORGANIZER)
        shown = await subscriber.preview(price)
        asks = {
            "the end": partial(subscriber.cancel, immediately=True),
            "the change": partial(subscriber.change, price, shown),
        }
        answers: dict[str, Response] = {}
        other = next(name for name in asks if name != first)
        rival = moment(partial(keep, answers, other, asks[other]))
        await keep(answers, first, asks[first])
        await rival.won()

        outcomes.add((answers["the end"].status_code, answers["the change"].status_code))
        assert {answer.status_code for answer in answers.values()} <= {200, 409}, answers
        ended = answers["the end"].status_code == 200
        assert (till.subscriptions(user)[0]["status"] == "canceled") == ended
        assert till.taken(user) == [1000]
        if ended:
            assert [i["id"] for i in till.all("invoice") if i["status"] == "open"] == []
        else:
            assert await till.pass_challenge(answers["the change"].json())
    assert len(outcomes) > 1


async def changed_elsewhere_at_the_end(till: Till) -> tuple[Somebody, Subscriber]:
    """A subscriber whose plan somebody else begins to change just before the end is asked for."""
    user = await till.subscriber(GENERAL, card=WARY_CARD)
    subscriber = await at(user)
    [subscription] = till.subscriptions(user)
    [item] = subscription["items"]["data"]
    change: SubscriptionUpdateParams = {
        "items": [{"id": item["id"], "price": till.price(ORGANIZER)}],
        "proration_behavior": "always_invoice",
        "payment_behavior": "pending_if_incomplete",
    }
    elsewhere = partial(till.stripe.v1.subscriptions.update_async, subscription["id"], change)
    till.wire.before("DELETE", SUBSCRIPTION, elsewhere)
    return user, subscriber


async def test_what_was_begun_elsewhere_while_it_ended_is_given_up(till: Till) -> None:
    user, subscriber = await changed_elsewhere_at_the_end(till)

    answer = await subscriber.cancel(immediately=True)

    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert [i["id"] for i in till.all("invoice") if i["status"] == "open"] == []
    assert till.taken(user) == [1000]


async def test_an_end_that_was_made_is_told_though_what_is_owed_cannot_be_given_up(
    till: Till, logged: list[MutableMapping[str, Any]]
) -> None:
    """Another request has the invoice in hand: Stripe answers that it is locked."""
    _, subscriber = await changed_elsewhere_at_the_end(till)
    till.sandbox.control.add_fault(
        "/v1/invoices/{id}/void", status=429, code="lock_timeout", times=TRIES
    )

    answer = await subscriber.cancel(immediately=True)

    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert [one["event"] for one in logged if one["log_level"] == "error"] == [
        "ended_with_unknown_debts"
    ]


async def test_what_waits_can_still_be_paid_after_its_preview_has_gone_stale(till: Till) -> None:
    user, subscriber = await half_way(till, card=WARY_CARD)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    first = await subscriber.change(price, shown)
    await till.sandbox.advance(seconds=22 * 3600)

    again = await subscriber.change(price, shown)

    assert (again.status_code, again.json()["pending"]) == (200, True)
    assert again.json()["clientSecret"] == first.json()["clientSecret"]
    assert await till.pass_challenge(again.json())
    assert till.taken(user) == [1000, 250]


async def test_a_change_that_is_turned_down_leaves_the_one_that_waits(till: Till) -> None:
    user, subscriber, waiting = await waiting_change(till)
    shown = await subscriber.preview(till.price(ANNUAL))
    await till.give_credit(user, 100)

    refused = await subscriber.change(till.price(ANNUAL), shown)

    assert refused.json()["type"] == "urn:payments:problem:preview-outdated"
    assert await till.pass_challenge(waiting)
    assert till.taken(user) == [1000, 250]


async def test_credit_that_a_change_that_waits_has_used_counts_for_the_next_one(till: Till) -> None:
    user, subscriber = await half_way(till, card=WARY_CARD)
    await till.give_credit(user, 100)
    first = await subscriber.preview(till.price(ORGANIZER))
    assert (await subscriber.change(till.price(ORGANIZER), first)).json()["pending"] is True

    shown = await subscriber.preview(till.price(ANNUAL))
    changed = await subscriber.change(till.price(ANNUAL), shown)

    assert shown.json()["amountDueNow"] == 9500 - 100
    assert (changed.status_code, changed.json()["pending"]) == (200, True), changed.text
    assert await till.pass_challenge(changed.json())
    assert till.taken(user) == [1000, 9400]


@pytest.mark.parametrize("credit", [0, 100])
async def test_an_operator_hears_of_a_charge_that_was_not_shown(
    till: Till, logged: list[MutableMapping[str, Any]], credit: int
) -> None:
    """The balance was changed after our last look."""
    user, subscriber = await half_way(till)
    price = till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    till.wire.before("POST", SUBSCRIPTION, partial(till.give_credit, user, credit))

    changed = await subscriber.change(price, shown)

    assert (changed.status_code, changed.json()["pending"]) == (200, False)
    assert till.taken(user) == [1000, 250 - credit]
    heard = [line for line in logged if line["event"] == "charged_otherwise_than_shown"]
    assert [(line["shown"], line["invoiced"]) for line in heard] == ([(250, 150)] if credit else [])
