"""One line for each request of a user, with what is needed to follow it up, and no more."""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from typing import Any
from uuid import uuid4

import pytest
import structlog
from structlog.contextvars import merge_contextvars
from structlog.testing import LogCapture

from adapters.stripe.circuit import FAILURES
from tests.api.conftest import World
from tests.api.stripe_api import Refused, card_declined

Line = MutableMapping[str, Any]
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def requests(logged: list[Line]) -> list[Line]:
    return [line for line in logged if line["event"] == "request"]


async def test_a_request_is_a_line_with_its_route_user_and_status(
    world: World, logged: list[Line]
) -> None:
    user = world.somebody()
    subscription = uuid4()
    await user("GET", "/subscription")
    await user("DELETE", f"/subscriptions/{subscription}")

    seen, canceled = requests(logged)
    assert seen["method"] == "GET"
    assert seen["route"] == "/api/payments/subscription"
    assert seen["status"] == 200
    assert seen["user_id"] == str(user.id)
    assert seen["ms"] >= 0
    assert canceled["status"] == 404
    assert canceled["subscription_id"] == str(subscription)
    assert str(subscription) not in canceled["route"]


async def test_what_is_refused_is_a_line_too(world: World, logged: list[Line]) -> None:
    await world.client.get("/api/payments/subscription")
    await world.client.get("/api/payments/nowhere/alice@example.com")

    unauthenticated, nowhere = requests(logged)
    assert unauthenticated["status"] == 401
    assert "user_id" not in unauthenticated
    assert nowhere["status"] == 404
    assert "alice" not in str(nowhere)


async def test_probes_scrapes_and_webhooks_have_no_such_line(
    world: World, logged: list[Line]
) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        assert (await world.client.get(path)).status_code == 200
    await world.client.post("/api/payments/webhook", content=b"{}")

    assert requests(logged) == []


async def test_a_repeat_under_a_key_is_an_idempotency_hit(world: World, logged: list[Line]) -> None:
    user = world.somebody()
    for _ in range(2):
        assert (await user.checkout(idempotency_key="again")).is_success

    (hit,) = [line for line in logged if line["event"] == "idempotency_hit"]
    assert hit["user_id"] == str(user.id)
    assert [line["status"] for line in requests(logged)] == [hit["status"]] * 2


@pytest.fixture
def said(quiet_log: None) -> list[Line]:
    """Every line with what is bound to the request it belongs to."""
    capture = LogCapture()
    structlog.configure(
        processors=[merge_contextvars, capture],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
    )
    return capture.entries


async def test_everything_said_during_a_request_carries_its_trace(
    world: World, said: list[Line]
) -> None:
    world.stripe.fail("POST /v1/subscriptions$", card_declined())
    await world.somebody().subscribe(traceparent=TRACEPARENT)
    await world.somebody()("GET", "/subscription")

    (failed,) = [line for line in said if line["event"] == "stripe_call_failed"]
    first, second = requests(said)
    trace_id = TRACEPARENT.split("-")[1]
    assert failed["trace_id"] == first["trace_id"] == trace_id
    assert failed["operation"].startswith("SubscriptionService.")
    assert failed["code"] == "card_declined"
    assert failed["request_id"]
    assert len(second["trace_id"]) == 32
    assert second["trace_id"] != trace_id


async def test_the_unexpected_names_the_trace_it_is_logged_under(
    world: World, said: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("nobody foresaw this")

    monkeypatch.setattr(world.container.view_subscription(), "_unit_of_work", fail)
    answer = await world.somebody()("GET", "/subscription", traceparent=TRACEPARENT)

    assert answer.status_code == 500
    assert answer.json()["traceId"] == TRACEPARENT.split("-")[1]
    assert {line["trace_id"] for line in said} == {answer.json()["traceId"]}


async def test_calls_to_stripe_are_counted_by_operation_and_result(world: World) -> None:
    user = world.somebody()
    world.stripe.fail("POST /v1/subscriptions$", card_declined())
    await user.subscribe()
    await user.subscribe()
    # The SDK tries each call three times.
    world.stripe.fail("/v1/", Refused(500, "away"), times=3 * FAILURES)
    for _ in range(FAILURES + 1):
        await world.somebody()("POST", "/customers")

    page = (await world.client.get("/metrics")).text
    found = dict(re.findall(r'payments_stripe_calls_total\{operation="(.+?)"\} ([\d.]+)', page))
    assert found['SubscriptionService.create",result="declined'] == "1.0"
    assert found['SubscriptionService.create",result="ok'] == "1.0"
    assert any('result="unavailable' in name for name in found)
    assert any('result="not_tried' in name for name in found)
    # What was not tried took no time, and says nothing of how long a call takes.
    seconds = 'payments_stripe_call_seconds_count{operation="CustomerService.create"}'
    assert f"{seconds} {1 + FAILURES}.0" in page
