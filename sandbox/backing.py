"""The database and the broker: those that were given, else private ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from sandbox.servers import (
    PrivatePostgres,
    PrivateRabbitMQ,
    PrivateServer,
    ServerError,
    find_rabbitmq_server,
)

T = TypeVar("T")
U = TypeVar("U")

IN_PROCESS: Final = "in-process"

Say = Callable[[str, str], None]


async def found(
    environment: Mapping[str, str], data: Path, say: Say, running: AsyncExitStack
) -> tuple[str, str | None]:
    """The URLs of DATABASE_URL and RABBITMQ_URL, or of private servers below `data`, which
    `running` stops; None for a broker where there is none. Which they are is said.

    Raises ServerError.
    """
    return await _together(
        _database(environment.get("DATABASE_URL"), data, say, running),
        _broker(environment.get("RABBITMQ_URL"), data, say, running),
    )


def has_broker(environment: Mapping[str, str]) -> bool:
    """Whether there would be a real broker."""
    given = environment.get("RABBITMQ_URL")
    return given != IN_PROCESS if given else find_rabbitmq_server() is not None


async def _together(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Both results, once both have ended; the first failure cancels the other."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = group.create_task(one), group.create_task(other)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return tasks[0].result(), tasks[1].result()


async def _database(given: str | None, data: Path, say: Say, running: AsyncExitStack) -> str:
    if given:
        say("database", f"the one of DATABASE_URL{_where(given, 5432)}")
        return given
    server = PrivatePostgres(data / "postgresql")
    await _start(server, running)
    say("database", f"a private PostgreSQL on port {server.port}")
    return server.url


async def _broker(given: str | None, data: Path, say: Say, running: AsyncExitStack) -> str | None:
    if given == IN_PROCESS:
        say("broker", "an in-process bus, as RABBITMQ_URL says")
        return None
    if given:
        say("broker", f"the one of RABBITMQ_URL{_where(given, 5671 if _tls(given) else 5672)}")
        return given
    if find_rabbitmq_server() is None:
        say("broker", "an in-process bus, since no rabbitmq-server is installed")
        return None
    server = PrivateRabbitMQ(data / "rabbitmq")
    await _start(server, running)
    say("broker", f"a private RabbitMQ on port {server.port}")
    return server.url


def _where(url: str, usual_port: int) -> str:
    """Which one a URL means, as far as anybody may read: its name, host and port.

    Nothing where a password that is not escaped may have got into them.
    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        host, port = query.get("host") or parts.hostname, query.get("port") or parts.port
    except ValueError:
        return ""  # who uses it says what is wrong with it
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return ""
    name = parts.path.removeprefix("/") or "/"
    return f", {name} on {host or 'this machine'}, port {port or usual_port}"


def _tls(url: str) -> bool:
    return url.startswith("amqps:")


async def _start(server: PrivateServer, running: AsyncExitStack) -> None:
    """Start a server in a thread. It dies with that thread, which lives as long as the loop."""
    running.push_async_callback(asyncio.to_thread, server.stop)
    starting = asyncio.ensure_future(asyncio.to_thread(server.start))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        # A server that is half started can be stopped only once it has started.
        with contextlib.suppress(ServerError):
            await starting
        raise
