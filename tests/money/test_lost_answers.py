"""An answer of Stripe's gets lost after it has acted: what is done is told, and never twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from httpx import Response

from adapters.stripe.circuit import FAILURES
from tests.api.conftest import Somebody
from tests.money.conftest import TREACHEROUS_CARD, WARY_CARD, Subscriber, Till, at
from tests.money.wire import GARBAGE

GENERAL, ORGANIZER, ANNUAL = "general_monthly", "event_organizer_monthly", "general_annual"
SUBSCRIPTION = "/v1/subscriptions/sub_[^/]+"
BUYING = {
    "subscribe": ("/v1/subscriptions", lambda user, price: user.subscribe(price)),
    "checkout": ("/v1/checkout/sessions", lambda user, price: user.checkout(price)),
}
Buy = Callable[[Somebody, str], Awaitable[Response]]
Ask = Callable[[Subscriber], Awaitable[Response]]


def unknown(answer: Response) -> bool:
    """Whether it says that it does not know, and what to do."""
    assert "nothing was changed" not in answer.text
    if answer.status_code != 503:
        return False
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["type"] == "urn:payments:problem:outcome-unknown"
    assert answer.json()["instead"] == "GET /api/payments/subscription"
    return True


def begun(till: Till, user: Somebody) -> int:
    """How much there is to be bought on."""
    pages = [
        one
        for one in till.all("checkout.session")
        if one["client_reference_id"] == str(user.id) and one["status"] == "open"
    ]
    open_ = [one for one in till.subscriptions(user) if one["status"] == "incomplete"]
    return len(pages) + len(open_)


@pytest.mark.parametrize(("path", "buy"), BUYING.values(), ids=BUYING)
async def test_a_purchase_whose_answer_is_lost_is_found(till: Till, path: str, buy: Buy) -> None:
    user = await till.somebody()
    till.wire.lose_answers("POST", path)

    answer = await buy(user, till.price(GENERAL))

    assert answer.status_code == 200, answer.text
    assert begun(till, user) == 1


@pytest.mark.parametrize(("path", "buy"), BUYING.values(), ids=BUYING)
@pytest.mark.parametrize("executed", [True, False])
async def test_a_purchase_that_stripe_fails_half_way_is_begun_once(
    till: Till, path: str, buy: Buy, executed: bool
) -> None:
    user = await till.somebody()
    till.sandbox.control.add_fault(path, executed=executed)

    answer = await buy(user, till.price(GENERAL))

    assert answer.status_code == 200, answer.text
    assert begun(till, user) == 1


@pytest.mark.parametrize(("path", "buy"), BUYING.values(), ids=BUYING)
async def test_a_purchase_that_cannot_be_looked_up_can_be_repeated(
    till: Till, path: str, buy: Buy
) -> None:
    user = await till.somebody()
    till.wire.vanish_after("POST", path)

    answer = await buy(user, till.price(GENERAL))

    assert unknown(answer)
    till.wire.be_up()
    assert (await buy(user, till.price(GENERAL))).status_code == 200
    assert begun(till, user) == 1


async def test_a_purchase_that_began_at_once_is_told_though_its_answer_was_lost(till: Till) -> None:
    user = await till.somebody()
    await till.give_credit(user, 1000)
    till.wire.lose_answers("POST", "/v1/subscriptions")

    answer = await user.subscribe(till.price(GENERAL))

    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["clientSecret"]) == ("active", None)
    assert len(till.subscriptions(user)) == 1


async def test_an_attempt_whose_closing_was_not_answered_is_closed(till: Till) -> None:
    user = await till.somebody()
    await user.subscribe(till.price(GENERAL))
    till.wire.lose_answers("POST", "/v1/invoices/[^/]+/void")

    second = await user.subscribe(till.price(ANNUAL))

    assert second.status_code == 200, second.text
    assert [one["status"] for one in till.subscriptions(user)] == [
        "incomplete_expired",
        "incomplete",
    ]


ASKING: dict[str, tuple[str, str, Ask]] = {
    "cancel": ("DELETE", "/v1/subscriptions/{id}", lambda who: who.cancel(immediately=True)),
    "schedule": ("POST", "/v1/subscriptions/{id}", lambda who: who.cancel()),
    "resume": ("POST", "/v1/subscriptions/{id}", lambda who: who.resume()),
}


async def before(till: Till, name: str) -> tuple[Somebody, Subscriber]:
    """A subscriber to whom this can be done."""
    user = await till.subscriber(GENERAL)
    subscriber = await at(user)
    if name == "resume":
        assert (await subscriber.cancel()).status_code == 200
        await till.tell_of(user)
    await till.sandbox.advance(seconds=60)
    return user, subscriber


def is_done(till: Till, name: str, user: Somebody) -> bool:
    [subscription] = till.subscriptions(user)
    if name == "cancel":
        return bool(subscription["status"] == "canceled")
    return (subscription["cancel_at"] is not None) is (name == "schedule")


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("lost", ["answers", "half-way"])
async def test_what_was_done_is_told_though_its_answer_was_lost(
    till: Till, name: str, lost: str
) -> None:
    user, subscriber = await before(till, name)
    method, path, ask = ASKING[name]
    if lost == "answers":
        till.wire.lose_answers(method, SUBSCRIPTION)
    else:
        till.sandbox.control.add_fault(path, method=method, executed=True)

    answer = await ask(subscriber)

    assert answer.status_code == 200, answer.text
    assert is_done(till, name, user)
    assert (answer.json()["status"] == "canceled") is (name == "cancel")
    assert (answer.json()["cancelAt"] is not None) is (name == "schedule")


@pytest.mark.parametrize("name", ASKING)
async def test_what_never_arrived_is_not_told_as_done(till: Till, name: str) -> None:
    user, subscriber = await before(till, name)
    method, _, ask = ASKING[name]
    till.wire.lose_requests(method, SUBSCRIPTION)

    answer = await ask(subscriber)

    assert unknown(answer)
    assert not is_done(till, name, user)
    assert (await ask(subscriber)).status_code == 200
    assert is_done(till, name, user)


@pytest.mark.parametrize("name", ASKING)
async def test_what_cannot_be_looked_up_can_be_repeated(till: Till, name: str) -> None:
    user, subscriber = await before(till, name)
    method, _, ask = ASKING[name]
    till.wire.vanish_after(method, SUBSCRIPTION)

    answer = await ask(subscriber)

    assert unknown(answer)
    assert is_done(till, name, user)
    till.wire.be_up()
    again = await ask(subscriber)
    assert again.status_code == 200, again.text


@pytest.mark.parametrize("lost", ["answers", "half-way", "half-way-not-done"])
async def test_a_change_is_made_and_charged_once(till: Till, lost: str) -> None:
    user = await till.subscriber(GENERAL)
    subscriber, price = await at(user), till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    if lost == "answers":
        till.wire.lose_answers("POST", SUBSCRIPTION)
    else:
        till.sandbox.control.add_fault("/v1/subscriptions/{id}", executed=lost == "half-way")

    answer = await subscriber.change(price, shown)

    assert answer.status_code == 200, answer.text
    assert answer.json()["subscription"]["plan"] == "event_organizer"
    assert till.taken(user) == [1000, 500]


async def test_a_change_that_never_arrived_is_not_told_as_made(till: Till) -> None:
    user = await till.subscriber(GENERAL)
    subscriber, price = await at(user), till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    till.wire.lose_requests("POST", SUBSCRIPTION)

    answer = await subscriber.change(price, shown)

    assert unknown(answer)
    assert till.taken(user) == [1000]
    assert (await subscriber.change(price, shown)).status_code == 200
    assert till.taken(user) == [1000, 500]


async def test_a_change_that_cannot_be_looked_up_is_repeated_without_another_charge(
    till: Till,
) -> None:
    user = await till.subscriber(GENERAL)
    subscriber, price = await at(user), till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    till.wire.vanish_after("POST", SUBSCRIPTION)

    answer = await subscriber.change(price, shown)

    assert unknown(answer)
    till.wire.be_up()
    again = await subscriber.change(price, shown)
    assert again.status_code == 200, again.text
    assert again.json()["subscription"]["plan"] == "event_organizer"
    assert till.taken(user) == [1000, 500]


async def test_a_change_that_waits_for_its_holder_is_told_though_its_answer_was_lost(
    till: Till,
) -> None:
    user = await till.subscriber(GENERAL, card=WARY_CARD)
    subscriber, price = await at(user), till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    till.wire.lose_answers("POST", SUBSCRIPTION)

    answer = await subscriber.change(price, shown)

    assert (answer.status_code, answer.json()["pending"]) == (200, True)
    await till.pass_challenge(answer.json())
    assert till.taken(user) == [1000, 500]


async def test_a_change_that_was_declined_before_its_answer_was_lost_can_be_tried_again(
    till: Till,
) -> None:
    """We died between the bank's no and the voiding of its invoice."""
    user = await till.subscriber(GENERAL, card=TREACHEROUS_CARD)
    subscriber, price = await at(user), till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    till.wire.vanish_after("POST", SUBSCRIPTION)
    assert unknown(await subscriber.change(price, shown))
    till.wire.be_up()
    await till.pay_with(user, "pm_card_visa")

    again = await subscriber.change(price, shown)

    assert (again.status_code, again.json()["pending"]) == (200, False)
    assert till.taken(user) == [1000, 500]
    assert [one["id"] for one in till.all("invoice") if one["status"] == "open"] == []


