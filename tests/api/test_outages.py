"""Stripe refuses, declines, is slow to answer or away: injected at the wire."""

from __future__ import annotations

import pytest
import stripe

from adapters.stripe.circuit import FAILURES, PAUSE, Circuit, CircuitOpen
from tests.api.conftest import MONTHLY, World
from tests.api.stripe_api import Refused, card_declined


async def test_a_declined_card_is_a_402_with_the_decline_code(world: World) -> None:
    user = world.somebody()
    await user("POST", "/customers")
    world.stripe.fail("/v1/customers|/v1/subscriptions$", card_declined())

    answer = await user.subscribe()

    assert answer.status_code == 402
    problem = answer.json()
    assert problem["type"] == "urn:payments:problem:card-declined"
    assert (problem["code"], problem["declineCode"]) == ("card_declined", "insufficient_funds")


@pytest.mark.parametrize("reason", ["lost_card", "stolen_card", "fraudulent"])
async def test_a_thief_does_not_learn_why(world: World, reason: str) -> None:
    world.stripe.fail("/v1/customers", card_declined(reason))

    problem = (await world.somebody()("POST", "/customers")).json()

    assert problem["declineCode"] == "generic_decline"
    assert reason not in str(problem)


@pytest.mark.parametrize("status", [400, 404])
async def test_a_refusal_is_a_400_and_names_no_id(world: World, status: int) -> None:
    refused = Refused(status, "No such price: 'price_secret_1'", code="resource_missing")
    world.stripe.fail("/v1/customers", refused)

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
    world.stripe.fail("/v1/customers", refused, times=3)

    answer = await world.somebody()("POST", "/customers")

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["type"] == f"urn:payments:problem:{kind}"
    assert "nothing was changed" not in answer.text
    assert "acct_1" not in answer.text


async def test_a_connection_that_breaks_is_tried_again_under_the_same_key(world: World) -> None:
    """The SDK repeats what may have arrived; the key keeps it from being done twice."""
    user = world.somebody()
    world.stripe.fail("/v1/customers", Refused(409, "locked", type="api_error"))

    assert (await user("POST", "/customers")).status_code == 200
    keys = {sent.key for sent in world.stripe.sent if sent.path == "/v1/customers"}
    assert keys == {f"customer:{user.id}:0"}
    assert len(world.stripe.all("customer")) == 1


async def test_an_operation_that_is_done_with_other_terms_meanwhile_is_a_409(world: World) -> None:
    user = await world.subscribed(MONTHLY)
    subscription_id = (await user("GET", "/subscription")).json()["id"]
    used = Refused(400, "Keys can only be used once", type="idempotency_error")
    world.stripe.fail("/v1/subscriptions/[^/]+$", used)

    answer = await user("DELETE", f"/subscriptions/{subscription_id}")

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:changed-meanwhile"


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
    for _ in range(3):
        time += PAUSE
        circuit.admit()  # and nothing is ever recorded


async def test_calls_have_a_time_out_and_bounded_retries(world: World) -> None:
    api = world.container.stripe_api()
    assert isinstance(api._http, stripe.HTTPXClient)
    assert api._http._timeout == 10.0
    world.stripe.fail("/v1/customers", Refused(409, "locked", type="api_error"), times=9)

    await world.somebody()("POST", "/customers")

    assert len([sent for sent in world.stripe.sent if sent.path == "/v1/customers"]) == 3


async def test_a_failure_that_stripe_has_recorded_keeps_nobody_from_becoming_a_customer(
    world: World,
) -> None:
    """Stripe repeats the first result of a key for a day, a 500 included."""
    user = world.somebody()
    world.stripe.fail("/v1/customers$", Refused(500, "it broke", type="api_error"))

    failed, again = await user("POST", "/customers"), await user("POST", "/customers")

    assert (failed.status_code, again.status_code) == (503, 200)
