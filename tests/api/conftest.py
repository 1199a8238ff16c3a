"""The application as a user meets it: HTTP in front, PostgreSQL and Stripe's wire behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID, uuid4

import jwt
import pytest
import stripe
from dependency_injector import providers
from httpx import ASGITransport, AsyncClient, Response
from stripe import WebhookSignature

from ports.clock import Clock
from ports.wakeups import Stage
from service import loop, settings
from service.wiring import Container
from tests.api.contract import check_answer
from tests.api.stripe_api import ENDED, StripeApi, serve_stripe_api
from tests.databases import migrated_database, migrated_url, owner_url

__all__ = ["migrated_database", "migrated_url", "owner_url"]

WEBHOOK_SECRET: Final = "whsec_for_tests"
JWT_SECRET: Final = "a secret that is long enough for the tests"
ISSUER: Final = "https://identity.example"
AUDIENCE: Final = "payments"
ORIGIN: Final = "https://app.example.com"
MONTHLY: Final = "price_general_monthly"
ANNUAL: Final = "price_general_annual"
ORGANIZER: Final = "price_event_organizer_monthly"


class MovableClock:
    """Stands still until it is moved; begins at a whole second of today."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC).replace(microsecond=0)

    def now(self) -> datetime:
        return self.time

    def seconds(self) -> int:
        return int(self.time.timestamp())

    def move(self, **by: float) -> None:
        self.time += timedelta(**by)


