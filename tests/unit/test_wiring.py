"""Every provider of the container can be built: a misspelt keyword shows only then."""

from __future__ import annotations

import pytest

from service import settings, wiring
from service.relay_outbox import RelayOutbox
from service.worker import Worker

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
    "RABBITMQ_URL": "amqp://nobody@127.0.0.1:1/",
    "STRIPE_SECRET_KEY": "sk_test_1",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
    "JWT_SECRET": "a secret that is long enough for the tests",
    "JWT_ISSUER": "https://identity.example",
    "JWT_AUDIENCE": "payments",
    "ALLOWED_REDIRECT_ORIGINS": "https://app.example.com",
}


@pytest.fixture
def container() -> wiring.Container:
    return wiring.Container(settings=settings.load("serve", ENVIRONMENT))


async def test_every_provider_can_be_built_without_any_server(
    container: wiring.Container,
) -> None:
    names = [name for name in container.providers if name != "settings"]
    assert "worker" in names
    built = {name: container.providers[name]() for name in names}
    assert isinstance(built["worker"], Worker)
    await container.payment_provider().close()
    await container.engine().dispose()
    await container.users_engine().dispose()


def test_what_users_do_takes_no_connection_from_webhooks_and_workers(
    container: wiring.Container,
) -> None:
    users = container.users_unit_of_work()._engine  # type: ignore[attr-defined]
    assert users.pool is container.users_engine().pool
    assert users.pool is not container.engine().pool
    intake = container.intake()._engine  # type: ignore[attr-defined]
    assert intake.pool is container.engine().pool


def test_a_worker_is_built_from_the_settings_of_a_worker_alone() -> None:
    container = wiring.Container(settings=settings.load("worker", ENVIRONMENT))
    assert isinstance(container.worker(), Worker)


async def test_the_lanes_of_a_relay_hold_back_as_one(container: wiring.Container) -> None:
    lanes = container.relay_outbox()
    relays = [stage for stage in (lanes._whole, *lanes._lanes) if isinstance(stage, RelayOutbox)]

    assert len(relays) == 3
    assert len({id(relay._held_back) for relay in relays}) == 1


def test_the_price_list_has_the_amounts_of_the_settings() -> None:
    environment = ENVIRONMENT | {"EVENT_ORGANIZER_MONTHLY_AMOUNT": "1700", "CURRENCY": "EUR"}
    prices = {
        offer.lookup_key: (offer.price.amount, offer.price.currency)
        for offer in wiring.price_list(settings.load("serve", environment))
    }
    assert prices == {
        "general_monthly": (1000, "eur"),
        "general_annual": (10000, "eur"),
        "event_organizer_monthly": (1700, "eur"),
        "event_organizer_annual": (15000, "eur"),
    }


@pytest.mark.parametrize(
    ("hours", "names"),
    [("24", ["retention", "abandoned", "reconcile"]), ("0", ["retention", "abandoned"])],
)
async def test_a_worker_does_what_the_settings_say_from_time_to_time(
    hours: str, names: list[str]
) -> None:
    environment = ENVIRONMENT | {"RECONCILE_INTERVAL_HOURS": hours}
    container = wiring.Container(settings=settings.load("worker", environment))
    housekeeping = container.housekeeping()
    assert [job.name for job in housekeeping._jobs] == names
    await container.stripe_api().close()
