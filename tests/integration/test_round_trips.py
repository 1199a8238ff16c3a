"""How often the database is asked on the way of a webhook that comes alone: its latency is made of
that.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from asyncpg.connection import LoggedQuery
from dependency_injector import providers

from adapters.memory.event_publisher import MemoryEventPublisher
from adapters.memory.payment_provider import MemoryPaymentProvider
from ports.payment_provider import ProviderCustomer
from ports.wakeups import Stage
from service import settings
from service.wiring import Container
from tests.stripe_payloads import SECRET, START, USER, Payload, event, signed, subscription

CREATED, UPDATED = "customer.subscription.created", "customer.subscription.updated"


@pytest.fixture
async def container(migrated_url: str) -> AsyncIterator[Container]:
    """Give the service on a database, with a broker and a provider within the process."""
    loaded = settings.load(
        "serve",
        {
            "DATABASE_URL": migrated_url,
            "RABBITMQ_URL": "amqp://localhost/",
            "STRIPE_SECRET_KEY": "sk_test_1",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_1",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "JWT_SECRET": "s" * 32,
            "JWT_ISSUER": "issuer",
            "JWT_AUDIENCE": "payments",
        },
    )
    container = Container(settings=loaded)
    container.prices().is_learned = True
    provider = MemoryPaymentProvider()
    provider.customers["cus_1"] = ProviderCustomer("cus_1", USER, "alice@example.com", "Alice")
    publisher = MemoryEventPublisher()
    publisher.subscribe()
    container.payment_provider.override(providers.Object(provider))
    container.event_publisher.override(providers.Object(publisher))
    await container.partitions().renew()
    yield container
    await container.lookups().close()
    await container.engine().dispose()


_TRANSACTION = ("BEGIN", "COMMIT")


async def receive(container: Container, one: Payload) -> None:
    request = signed(one, timestamp=int(time.time()))
    await container.receive_webhook()(request.body, request.header)


async def test_a_webhook_of_a_known_subscription_takes_one_statement_a_step(
    container: Container,
) -> None:
    await receive(container, event(CREATED, subscription()))
    while await container.process_inbox().run_once() or container.lookups().busy_keys:
        await container.wakeups().wait(Stage.INBOX, 0.01)
    assert await container.relay_outbox().run_once() == 1

    statements: list[str] = []

    @sa.event.listens_for(container.engine().sync_engine, "checkout")
    def listen(adapted: Any, *_: object) -> None:
        adapted.driver_connection.remove_query_logger(note)
        adapted.driver_connection.add_query_logger(note)

    def note(said: LoggedQuery) -> None:
        if said.query not in _TRANSACTION:
            statements.append(said.query)

    changed = event(UPDATED, subscription(status="past_due"), created=START + 10)
    await receive(container, changed)
    await asyncio.sleep(0)
    taken = len(statements)
    assert await container.process_inbox().run_once() == 1
    await asyncio.sleep(0)
    worked_off = len(statements) - taken
    assert await container.relay_outbox().run_once() == 1
    await asyncio.sleep(0)  # they are told of in the loop's next turn
    relayed = len(statements) - taken - worked_off

    # Written down; claimed, subscription and customer read, all that follows written; claimed and
    # marked.
    assert (taken, worked_off, relayed) == (1, 4, 2), statements
