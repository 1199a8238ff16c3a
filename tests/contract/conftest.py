from collections.abc import AsyncIterator

import pytest

from adapters.postgres.engine import create_engine
from tests.contract.brokers import Broker, MemoryBroker, RabbitMQBroker
from tests.contract.storages import MemoryStorage, PostgresStorage, Storage
from tests.databases import migrated_database, migrated_url, owner_url

__all__ = ["migrated_database", "migrated_url", "owner_url"]


@pytest.fixture
def memory_storage() -> Storage:
    return MemoryStorage()


@pytest.fixture
async def postgres_storage(migrated_url: str, postgres_server_url: str) -> AsyncIterator[Storage]:
    engine = create_engine(migrated_url, name="test", pool_size=20)
    yield PostgresStorage(engine, postgres_server_url)
    await engine.dispose()


@pytest.fixture(params=["memory", "postgres"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """Give each kind of storage in turn, empty."""
    kind: Storage = request.getfixturevalue(f"{request.param}_storage")
    return kind


@pytest.fixture
def memory_broker() -> Broker:
    return MemoryBroker()


@pytest.fixture
async def rabbitmq_broker(rabbitmq_url: str, unique_name: str) -> AsyncIterator[Broker]:
    async with RabbitMQBroker.connected(rabbitmq_url, unique_name) as broker:
        yield broker


@pytest.fixture(params=["memory", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Give each kind of broker in turn."""
    kind: Broker = request.getfixturevalue(f"{request.param}_broker")
    return kind
