"""Real servers, real `payments` processes behind proxies, and what keeps them busy."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from sandbox.servers import PrivatePostgres, PrivateRabbitMQ
from tests.conftest import PASSWORD
from tests.databases import as_role
from tests.end_to_end.processes import Process, run, running
from tests.faults import checker
from tests.faults.consumer import Consumer, purge_queue
from tests.faults.stripe import Sender
from tests.proxy import Proxy
from tests.stripe_payloads import SECRET
from tests.stripe_stand_in import StripeStandIn, run_stripe_stand_in

# A private server dies with the thread that started it, so this one outlives every test.
_SERVERS: Final = ThreadPoolExecutor(1)


async def on_servers(change: Callable[..., None], *arguments: str) -> None:
    """Start, stop or command a private server without holding the event loop up."""
    await asyncio.get_running_loop().run_in_executor(_SERVERS, change, *arguments)


class Member:
    """One `payments` process that is started again whenever it was killed, as an operator would."""

    def __init__(self, command: str, environment: Mapping[str, str], directory: Path) -> None:
        self._command = command
        self._environment = environment
        self._directory = directory
        self._stack = AsyncExitStack()
        self._process: Process | None = None
        # Bound and not listened on: whoever is started meanwhile cannot be given this port, as it
        # may be that of the process that was killed.
        self._nowhere = socket.socket()
        self._nowhere.bind(("127.0.0.1", 0))
        self._processes: list[Process] = []

    def log(self) -> Iterator[str]:
        """What it logged in all its lives, line by line."""
        for process in self._processes:
            yield from process.log.splitlines()

    def clock(self) -> datetime:
        """What time it thinks it is, by the last line of its log."""
        assert self._process is not None
        stamps = re.findall(r'"timestamp": ?"([^"]+)"', self._process.log)
        return datetime.fromisoformat(stamps[-1])

    @property
    def address(self) -> str:
        """Where it listens; where nobody does while it does not run."""
        if self._process is not None and self._process.address is not None:
            return self._process.address
        return f"http://127.0.0.1:{self._nowhere.getsockname()[1]}"

    async def start(self, **more: str) -> None:
        """Start it, with more in its environment, and return once it works."""
        self._process = await self._stack.enter_async_context(
            running(self._command, {**self._environment, **more}, self._directory)
        )
        self._processes.append(self._process)

    async def kill(self) -> None:
        """End it as a power cut would."""
        self._process = None
        await self._stack.aclose()

    async def end(self) -> None:
        """Never start it again."""
        await self.kill()
        self._nowhere.close()

    async def stop(self) -> None:
        """End it as an operator would. It has to end by itself, and well."""
        assert self._process is not None
        self._process.signal(signal.SIGTERM)
        assert await self._process.wait() == 0, self._process.log[-2000:]
        self._process = None
        await self._stack.aclose()

    def freeze(self) -> None:
        """Take its processor away."""
        assert self._process is not None
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Give it back."""
        assert self._process is not None
        self._process.signal(signal.SIGCONT)


@dataclass(frozen=True)
class Toll:
    """How often the faults bit: where one is 0, they were none."""

    refusals: int
    duplicates: int
    repeats: int
    leases_lost: int


@dataclass
class World:
    """Everything that a fault may touch."""

    postgres: PrivatePostgres
    brokers: list[PrivateRabbitMQ]
    database_name: str
    role: str
    database: Proxy
    broker: Proxy
    stripe: StripeStandIn
    provider: Proxy
    sender: Sender
    consumer: Consumer
    # What each worker alone reaches the database through.
    worker_databases: list[Proxy] = field(default_factory=list)
    apis: list[Member] = field(default_factory=list)
    workers: list[Member] = field(default_factory=list)
    stripe_was_away: bool = False
    toll: Toll | None = None

    @property
    def database_url(self) -> str:
        """A superuser's URL, past the proxy, of wherever the server is by now."""
        return database_url(self.postgres, self.database_name)

    async def recovered(self) -> None:
        """Return once webhooks are taken and messages arrive again."""
        await asyncio.gather(self.sender.accepted(10), self.consumer.received(10))


