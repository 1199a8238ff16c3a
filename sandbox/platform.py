"""Everything around the service, and the service itself, in one process.

A database and a broker, given or private; the stand-in for Stripe; the schema and the catalogue;
`payments serve`; the users service; the gateway. Nothing runs any more when it is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import secrets
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from aio_pika.exceptions import AMQPError
from dependency_injector import providers

from adapters.http import server
from adapters.stripe.translation import HANDLED_TYPES
from sandbox import backing, users_service
from sandbox.backing import IN_PROCESS
from sandbox.gateway import identity
from sandbox.gateway.app import create_gateway
from sandbox.gateway.identity import Identity
from sandbox.gateway.pages import Pages
from sandbox.in_process_bus import InProcessBus
from sandbox.line import Line, line_to
from sandbox.ownership import AlreadyRunning, owned
from sandbox.servers import ServerError
from sandbox.stripe.__main__ import DELIVERIES_AT_ONCE
from sandbox.stripe.server import StripeSandbox
from sandbox.users_service import Consumer, Records, UsersService
from service import logs, settings, wiring

HOST: Final = "127.0.0.1"
# The page's own development server sends its requests on to the gateway.
_DEVELOPMENT: Final = "http://localhost:5173"
# How Stripe knows our endpoint again after a restart, whatever its port is then.
_ENDPOINT: Final = "Payments"
_PATIENCE: Final = 60.0  # seconds for a server of ours to answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to start, and how.

    Everything written lies below `data`. Of `environment` only DATABASE_URL, RABBITMQ_URL (which
    may be "in-process") and LOG_LEVEL are read. Ports are the first ones tried; 0 takes any. What
    is `passing` leaves nothing behind but rows in a database and the exchange on a broker that were
    given, and where it was killed, for a day, its queues there; what is `severable` can lose its
    database and its broker. `say` is told what was found, `heard` every message, and
    `seen` everything Stripe answers and sends.
    """

    data: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 8000
    stripe_port: int = 12111
    passing: bool = False
    severable: bool = False
    say: Callable[[str, str], None] = lambda what, which: None
    heard: Callable[[Mapping[str, Any]], None] = lambda message: None
    seen: Callable[[Any], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What runs.

    `address` is the gateway's; `broker_url` and `queue`, which is the users service's, are None on
    the in-process bus. `environment` are the service's settings. `parts` run until they are left.
    """

    address: str
    stripe: StripeSandbox
    users: UsersService
    database_url: str
    broker_url: str | None
    queue: str | None
    environment: Mapping[str, str]
    parts: Mapping[str, asyncio.Task[None]]
    database_line: Line | None = None
    broker_line: Line | None = None


class StripesClock:
    """The service's clock, by which time at Stripe passes for the service too."""

    def __init__(self, stripe: StripeSandbox) -> None:
        self._stripe = stripe

    def now(self) -> datetime:
        """The present moment at Stripe."""
        return datetime.fromtimestamp(self._stripe.clock.exact(), UTC)


@asynccontextmanager
async def start(options: Options) -> AsyncIterator[Platform]:
    """Start everything; what was found is said on the way.

    Raises AlreadyRunning, ServerError for a server that does not start or cannot be used, and what
    the service's own commands raise.
    """
    async with AsyncExitStack() as running:
        running.enter_context(_alone_in(options.data))
        given_database, given_broker = await backing.found(
            options.environment, options.data, options.say, running
        )
        given = bool(options.environment.get("DATABASE_URL"))
        if given:
            settings.load("migrate", {"DATABASE_URL": given_database})  # says what is wrong with it
        mark = await running.enter_async_context(owned(given_database, options.data, given=given))
        state = _state_folder(options, mark)
        database_url, broker_url = given_database, given_broker
        lines: dict[str, Line] = {}
        if options.severable:
            lines["database_line"], database_url = await running.enter_async_context(
                line_to(database_url)
            )
        if options.severable and broker_url is not None:
            lines["broker_line"], broker_url = await running.enter_async_context(
                line_to(broker_url)
            )
        stripe = await _stripe(options, state, running)
        users = _users(options, state, running)
        key = state / "identity.pem"
        with _reading(key, "remove this file to begin anew"):
            signing = Identity(None if options.passing else key)
        port, service_port = _free_port(options.port), _free_port(0)
        address, service = f"http://{HOST}:{port}", f"http://{HOST}:{service_port}"
        origins = (address, f"http://localhost:{port}", _DEVELOPMENT)
        told = _settings(stripe, address, origins) | {
            "LOG_LEVEL": options.environment.get("LOG_LEVEL", "warning"),
        }
        environment = told | {
            "DATABASE_URL": database_url,
            "RABBITMQ_URL": broker_url or f"amqp://{IN_PROCESS}",
        }
        await asyncio.to_thread(wiring.migrate, settings.load("migrate", environment))
        container = wiring.Container(settings=settings.load("serve", environment))
        container.clock.override(providers.Object(StripesClock(stripe)))
        await container.sync_catalog()()
        queue = None
        if broker_url is None:
            container.event_publisher.override(providers.Object(InProcessBus(users)))
        else:
            queue = _queue(options, mark)
            consumer = Consumer(broker_url, users, queue=queue, temporary=options.passing)
            await _consume(consumer, running)
        stripe.listen(f"{service}/api/payments/webhook", *sorted(HANDLED_TYPES), name=_ENDPOINT)
        serving = await _serve(container, service_port, running, severable=options.severable)
        await _until_answered(f"{service}/health/ready", serving)
        pages = Pages(stripe.url)
        options.say("page", pages.which)
        gateway = create_gateway(signing, service, stripe, users, origins, pages)
        stop = asyncio.Event()
        gatekeeping = asyncio.create_task(server.serve(gateway, HOST, port, stop))
        running.push_async_callback(_stop, stop, gatekeeping)
        await _until_answered(f"{address}/session", gatekeeping)
        # What waits since an earlier run would have found nobody before. And at the end it rests
        # first of all, or time would go on while nobody takes webhooks any more.
        stripe.resume()
        running.callback(stripe.rest)
        yield Platform(
            address=address,
            stripe=stripe,
            users=users,
            database_url=given_database,
            broker_url=given_broker,
            queue=queue,
            environment=told
            | {"DATABASE_URL": given_database}
            | ({} if given_broker is None else {"RABBITMQ_URL": given_broker}),
            parts={
                "the service": serving,
                "the gateway": gatekeeping,
                "the stand-in for Stripe": stripe.living,
            },
            **lines,
        )


def _settings(stripe: StripeSandbox, gateway: str, origins: Sequence[str]) -> dict[str, str]:
    """What the service has to know of its neighbours."""
    return {
        "STRIPE_API_BASE": stripe.url,
        "STRIPE_SECRET_KEY": stripe.api_key,
        "STRIPE_PUBLISHABLE_KEY": stripe.publishable_key,
        "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
        "JWT_JWKS_URL": f"{gateway}/.well-known/jwks.json",
        "JWT_ISSUER": identity.ISSUER,
        "JWT_AUDIENCE": identity.AUDIENCE,
        "ALLOWED_REDIRECT_ORIGINS": ",".join(origins),
    }


def _state_folder(options: Options, mark: str) -> Path:
    """Where Stripe and the users service remember: they belong to one database each."""
    folder = options.data / "state" / mark
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Say which folder it is that cannot be written to. Raises ServerError."""
    try:
        yield
    except OSError as error:
        raise ServerError(
            f"{folder} cannot be written to ({error.strerror}): choose another folder with --data"
        ) from error


@contextlib.contextmanager
def _reading(file: Path, advice: str) -> Iterator[None]:
    """Say which file of an earlier run cannot be read, and how to go on. Raises ServerError."""
    try:
        yield
    except sqlite3.OperationalError as error:  # the disk is full, or another one has it open
        raise ServerError(f"{file} cannot be used ({error!r})") from error
    except (ValueError, TypeError, LookupError, AttributeError, sqlite3.Error) as error:
        raise ServerError(f"{file} cannot be used ({error!r}): {advice}") from error


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("wb")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"another sandbox works on {folder}: stop it, or choose another folder with --data"
            ) from None
        yield


async def _stripe(options: Options, state: Path, running: AsyncExitStack) -> StripeSandbox:
    def signing_time() -> float:
        return stripe.clock.exact()

    file = state / "stripe.json"
    stripe = StripeSandbox(
        # A fresh seed, since whoever has seen the ids of an earlier run would take these for it.
        seed=secrets.token_hex(8),
        data=None if options.passing else file,
        signing_time=signing_time,
        deliveries_at_once=DELIVERIES_AT_ONCE,
        inspect=options.seen,
    )
    # The tables would keep what this Stripe no longer knew.
    with _reading(
        file,
        "set DATABASE_URL to an empty database to begin anew"
        if options.environment.get("DATABASE_URL")
        else f"remove the folder {options.data} to begin anew",
    ):
        await stripe.start(_free_port(options.stripe_port), resting=True)
    running.push_async_callback(_stop_stripe, stripe, state)
    options.say("stripe", f"a stand-in at {stripe.url} (its control panel: {stripe.url}/sandbox)")
    return stripe


async def _stop_stripe(stripe: StripeSandbox, state: Path) -> None:
    with writing_to(state):
        await stripe.stop()


def _users(options: Options, state: Path, running: AsyncExitStack) -> UsersService:
    if options.passing:
        return UsersService(options.heard)
    file = state / "users.sqlite"
    with _reading(file, "remove this file to begin anew, then run `payments republish`"):
        records = Records(file)
        running.callback(records.close)
        return UsersService(options.heard, records)


def _queue(options: Options, mark: str) -> str:
    """A private broker has one users service; a given one may have that of another sandbox, too."""
    if options.passing:
        return f"{users_service.QUEUE}.{secrets.token_hex(4)}"
    given = options.environment.get("RABBITMQ_URL")
    return f"{users_service.QUEUE}.{mark}" if given else users_service.QUEUE


async def _consume(consumer: Consumer, running: AsyncExitStack) -> None:
    try:
        await running.enter_async_context(consumer)
    except (AMQPError, OSError) as error:
        raise ServerError(
            f"the broker cannot be used: {error}. Set RABBITMQ_URL to one that can, or to "
            f"{IN_PROCESS} to do without"
        ) from None


async def _serve(
    container: wiring.Container, port: int, running: AsyncExitStack, *, severable: bool
) -> asyncio.Task[None]:
    """What `payments serve` does, until everything is left."""
    loaded = container.settings()
    logs.configure(loaded.log_format, loaded.log_level)
    if severable:  # that connections break is the point, and no news
        logging.getLogger("aio_pika").setLevel(logging.CRITICAL)
    stop = asyncio.Event()
    serving = asyncio.create_task(
        wiring.run_container(container, listen_on=(HOST, port), worker=True, stop=stop)
    )
    running.push_async_callback(_stop, stop, serving)
    return serving


async def _stop(stop: asyncio.Event, task: asyncio.Task[None]) -> None:
    ended_by_itself = task.done()
    stop.set()
    await asyncio.wait({task})
    # Of that, whoever watches the parts has been told.
    if not ended_by_itself and not task.cancelled():
        task.result()


async def _until_answered(url: str, task: asyncio.Task[None]) -> None:
    """Wait until a server of ours says that it is ready."""
    deadline = time.monotonic() + _PATIENCE
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            if task.done():
                task.result()
                raise ServerError(f"{url} ended before it was ready")
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(url)).is_success:
                    return
            if time.monotonic() > deadline:
                raise ServerError(f"{url} is not ready after {_PATIENCE:.0f} s")
            await asyncio.sleep(0.02)  # there is nothing to wait on before the port is open


def _free_port(first: int) -> int:
    """The first free port from this one on, or any where it is 0."""
    # Linux gives outgoing connections ports from 32768 on, which might take one meanwhile.
    first = first or 20000 + secrets.randbelow(10000)
    last = min(first + 999, 65535)
    for port in range(first, last + 1):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port
    raise ServerError(f"no port from {first} to {last} is free: free one, or set --port")
