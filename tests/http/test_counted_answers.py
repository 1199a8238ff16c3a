"""Every answer is counted, the more so one that says that nothing was taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any, cast

import pytest
from httpx import ASGITransport, AsyncClient
from prometheus_client import CollectorRegistry

from adapters.http.app import create_app
from adapters.http.bodies import Bodies
from adapters.http.config import PublicSettings
from adapters.prometheus.metrics import PrometheusMetrics
from adapters.stripe.webhooks import StripeWebhooks
from service.receive_webhook import ReceiveWebhook
from tests.builders import price_list
from tests.http.conftest import EmptyPage, InboxInMemory, StoppedClock
from tests.stripe_payloads import SECRET, START, encode, event, signed, subscription

WEBHOOK = "/api/payments/webhook"


class Counted:
    """An application that counts, and what it has counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.intake = InboxInMemory()
        self.bodies = Bodies(patience=0.05)
        self.metrics = PrometheusMetrics(self.registry, event_types=(), api_version="")
        prices = price_list()
        self.app = create_app(
            ReceiveWebhook(
                StripeWebhooks([SECRET], prices),
                self.intake,
                StoppedClock(),
                metrics=self.metrics,
            ),
            prices,
            PublicSettings("pk_test_public", "usd", 180),
            [],
            page=EmptyPage(),
            bodies=self.bodies,
            metrics=self.metrics,
        )
        transport = ASGITransport(cast("Any", self.app), raise_app_exceptions=False)
        self.client = AsyncClient(transport=transport, base_url="http://payments")

    def answers(self) -> dict[tuple[str, str, str], float]:
        """How often each route, method and status was answered, where it was at all."""
        return {
            (one.labels["route"], one.labels["method"], one.labels["status"]): one.value
            for family in self.registry.collect()
            for one in family.samples
            if one.name == "payments_http_requests_total" and one.value
        }

    async def deliver(self) -> int:
        """Send a genuine webhook; the status it is answered with."""
        one = signed(encode(event("customer.updated", subscription("sub_1"))), timestamp=START)
        headers = {"stripe-signature": one.header}
        return (await self.client.post(WEBHOOK, content=one.body, headers=headers)).status_code


@pytest.fixture
def counted() -> Counted:
    return Counted()


async def test_what_webhooks_may_be_answered_is_there_at_zero_from_the_start(
    counted: Counted,
) -> None:
    """Or an alert would not see the first 503, and nobody could tell that there is no API."""
    there = {
        one.labels["status"]
        for family in counted.registry.collect()
        for one in family.samples
        if one.name == "payments_http_requests_total" and one.labels["route"] == WEBHOOK
    }
    assert {"200", "503", "500", "413"} <= there


async def test_a_webhook_that_is_shed_before_it_is_read_is_counted_and_logged(
    counted: Counted, logged: list[MutableMapping[str, Any]]
) -> None:
    counted.bodies.requests = 1_000_000

    assert await counted.deliver() == 503

    assert counted.answers() == {(WEBHOOK, "POST", "503"): 1}
    assert [(one["route"], one["status"]) for one in logged if one["event"] == "request"] == [
        (WEBHOOK, 503)
    ]


async def test_webhooks_that_are_too_large_too_slow_or_meet_a_fault_are_counted_and_logged(
    counted: Counted, logged: list[MutableMapping[str, Any]]
) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    await counted.client.post(WEBHOOK, content=trickle())
    await counted.client.post(WEBHOOK, content=b" " * 600_000)
    counted.intake.failure = LookupError("nobody foresaw it")
    assert await counted.deliver() == 500

    assert counted.answers() == {
        (WEBHOOK, "POST", "408"): 1,
        (WEBHOOK, "POST", "413"): 1,
        (WEBHOOK, "POST", "500"): 1,
    }
    lines = [one["status"] for one in logged if one["event"] == "request"]
    assert lines == [408, 413, 500]


async def test_what_is_taken_and_what_is_not_genuine_is_counted_and_has_its_own_line(
    counted: Counted, logged: list[MutableMapping[str, Any]]
) -> None:
    assert await counted.deliver() == 200
    await counted.client.post(WEBHOOK, content=b"{}")

    assert counted.answers() == {(WEBHOOK, "POST", "200"): 1, (WEBHOOK, "POST", "400"): 1}
    assert [one["event"] for one in logged] == ["webhook_received", "webhook_rejected"]


async def test_probes_and_scrapes_are_not_counted_and_nobody_can_make_up_labels(
    counted: Counted,
) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        await counted.client.get(path)
    assert counted.answers() == {}

    await counted.client.get("/api/payments/config")
    for method in ("BREW", "STEEP", "POUR"):
        await counted.client.request(method, f"/api/payments/{method}")
    assert {route for route, _, _ in counted.answers()} == {"/api/payments/config", "unknown"}
    assert {method for _, method, _ in counted.answers()} == {"GET", "other"}
