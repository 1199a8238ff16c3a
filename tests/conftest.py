import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import structlog

from tests.servers import Servers, ServersUnavailableError, choose_servers

PASSWORD: Final = "of-the-role-under-test"


def pytest_configure() -> None:
    """Let no logger take its first configuration for its last.

    The service has structlog cache its loggers, which are module globals: one that was used in a
    test that sets the service's log up would keep that for good, and no later test could capture
    what it says.
    """
    configure = structlog.configure

    def configure_uncached(*args: Any, **more: Any) -> None:
        configure(*args, **more | {"cache_logger_on_first_use": False})

    structlog.configure = configure_uncached


@pytest.fixture(autouse=True)
def quiet_log() -> None:
    """Keep what the code under test logs from drowning a failure, however the last test left it."""
    structlog.reset_defaults()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture
def logged(quiet_log: None) -> Iterator[list[MutableMapping[str, Any]]]:
    """Every line that is logged while the test runs."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    with structlog.testing.capture_logs() as lines:
        yield lines


def pytest_report_header() -> str:
    try:
        return f"servers: {choose_servers()}"
    except ServersUnavailableError as error:
        return f"servers: none, so integration tests fail. {error}"


@pytest.fixture(scope="session")
def servers() -> Servers:
    try:
        return choose_servers()
    except ServersUnavailableError as error:
        reason = str(error)
    # A failure, not a skip: a green run has to mean that the tests ran.
    pytest.fail(reason, pytrace=False)


@pytest.fixture(scope="session")
def postgres_server_url(servers: Servers) -> Iterator[str]:
    """Give a superuser's URL of a PostgreSQL server."""
    with servers.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def service_role(postgres_server_url: str) -> str:
    """Give a role that owns nothing, for the service under test; its password is PASSWORD."""
    role = f"payments_{uuid4().hex[:8]}"

    async def create() -> None:
        server = await asyncpg.connect(postgres_server_url)
        try:
            await server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
        finally:
            await server.close()

    with ThreadPoolExecutor(1) as thread:  # which has no event loop yet
        thread.submit(asyncio.run, create()).result()
    return role


@pytest.fixture(scope="session")
def rabbitmq_url(servers: Servers) -> Iterator[str]:
    """Give the URL of a RabbitMQ broker, shared by all tests: take `unique_name` for names."""
    with servers.rabbitmq() as url:
        yield url


@pytest.fixture
async def database_url(postgres_server_url: str) -> AsyncIterator[str]:
    """Give the URL of an empty database that only this test uses."""
    name = f"test_{uuid4().hex}"
    server = await asyncpg.connect(postgres_server_url)
    try:
        await server.execute(f"CREATE DATABASE {name}")
        yield urlsplit(postgres_server_url)._replace(path=f"/{name}").geturl()
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


@pytest.fixture
def unique_name() -> str:
    """Give a name for exchanges and queues that no other test uses."""
    return f"test-{uuid4().hex}"