def token(secret: Any = JWT_SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token as the identity provider issues it; a claim of None is left out."""
    now = datetime.now(UTC)
    all_claims: dict[str, Any] = {
        "sub": str(uuid4()),
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": now + timedelta(minutes=5),
        "email": "alice@example.com",
        "name": "Alice",
    } | claims
    present = {name: value for name, value in all_claims.items() if value is not None}
    return jwt.encode(present, secret, algorithm=algorithm)


@dataclass
class Somebody:
    """A user with a browser."""

    client: AsyncClient
    id: UUID = field(default_factory=uuid4)
    email: str | None = "alice@example.com"
    name: str | None = "Alice"

    async def __call__(
        self, method: str, path: str, json: object = None, **headers: str
    ) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        bearer = token(sub=str(self.id), email=self.email, name=self.name)
        return await self.client.request(
            method,
            f"/api/payments{path}",
            json=json,
            headers={"authorization": f"Bearer {bearer}", **sent},
        )

    async def checkout(self, price: str = MONTHLY, **headers: str) -> Response:
        """Ask for a page to buy on."""
        return await self(
            "POST",
            "/create-checkout-session",
            {"priceId": price, "successUrl": f"{ORIGIN}/done", "cancelUrl": f"{ORIGIN}/plans"},
            **headers,
        )

    async def subscribe(self, price: str = MONTHLY, **headers: str) -> Response:
        """Begin a subscription on our own page."""
        return await self("POST", "/subscriptions", {"priceId": price}, **headers)


@dataclass
class World:
    """Everything a test can touch."""

    container: Container
    client: AsyncClient
    stripe: StripeApi
    clock: MovableClock

    def somebody(self, **who: Any) -> Somebody:
        """A new user."""
        return Somebody(self.client, **who)

    async def deliver(self, event_type: str, about: Mapping[str, Any], **more: Any) -> None:
        """Have Stripe send a webhook."""
        event = {
            "id": f"evt_{uuid4().hex}",
            "object": "event",
            "type": event_type,
            "created": self.clock.seconds(),
            "livemode": False,
            "data": {"object": about},
        } | more
        await deliver(self.client, event, self.clock.seconds())

    async def tell_of_all(self) -> None:
        """Have Stripe say by webhook what every subscription is now."""
        for subscription in self.stripe.all("subscription"):
            ended = subscription["status"] in ENDED
            kind = f"customer.subscription.{'deleted' if ended else 'updated'}"
            await self.deliver(kind, subscription)
        await self.work_off()

    async def work_off(self) -> None:
        """Have a worker do whatever is due."""
        await work_off(self.container)

    async def subscribed(self, price: str = MONTHLY, *, trial: bool = False) -> Somebody:
        """A user who has bought; without a trial one that was had before."""
        user = self.somebody()
        if not trial:
            async with self.container.unit_of_work() as uow:
                await uow.trials.redeem([user.id])
                await uow.commit()
        session = (await user.checkout(price)).json()["sessionId"]
        await self.deliver("customer.subscription.created", self.stripe.complete(session))
        await self.work_off()
        return user


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def stripe_api(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StripeApi]:
    # Retries are made as ever, without the half second before each.
    monkeypatch.setattr(stripe.HTTPXClient, "INITIAL_DELAY", 0.001)
    async with serve_stripe_api(clock.seconds) as api:
        yield api


def environment_of(database_url: str, stripe_url: str) -> dict[str, str]:
    """The settings of a service on this database, with Stripe at this address."""
    return {
        "DATABASE_URL": database_url,
        "RABBITMQ_URL": "amqp://127.0.0.1:1",
        "STRIPE_SECRET_KEY": "sk_test_1",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_1",
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_API_BASE": stripe_url,
        "JWT_SECRET": JWT_SECRET,
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "ALLOWED_REDIRECT_ORIGINS": f"{ORIGIN}, http://localhost:5173",
        "RATE_LIMIT_PER_MINUTE": "100000",
    }


@pytest.fixture
def environment(migrated_url: str, stripe_api: StripeApi) -> dict[str, str]:
    return environment_of(migrated_url, stripe_api.url)


@asynccontextmanager
async def world_of(
    environment: Mapping[str, str], stripe_api: StripeApi, clock: MovableClock
) -> AsyncIterator[World]:
    """The application with these settings."""
    async with application(environment, clock) as (container, client):
        yield World(container, client, stripe_api, clock)


@asynccontextmanager
async def application(
    environment: Mapping[str, str], clock: Clock
) -> AsyncIterator[tuple[Container, AsyncClient]]:
    """The application with these settings, and a client of it."""
    container = Container(
        settings=settings.load("serve", environment), clock=providers.Object(clock)
    )
    transport = ASGITransport(cast("Any", container.app()))  # the two type ASGI differently
    try:
        async with AsyncClient(
            transport=transport,
            base_url="http://payments",
            event_hooks={"response": [check_answer]},
        ) as client:
            yield container, client
    finally:
        await container.authenticator().close()
        await container.intake().close()
        await container.lookups().close()
        await container.stripe_api().close()
        await container.engine().dispose()
        await container.users_engine().dispose()
        await container.patient_engine().dispose()


@pytest.fixture
async def world(
    environment: dict[str, str], stripe_api: StripeApi, clock: MovableClock
) -> AsyncIterator[World]:
    async with world_of(environment, stripe_api, clock) as world:
        yield world


@pytest.fixture
async def other_world(
    world: World, environment: dict[str, str], stripe_api: StripeApi, clock: MovableClock
) -> AsyncIterator[World]:
    """Another instance of the application, with connections of its own, beside the first."""
    async with world_of(environment, stripe_api, clock) as other:
        assert other.container.users_engine() is not world.container.users_engine()
        yield other


@pytest.fixture
async def worker(world: World) -> AsyncIterator[None]:
    """A worker beside the API, and the API's ear for it."""
    async with working(world.container):
        yield


async def deliver(client: AsyncClient, event: Mapping[str, Any], now: int) -> None:
    """Send a webhook as Stripe does; it has to be taken."""
    body = json.dumps(event)
    signature = WebhookSignature._compute_signature(f"{now}.{body}", WEBHOOK_SECRET)
    header = f"t={now},v1={signature}"
    answer = await client.post(
        "/api/payments/webhook", content=body, headers={"stripe-signature": header}
    )
    assert answer.status_code == 200, answer.text


async def work_off(container: Container) -> None:
    """Have a worker do whatever is due."""
    await container.partitions().renew()
    while await container.process_inbox().run_once():
        pass


@asynccontextmanager
async def working(container: Container) -> AsyncIterator[None]:
    """Run a worker, and hear what it has worked off."""
    await container.partitions().renew()
    stop = asyncio.Event()
    listening = [
        asyncio.create_task(container.wakeups().listen()),
        asyncio.create_task(container.settlements().listen()),
    ]
    inbox = container.process_inbox()
    task = asyncio.create_task(
        loop.run(Stage.INBOX, inbox.run_once, inbox.idle_time, container.wakeups(), stop)
    )
    try:
        yield
    finally:
        stop.set()
        container.wakeups().wake(Stage.INBOX)
        await task
        for ear in listening:
            ear.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
