from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.servers import PrivatePostgres, PrivateRabbitMQ, find_rabbitmq_server
from tests.faults.consumer import declare_queue


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    # Not pytest's own directory: the server's user has to get in.
    with tempfile.TemporaryDirectory(prefix="payments-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="package")
def postgres(data_dir: Path) -> Iterator[PrivatePostgres]:
    with PrivatePostgres(data_dir / "postgres") as server:
        yield server


@pytest.fixture(scope="package")
def broker(data_dir: Path) -> Iterator[PrivateRabbitMQ]:
    if find_rabbitmq_server() is None:
        # A failure, not a skip: a green run has to mean that the tests ran.
        pytest.fail(
            "Faults need a broker of their own, never a container, and rabbitmq-server is not"
            " installed. Install it, on Debian or Ubuntu with: apt-get install rabbitmq-server",
            pytrace=False,
        )
    with PrivateRabbitMQ(data_dir / "broker") as server:
        asyncio.run(declare_queue(server.url))
        # The broker writes down lazily which quorum queues it hosts: killed before it has, it
        # would bring the queue back without ever electing its leader.
        server.restart()
        yield server


@pytest.fixture
def cluster(data_dir: Path, broker: PrivateRabbitMQ) -> Iterator[list[PrivateRabbitMQ]]:
    """Three nodes, with a replica of the queue on each."""
    second, third = (PrivateRabbitMQ(data_dir / name, beside=broker) for name in ("b2", "b3"))
    with second, third:
        asyncio.run(declare_queue(broker.url, anew=True))
        yield [broker, second, third]