@contextlib.asynccontextmanager
async def living(
    postgres: PrivatePostgres,
    brokers: list[PrivateRabbitMQ],
    seed: int,
    directory: Path,
    *,
    apis: int = 2,
    workers: int = 2,
) -> AsyncIterator[World]:
    """Run the service under load; when the block ends, everything is finished and checked."""
    name, role = await _create_database(postgres.url)
    owner_url = database_url(postgres, name)
    await purge_queue(brokers[0].url)
    async with AsyncExitStack() as stack:
        stripe = stack.enter_context(run_stripe_stand_in())
        database = await stack.enter_async_context(Proxy(as_role(owner_url, role)))
        broker = await stack.enter_async_context(Proxy(*(node.url for node in brokers)))
        provider = await stack.enter_async_context(Proxy(stripe.url))
        environment = {
            "DATABASE_URL": database.url,
            "RABBITMQ_URL": broker.url,
            "STRIPE_SECRET_KEY": "sk_test_51abc",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_51abc",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": provider.url,
            "JWT_SECRET": "a secret that is long enough for the tests",
            "JWT_ISSUER": "https://identity.example",
            "JWT_AUDIENCE": "payments",
        }
        status, output = await run({"DATABASE_URL": owner_url}, "migrate", "--grant-to", role)
        assert status == 0, output
        own = [await stack.enter_async_context(Proxy(database.url)) for _ in range(workers)]
        members = [
            [Member("api", environment, directory) for _ in range(apis)],
            [Member("worker", environment | {"DATABASE_URL": o.url}, directory) for o in own],
        ]
        for member in (*members[0], *members[1]):
            stack.push_async_callback(member.end)
        await asyncio.gather(*(member.start() for kind in members for member in kind))
        world = World(
            postgres,
            brokers,
            name,
            role,
            database,
            broker,
            stripe,
            provider,
            Sender(lambda: [api.address for api in members[0]], stripe, seed),
            # Through a proxy of its own: what hits the service's connections spares this one.
            Consumer((await stack.enter_async_context(Proxy(*(node.url for node in brokers)))).url),
            worker_databases=own,
            apis=members[0],
            workers=members[1],
        )
        async with world.consumer.running():
            async with world.sender.running():
                await world.recovered()
                yield world
            await checker.settled(world.database_url)
            tables = await checker.read(world.database_url)
            # What has not come by then never will, and the checker says what it is.
            with contextlib.suppress(TimeoutError):
                await world.consumer.until(
                    lambda: len(set(world.consumer.arrived)) >= len(tables.outbox)
                )
        checker.check(
            tables,
            world.sender.lives,
            world.sender.tries,
            world.consumer.arrived,
            stripe_was_away=world.stripe_was_away,
        )
        log = [line for member in (*world.apis, *world.workers) for line in member.log()]
        checker.check_log(log)
        world.toll = Toll(
            refusals=world.sender.refusals,
            duplicates=sum(1 for one in world.sender.tries if one.duplicate),
            repeats=world.consumer.repeats,
            leases_lost=sum('"lease_lost"' in line for line in log),
        )
        print(  # noqa: T201 - what a pass is worth
            f"{len(world.sender.lives)} lives, {len(world.sender.tries)} deliveries,"
            f" {len(world.consumer.arrived)} messages; {world.toll}",
            flush=True,
        )


def database_url(postgres: PrivatePostgres, name: str) -> str:
    """A superuser's URL of this database."""
    return urlsplit(postgres.url)._replace(path=f"/{name}").geturl()


async def _create_database(server_url: str) -> tuple[str, str]:
    """A database, and a role that owns nothing of it."""
    name = f"faults_{uuid4().hex[:8]}"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    finally:
        await connection.close()
    return name, name
