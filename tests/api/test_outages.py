"""Stripe refuses, declines, is slow to answer or away: injected at the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import pytest
import stripe
from httpx import Response

from adapters.stripe.api import DEADLINE
from adapters.stripe.api import StripeApi as Api
from adapters.stripe.circuit import FAILURES, PAUSE, PROBE, Circuit, CircuitOpen
from ports.payment_provider import ProviderUnavailable
from service import operation_names
from tests.api.conftest import MONTHLY, ORGANIZER, ORIGIN, Somebody, World
from tests.api.stripe_api import Refused, StripeApi, card_declined


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for another request looks again as often as ever, and sooner."""
    monkeypatch.setattr(operation_names, "A_MOMENT", 0.01)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs is given up sooner."""
    monkeypatch.setattr("adapters.stripe.api.TIMEOUT", 0.5)


async def test_a_declined_card_is_a_402_with_the_decline_code(world: World) -> None:
    user = world.somebody()
    await user("POST", "/customers")
    world.stripe.fail("POST /v1/subscriptions$", card_declined())

    answer = await user.subscribe()

    assert answer.status_code == 402
    problem = answer.json()
    assert problem["type"] == "urn:payments:problem:card-declined"
    assert (problem["code"], problem["declineCode"]) == ("card_declined", "insufficient_funds")


@pytest.mark.parametrize("reason", ["lost_card", "stolen_card", "fraudulent"])
async def test_a_thief_does_not_learn_why(world: World, reason: str) -> None:
    world.stripe.fail("POST /v1/subscriptions$", card_declined(reason))

    problem = (await world.somebody().subscribe()).json()

    assert problem["declineCode"] == "generic_decline"
    assert reason not in str(problem)


@pytest.mark.parametrize("status", [400, 404])
async def test_a_refusal_is_a_400_and_names_no_id(world: World, status: int) -> None:
    refused = Refused(status, "No such price: 'price_secret_1'", code="resource_missing")
    world.stripe.fail("POST /v1/customers$", refused)

    answer = await world.somebody()("POST", "/customers")

    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:payments:problem:provider-refused"
    assert answer.json()["code"] == "resource_missing"
    assert "price_secret_1" not in answer.text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "payment-provider-unavailable") for status in (401, 403, 409, 429)),
        # It may have been done all the same.
        *((status, "outcome-unknown") for status in (500, 502, 503)),
    ],
)
async def test_absence_in_all_its_forms_is_a_503_that_says_when(
    world: World, status: int, kind: str
) -> None:
    # Conflicts are repeated by the SDK, so they have to go on.
    refused = Refused(status, "secret words about acct_1", type="api_error")
    world.stripe.fail("POST /v1/customers$", refused, times=3)

    answer = await world.somebody()("POST", "/customers")

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["type"] == f"urn:payments:problem:{kind}"
    assert "nothing was changed" not in answer.text
    assert "acct_1" not in answer.text


@pytest.mark.parametrize(
    ("refused", "acted"),
    [
        pytest.param(Refused(500, "oops", type="api_error"), False, id="500"),
        pytest.param(Refused(500, "oops", type="api_error"), True, id="500 after it was done"),
        pytest.param(Refused(503, "away", type="api_error"), False, id="503"),
        pytest.param(Refused(409, "under way", type="api_error"), False, id="409"),
        pytest.param(Refused(429, "locked", code="lock_timeout"), False, id="429 lock_timeout"),
        pytest.param(None, False, id="connection reset before it was done"),
        pytest.param(None, True, id="connection reset after it was done"),
    ],
)
async def test_what_passes_is_tried_again_and_done_once(
    world: World, refused: Refused | None, acted: bool
) -> None:
    """The SDK repeats what may have arrived; the key keeps it from being done twice."""
    user = world.somebody()
    world.stripe.fail("POST /v1/customers$", refused, times=2, acted=acted, recorded=False)

    assert (await user("POST", "/customers")).status_code == 200
    keys = [sent.key for sent in world.stripe.sent if sent.path == "/v1/customers"]
    # Where it was done at once, the second try gets the answer that was kept of it.
    assert keys == [f"customer:{user.id}:0"] * (2 if acted else 3)
    assert len(world.stripe.all("customer")) == 1


async def test_what_stripe_asks_not_to_repeat_is_not_repeated(world: World) -> None:
    """A rate limit is not for the one request to wait out, nor is a failure that is recorded."""
    for refused in (Refused(429, "slow down"), Refused(500, "oops", type="api_error")):
        user = world.somebody()
        world.stripe.fail("POST /v1/customers$", refused)

        assert (await user("POST", "/customers")).status_code == 503
        keys = [sent.key for sent in world.stripe.sent if sent.path == "/v1/customers"]
        assert keys.count(f"customer:{user.id}:0") == 1


class Asked(NamedTuple):
    """Something that users ask for, and the request to Stripe that it comes down to.

    `done` counts how often Stripe has done it.
    """

    request: str
    ask: Callable[[World, Somebody], Awaitable[Response]]
    done: Callable[[World], int]
    subscriber: bool = True
    charges: bool = False


async def of_theirs(user: Somebody, method: str, rest: str = "", json: object = None) -> Response:
    id_ = (await user("GET", "/subscription")).json()["id"]
    return await user(method, f"/subscriptions/{id_}{rest}", json)


async def confirm_a_change(world: World, user: Somebody) -> Response:
    shown = (await of_theirs(user, "POST", "/preview", {"priceId": ORGANIZER})).json()
    asked = {"priceId": ORGANIZER, "prorationDate": shown["prorationDate"]}
    return await of_theirs(user, "PATCH", json=asked)


async def resume(world: World, user: Somebody) -> Response:
    if not any(one["cancel_at"] for one in world.stripe.all("subscription")):
        world.stripe.all("subscription")[-1]["cancel_at"] = world.clock.seconds() + 1
    return await of_theirs(user, "POST", "/resume")


async def sync(world: World, user: Somebody) -> Response:
    [*_, session] = world.stripe.all("checkout.session")
    return await user("POST", f"/checkout-sessions/{session['id']}/sync")


def count(kind: str) -> Callable[[World], int]:
    return lambda world: len(world.stripe.all(kind))


SUBSCRIPTION: Final = "/v1/subscriptions/[^/]+$"
ASKED: Final = {
    "customer": Asked(
        "POST /v1/customers$",
        lambda _, user: user("POST", "/customers"),
        # One that Stripe has made and then failed over is never used, and so bears no email.
        lambda world: sum(one["email"] is not None for one in world.stripe.all("customer")),
        subscriber=False,
    ),
    "checkout": Asked(
        "POST /v1/checkout/sessions$",
        lambda _, user: user.checkout(),
        count("checkout.session"),
        subscriber=False,
    ),
    "subscribe": Asked(
        "POST /v1/subscriptions$",
        lambda _, user: user.subscribe(),
        count("subscription"),
        subscriber=False,
        charges=True,
    ),
    "portal": Asked(
        "POST /v1/billing_portal/sessions$",
        lambda _, user: user("POST", "/create-portal-session", {"returnUrl": f"{ORIGIN}/"}),
        lambda _: 1,
    ),
    "sync": Asked("GET /v1/checkout/sessions/[^/]+$", sync, lambda _: 1),
    "preview": Asked(
        "POST /v1/invoices/create_preview$",
        lambda _, user: of_theirs(user, "POST", "/preview", {"priceId": ORGANIZER}),
        lambda _: 1,
    ),
    "change": Asked(
        f"POST {SUBSCRIPTION}",
        confirm_a_change,
        lambda world: sum(
            one["items"]["data"][0]["price"]["id"] == ORGANIZER
            for one in world.stripe.all("subscription")
        ),
        charges=True,
    ),
    "cancel": Asked(
        f"POST {SUBSCRIPTION}",
        lambda _, user: of_theirs(user, "DELETE"),
        lambda world: sum(bool(one["cancel_at"]) for one in world.stripe.all("subscription")),
    ),
    "end": Asked(
        f"DELETE {SUBSCRIPTION}",
        lambda _, user: of_theirs(user, "DELETE", "?immediately=true"),
        lambda world: sum(bool(one["ended_at"]) for one in world.stripe.all("subscription")),
    ),
    "resume": Asked(f"POST {SUBSCRIPTION}", resume, lambda _: 1),
    "invoices": Asked("GET /v1/invoices$", lambda _, user: user("GET", "/invoices"), lambda _: 1),
}
WORDS: Final = "secret words about acct_1"
FAILING: Final[dict[str, tuple[Refused | None, dict[str, bool], set[int]]]] = {
    "card": (card_declined(), {}, {402}),
    **{
        str(status): (Refused(status, WORDS, **more), {}, {expected})
        for status, more, expected in (
            (400, {}, 400),
            (401, {}, 503),
            (403, {}, 503),
            (404, {}, 503),  # not of Stripe's own, which would say what is missing
            (409, {"type": "api_error"}, 503),
            (429, {"code": "rate_limit"}, 503),
        )
    },
    "500": (Refused(500, WORDS, type="api_error"), {}, {200, 503}),
    "500, done": (Refused(500, WORDS, type="api_error"), {"acted": True}, {200, 503}),
    "reset": (None, {}, {200, 503}),
    "reset, done": (None, {"acted": True}, {200, 503}),
    "time-out": (None, {"hangs": True}, {200, 503}),
    "time-out, done": (None, {"hangs": True, "acted": True}, {200, 503}),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_whatever_fails_is_told_without_stripes_words_and_nothing_is_done_twice(
    world: World, asked: Asked
) -> None:
    for name, (refused, how, expected) in FAILING.items():
        if name == "card" and not asked.charges:
            continue
        user = await (world.subscribed() if asked.subscriber else never_tried(world))
        before = asked.done(world)
        world.stripe.fail(asked.request, refused, times=3, **how)

        failed = await asked.ask(world, user)

        met = 3 - len(world.stripe.failures)
        world.stripe.failures.clear()
        assert met, f"{name}: nothing has failed"
        assert failed.status_code in expected, (name, failed.text)
        assert "acct_1" not in failed.text
        assert WORDS not in failed.text
        if failed.status_code != 200:
            again = await asked.ask(world, user)
            assert again.status_code == 200, (name, again.text)
        assert asked.done(world) - before <= 1, name


async def never_tried(world: World) -> Somebody:
    """Somebody who has bought nothing, and had the trial elsewhere."""
    user = world.somebody()
    async with world.container.unit_of_work() as uow:
        await uow.trials.redeem([user.id])
        await uow.commit()
    return user


@pytest.mark.parametrize("name", ["customer", "subscribe", "checkout"])
async def test_a_lock_on_what_is_asked_for_is_no_outage(world: World, name: str) -> None:
    """Stripe answers: another request has the object in hand. (Stripe: lock_timeout)"""
    locked = Refused(429, WORDS, code="lock_timeout")
    for _ in range(2):
        user = world.somebody()
        world.stripe.fail(ASKED[name].request, locked, times=15)  # five times, with two retries

        answer = await ASKED[name].ask(world, user)

        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:payments:problem:purchase-under-way"
        assert answer.headers["retry-after"] == "1"
        assert world.stripe.failures == []
        assert (await ASKED[name].ask(world, user)).status_code == 200


async def test_a_key_that_is_in_use_is_no_outage_for_whoever_cannot_wait(world: World) -> None:
    user = await world.subscribed()
    in_use = Refused(409, WORDS, type="invalid_request_error", code="idempotency_key_in_use")
    world.stripe.fail(f"POST {SUBSCRIPTION}", in_use, times=3)

    answer = await confirm_a_change(world, user)

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:changed-meanwhile"
    assert answer.headers["retry-after"] == "1"
    assert (await confirm_a_change(world, user)).status_code == 200


async def test_a_refusal_that_is_repeated_from_its_record_is_asked_about_anew(
    world: World,
) -> None:
    """Stripe records what it turned down half-way, and repeats that for a day."""
    user = world.somebody()
    refused = Refused(400, WORDS, code="price_inactive")
    world.stripe.fail("POST /v1/checkout/sessions$", refused, recorded=True)

    first, again = await user.checkout(), await user.checkout()

    assert (first.status_code, first.json()["code"]) == (400, "price_inactive")
    assert again.status_code == 200


async def test_a_call_has_a_deadline_over_all_its_tries(stripe_api: StripeApi) -> None:
    circuit = Circuit()
    api = Api("sk_test_1", stripe_api.url, circuit=circuit, deadline=0.05)
    stripe_api.released.clear()
    try:
        for _ in range(FAILURES):
            with pytest.raises(ProviderUnavailable, match="in time"):
                await api.call(api.v1.customers.list_async)
        with pytest.raises(CircuitOpen):
            circuit.admit()
    finally:
        stripe_api.released.set()
        await api.close()


async def test_half_open_it_sends_one_request_and_after_its_answer_all(
    stripe_api: StripeApi,
) -> None:
    time = 0.0
    api = Api("sk_test_1", stripe_api.url, circuit=Circuit(monotonic=lambda: time))
    stripe_api.down = True
    for _ in range(FAILURES):
        with pytest.raises(ProviderUnavailable):
            await api.call(api.v1.customers.list_async)
    stripe_api.down = False
    time += PAUSE
    stripe_api.sent.clear()
    stripe_api.reached.clear()
    stripe_api.released.clear()

    probe = asyncio.create_task(api.call(api.v1.customers.list_async))
    await stripe_api.reached.wait()
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            await api.call(api.v1.customers.list_async)
    stripe_api.released.set()
    await probe

    assert len(stripe_api.sent) == 1
    await asyncio.gather(*(api.call(api.v1.customers.list_async) for _ in range(3)))
    assert len(stripe_api.sent) == 4
    await api.close()


async def test_an_operation_that_is_done_with_other_terms_meanwhile_is_a_409(world: World) -> None:
    user = await world.subscribed(MONTHLY)
    subscription_id = (await user("GET", "/subscription")).json()["id"]
    used = Refused(400, "Keys can only be used once", type="idempotency_error")
    world.stripe.fail("/v1/subscriptions/[^/]+$", used)

    answer = await user("DELETE", f"/subscriptions/{subscription_id}")

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:changed-meanwhile"
    assert "retry-after" not in answer.headers, "the key is used up, however long one waits"


async def test_while_stripe_is_down_requests_fail_fast_and_webhooks_flow(world: World) -> None:
    user = await world.subscribed(MONTHLY)
    [subscription] = world.stripe.all("subscription")
    world.stripe.down = True
    for _ in range(FAILURES):
        assert (await user("GET", "/invoices")).status_code == 503
    sent = len(world.stripe.sent)

    answer = await user("GET", "/invoices")

    assert answer.status_code == 503
    assert 1 <= int(answer.headers["retry-after"]) <= PAUSE
    assert len(world.stripe.sent) == sent

    await world.deliver(
        "customer.subscription.updated",
        subscription | {"status": "past_due"},
        created=world.clock.seconds() + 1,
    )
    await world.work_off()
    assert (await user("GET", "/subscription")).json()["status"] == "past_due"


def test_the_circuit_opens_probes_and_closes() -> None:
    time = 0.0
    circuit = Circuit(monotonic=lambda: time)
    for _ in range(FAILURES):
        circuit.admit()
        circuit.record(answered=False)
    with pytest.raises(CircuitOpen) as refused:
        circuit.admit()
    assert refused.value.retry_after == PAUSE

    time += PAUSE
    circuit.admit()  # the probe
    with pytest.raises(CircuitOpen):
        circuit.admit()
    circuit.record(answered=False)
    with pytest.raises(CircuitOpen):
        circuit.admit()

    time += PAUSE
    circuit.admit()
    circuit.record(answered=True)
    for _ in range(3):
        circuit.admit()


def test_single_failures_do_not_open_it() -> None:
    circuit = Circuit(monotonic=lambda: 0.0)
    for _ in range(10 * FAILURES):
        circuit.record(answered=False)
        circuit.record(answered=True)
        circuit.admit()


def test_a_probe_that_was_cancelled_does_not_keep_it_open_for_ever() -> None:
    time = 0.0
    circuit = Circuit(monotonic=lambda: time)
    for _ in range(FAILURES):
        circuit.record(answered=False)
    time += PAUSE
    for _ in range(3):
        circuit.admit()  # and nothing is ever recorded
        time += PROBE


def test_there_is_one_probe_however_long_it_takes() -> None:
    time = 0.0
    circuit = Circuit(monotonic=lambda: time)
    for _ in range(FAILURES):
        circuit.record(answered=False)
    time += PAUSE
    circuit.admit()
    time += DEADLINE  # a call takes no longer

    with pytest.raises(CircuitOpen):
        circuit.admit()


async def test_calls_have_a_time_out_and_bounded_retries(world: World) -> None:
    api = world.container.stripe_api()
    assert isinstance(api._http, stripe.HTTPXClient)
    assert api._http._timeout == 10.0
    world.stripe.fail("POST /v1/customers$", Refused(409, "locked", type="api_error"), times=9)

    await world.somebody()("POST", "/customers")

    assert len([sent for sent in world.stripe.sent if sent.path == "/v1/customers"]) == 3


async def test_a_failure_that_stripe_has_recorded_keeps_nobody_from_becoming_a_customer(
    world: World,
) -> None:
    """Stripe repeats the first result of a key for a day, a 500 included."""
    user = world.somebody()
    world.stripe.fail("POST /v1/customers$", Refused(500, "it broke", type="api_error"))

    failed, again = await user("POST", "/customers"), await user("POST", "/customers")

    assert (failed.status_code, again.status_code) == (503, 200)
