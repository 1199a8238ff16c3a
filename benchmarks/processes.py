"""What is measured: servers, the service and its peers, started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import psutil

from benchmarks import workload
from benchmarks.load import Order, Report
from benchmarks.workload import Life

PAYMENTS: Final = Path(sys.executable).with_name("payments")
PATIENCE: Final = 60.0  # seconds


class ProcessFailed(RuntimeError):
    """A process ended, or did not start to answer; the message holds the end of its log."""


def environment(database_url: str, rabbitmq_url: str, stripe_url: str) -> dict[str, str]:
    """What the service is run with: logging as in production."""
    return {
        "DATABASE_URL": database_url,
        "RABBITMQ_URL": rabbitmq_url,
        "STRIPE_API_BASE": stripe_url,
        "STRIPE_SECRET_KEY": "sk_test_benchmark",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_benchmark",
        "STRIPE_WEBHOOK_SECRET": workload.SECRET,
        "JWT_SECRET": "benchmark" * 4,
        "JWT_ISSUER": "benchmark",
        "JWT_AUDIENCE": "payments",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
    }


@dataclass(frozen=True, slots=True)
class StageResult:
    """So many webhooks or messages in so many seconds, for so many of processor time."""

    count: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Done a second."""
        return self.count / self.seconds


class Running:
    """A process that was started here."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self._process = process
        self._log = log
        self.port = port
        self.started = time.perf_counter()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def rss_mb(self) -> float:
        """Resident memory, in MiB."""
        return float(psutil.Process(self.pid).memory_info().rss) / 1024**2

    async def until_ready(self, path: str = "/health/ready") -> float:
        """Wait until it answers; how many seconds after its start that was."""
        async with httpx.AsyncClient() as client:
            while time.perf_counter() - self.started < PATIENCE:
                if self._process.poll() is not None:
                    break
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.get(f"http://127.0.0.1:{self.port}{path}")
                    if answer.status_code < 500:
                        return time.perf_counter() - self.started
                await asyncio.sleep(0.01)
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        raise ProcessFailed(f"{self._process.args!r} does not answer:\n{tail}")

    def end(self) -> None:
        """End it in order, and by force where it does not."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            for member in psutil.Process(self.pid).children(recursive=True):
                member.kill()
            self._process.kill()
            self._process.wait()


@contextmanager
def started(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    directory: Path,
    *,
    port: int | None = None,
    cwd: Path | None = None,
) -> Iterator[Running]:
    """Run a program for as long as the context lasts. `{port}` in what it is given is filled in."""
    chosen = port or free_port()
    log = directory / f"{Path(command[0]).name}-{chosen}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part).replace("{port}", str(chosen)) for part in command],
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(directory),
                **{name: value.replace("{port}", str(chosen)) for name, value in env.items()},
            },
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=cwd,
        )
    running = Running(process, log, chosen)
    try:
        yield running
    finally:
        running.end()


@contextmanager
def service(command: str, env: Mapping[str, str], directory: Path) -> Iterator[Running]:
    """`payments api`, `worker` or `serve`."""
    port = [] if command == "worker" else ["--port", "{port}"]
    with started([PAYMENTS, command, *port], env, directory) as running:
        yield running


class PreparedLoad:
    """A load generator that has its requests ready."""

    def __init__(self, process: asyncio.subprocess.Process, order: Order) -> None:
        self._process = process
        self._order = order

    async def send(self) -> Report:
        """Let it loose; what came of it. Raises ProcessFailed where it breaks off, or hangs."""
        assert self._process.stdin is not None, "it was asked for"
        self._process.stdin.write(b"go\n")
        order = self._order
        # It gives up by itself, and says why.
        line = await self._read(order.seconds + order.patience + PATIENCE)
        if not line:
            raise ProcessFailed("the load generator broke off: see its message above")
        return Report(**json.loads(line))

    async def until_ready(self) -> None:
        """Wait until it has its requests."""
        # Making and signing one takes less than a millisecond, on however slow a machine.
        if await self._read(PATIENCE + self._order.count / 1000) != b"ready\n":
            raise ProcessFailed("the load generator could not prepare its requests")

    async def _read(self, seconds: float) -> bytes:
        assert self._process.stdout is not None, "it was asked for"
        try:
            async with asyncio.timeout(seconds):
                return await self._process.stdout.readline()
        except TimeoutError:
            raise ProcessFailed(
                f"the load generator has said nothing for {seconds:.0f} seconds"
            ) from None


@asynccontextmanager
async def prepared_load(order: Order, life: Life) -> AsyncIterator[PreparedLoad]:
    """A load generator that has its requests ready, so that making them is not measured."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.load", json.dumps(asdict(order))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**28,
    )
    generator = PreparedLoad(process, order)
    try:
        assert process.stdin is not None, "it was asked for"
        process.stdin.write(msgspec.json.encode(life) + b"\n")
        await generator.until_ready()
        yield generator
    finally:
        await _ended(process)


async def load(order: Order, life: Life) -> Report:
    """Prepare a load and let it loose."""
    async with prepared_load(order, life) as generator:
        return await generator.send()


async def stage(env: Mapping[str, str], directory: Path, name: str) -> StageResult:
    """Run one of benchmarks.stages to its end."""
    log = directory / f"{name}.log"
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.stages", name),
            env={**env, "PATH": os.environ.get("PATH", "")},
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        output, _ = await process.communicate()
    finally:
        await _ended(process)
    if process.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        raise ProcessFailed(f"benchmarks.stages {name} failed:\n{tail}")
    return StageResult(**json.loads(output))


async def _ended(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def migrate(env: Mapping[str, str]) -> None:
    """Bring the schema of a database up to date."""
    done = await asyncio.create_subprocess_exec(
        PAYMENTS, "migrate", env={**env, "PATH": os.environ.get("PATH", "")}
    )
    if await done.wait():
        raise ProcessFailed("payments migrate failed: see above")


@asynccontextmanager
async def database(server_url: str, template: str = "template1") -> AsyncIterator[str]:
    """A database of its own, a copy of `template`, dropped in the end; its URL."""
    name = f"bench_{uuid4().hex}"
    server = await asyncpg.connect(server_url)
    try:
        await server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        finally:
            await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
