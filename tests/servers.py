"""The PostgreSQL and RabbitMQ servers that the integration tests run against."""

import contextlib
import functools
import gc
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import docker
from docker.errors import DockerException, ImageNotFound

from sandbox.servers import (
    POSTGRES_MAX_CONNECTIONS,
    PrivatePostgres,
    PrivateRabbitMQ,
    find_rabbitmq_server,
)

# The fixtures remove their containers themselves, so no further image is needed to do it.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
# Ports are published on the engine's host, also where the tests run in a container.
os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")

# testcontainers reads its settings when it is imported.
from testcontainers.community.postgres import PostgresContainer
from testcontainers.community.rabbitmq import RabbitMqContainer


class ServersUnavailableError(RuntimeError):
    """The servers cannot be had; the message says what to install."""


@dataclass(frozen=True)
class Servers:
    """Where the servers come from: containers of these images, or private processes."""

    kind: Literal["containers", "private"]
    postgres_image: str = ""
    rabbitmq_image: str = ""

    def __str__(self) -> str:
        if self.kind == "private":
            return "private processes"
        return f"containers of {self.postgres_image} and {self.rabbitmq_image}"

    @contextlib.contextmanager
    def postgres(self) -> Iterator[str]:
        """Run a PostgreSQL server and give a superuser's URL."""
        if self.kind == "private":
            with _data_dir() as data_dir, PrivatePostgres(data_dir) as server:
                yield server.url
        else:
            container = PostgresContainer(
                self.postgres_image,
                driver=None,
                command=f"postgres -c max_connections={POSTGRES_MAX_CONNECTIONS}",
            )
            with container:
                yield container.get_connection_url()

    @contextlib.contextmanager
    def rabbitmq(self) -> Iterator[str]:
        """Run a RabbitMQ broker and give its URL."""
        if self.kind == "private":
            with _data_dir() as data_dir, PrivateRabbitMQ(data_dir) as server:
                yield server.url
        else:
            with RabbitMqContainer(self.rabbitmq_image) as container:
                address = container.get_container_host_ip()
                port = container.get_exposed_port(container.port)
                yield f"amqp://{container.username}:{container.password}@{address}:{port}/"


@functools.cache
def choose_servers() -> Servers:
    """Take containers where an engine answers, otherwise private servers, or what is forced."""
    return choose(os.environ)


def choose(environment: Mapping[str, str]) -> Servers:
    match environment.get("TEST_SERVERS", ""):
        case "containers":
            return _containers(environment)
        case "private":
            return _private()
        case "":
            try:
                return _containers(environment)
            except ServersUnavailableError as no_containers:
                try:
                    return _private()
                except ServersUnavailableError as no_private:
                    raise ServersUnavailableError(f"{no_containers} Or: {no_private}") from None
        case other:
            raise ServersUnavailableError(
                f"TEST_SERVERS is {other!r}; it may be containers, private or unset."
            )


def _containers(environment: Mapping[str, str]) -> Servers:
    remedy = (
        'As root on Debian, eval "$(tests/containers/engine.sh)" installs and starts an engine, '
        "and provides the images."
    )
    engine = _engine(environment)
    if engine is None:
        raise ServersUnavailableError(f"No Docker engine answers: start one. {remedy}")
    with contextlib.closing(engine):
        try:
            return Servers(
                "containers",
                find_image(
                    engine, environment.get("TEST_POSTGRES_IMAGE"), "postgres:17", "postgresql"
                ),
                find_image(
                    engine, environment.get("TEST_RABBITMQ_IMAGE"), "rabbitmq:4", "rabbitmq"
                ),
            )
        except DockerException as error:
            raise ServersUnavailableError(f"An image is missing: {error}. {remedy}") from None


def _engine(environment: Mapping[str, str]) -> docker.DockerClient | None:
    with warnings.catch_warnings():
        # Where no engine answers, the client leaves its socket to the garbage collector, which
        # would report it in the middle of some test.
        warnings.simplefilter("ignore", ResourceWarning)
        with contextlib.suppress(DockerException):
            return docker.from_env(environment=environment)
        gc.collect()
    return None


def find_image(engine: docker.DockerClient, wanted: str | None, official: str, recipe: str) -> str:
    """Choose the named image, else one built by engine.sh, else the official one.

    Raises DockerException where none can be had.
    """
    built = f"payments-test-{recipe}"
    candidates = [wanted] if wanted else [built, official]
    for name in candidates:
        with contextlib.suppress(ImageNotFound):
            engine.images.get(name)
            return name
    engine.images.pull(candidates[-1])
    return candidates[-1]


def _private() -> Servers:
    if find_rabbitmq_server() is None:
        raise ServersUnavailableError(
            "No private servers: rabbitmq-server is not installed. "
            "Install it, on Debian or Ubuntu with: apt-get install rabbitmq-server"
        )
    return Servers("private")


@contextlib.contextmanager
def _data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="payments-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)