async def test_a_customer_whose_creation_was_not_answered_is_created_once(till: Till) -> None:
    user = await till.somebody()
    till.wire.lose_answers("POST", "/v1/customers")

    assert unknown(await user("POST", "/customers"))
    assert (await user("POST", "/customers")).status_code == 200
    assert len(till.all("customer")) == 1


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("name", ASKING)
async def test_what_was_answered_unreadably_is_told_as_done(
    till: Till, name: str, garbage: str
) -> None:
    user, subscriber = await before(till, name)
    method, _, ask = ASKING[name]
    till.wire.garble_answers(method, SUBSCRIPTION, garbage, times=1)

    answer = await ask(subscriber)

    assert answer.status_code == 200, answer.text
    assert is_done(till, name, user)


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize(("path", "buy"), BUYING.values(), ids=BUYING)
async def test_a_purchase_that_was_answered_unreadably_is_found(
    till: Till, path: str, buy: Buy, garbage: str
) -> None:
    user = await till.somebody()
    till.wire.garble_answers("POST", path, garbage, times=1)

    answer = await buy(user, till.price(GENERAL))

    assert answer.status_code == 200, answer.text
    assert begun(till, user) == 1


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_a_change_that_was_answered_unreadably_is_charged_once(
    till: Till, garbage: str
) -> None:
    user = await till.subscriber(GENERAL)
    subscriber, price = await at(user), till.price(ORGANIZER)
    shown = await subscriber.preview(price)
    till.wire.garble_answers("POST", SUBSCRIPTION, garbage, times=1)

    answer = await subscriber.change(price, shown)

    assert answer.status_code == 200, answer.text
    assert answer.json()["subscription"]["plan"] == "event_organizer"
    assert till.taken(user) == [1000, 500]


async def test_pages_in_the_place_of_answers_open_the_circuit(till: Till) -> None:
    """Whatever stands between us and Stripe, it does not answer."""
    user = await till.subscriber(GENERAL)
    subscriber = await at(user)
    till.wire.garble_answers("GET", SUBSCRIPTION, "page", times=FAILURES)
    answers = [await subscriber.cancel() for _ in range(FAILURES)]
    assert {answer.status_code for answer in answers} == {503}
    sent = len(till.wire.sent)

    refused = await subscriber.cancel()

    assert refused.status_code == 503
    assert len(till.wire.sent) == sent
