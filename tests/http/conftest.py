"""The HTTP application on an inbox in memory, and a client that speaks to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar

from adapters.http.app import create_app
from adapters.http.config import PublicSettings
from adapters.stripe.webhooks import StripeWebhooks
from domain.plans import PriceList
from ports.health import Health
from ports.inbox import ReceivedWebhook
from ports.metrics import Page
from service.receive_webhook import ReceiveWebhook
from tests.builders import price_list
from tests.stripe_payloads import SECRET, START, at

NOW: Final = START


class StoppedClock:
    """It is always the moment at which the tests sign."""

    def now(self) -> datetime:
        return at(NOW)


@dataclass(slots=True)
class InboxInMemory:
    """Keeps what is recorded, or fails as it is told to."""

    kept: dict[str, ReceivedWebhook] = field(default_factory=dict)
    failure: Exception | None = None

    async def record(self, webhook: ReceivedWebhook) -> bool:
        if self.failure is not None:
            raise self.failure
        return self.kept.setdefault(webhook.event_id, webhook) is webhook

    async def close(self) -> None:
        """Nothing waits."""


@dataclass(slots=True)
class Dependency:
    """Something the service depends on, in the state it is told to be in."""

    health: Health
    looked_at: int = 0
    # Whoever looks waits for this.
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    async def check(self) -> Health:
        self.looked_at += 1
        await self.answers.wait()
        return self.health


class EmptyPage:
    """Nothing to scrape."""

    async def render(self, accept: str) -> Page:
        return Page("text/plain", b"")


@pytest.fixture
def intake() -> InboxInMemory:
    return InboxInMemory()


@pytest.fixture
def prices() -> PriceList:
    return price_list()


@pytest.fixture
def database() -> Dependency:
    return Dependency(Health("database", well=True))


@pytest.fixture
def app(intake: InboxInMemory, prices: PriceList, database: Dependency) -> Litestar:
    return create_app(
        ReceiveWebhook(StripeWebhooks([SECRET], prices), intake, StoppedClock()),
        prices,
        PublicSettings("pk_test_public", "usd", 180),
        [database],
        page=EmptyPage(),
    )


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(cast("Any", app))  # the two type ASGI differently
    async with AsyncClient(transport=transport, base_url="http://payments") as client:
        yield client
