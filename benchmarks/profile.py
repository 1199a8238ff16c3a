"""Where the time of one webhook goes: `make bench ARGS=--profile`.

py-spy samples a process while it works at full speed; each sample counts for the step that it is
in. Their shares of the process's time per webhook or message, measured meanwhile, are microseconds.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks import filling
from benchmarks.bench import Bench
from benchmarks.load import Order
from benchmarks.measures import broker_queue, until_nothing_waits
from benchmarks.meter import Reading
from benchmarks.processes import PATIENCE, ProcessFailed, Running, prepared_load, service

PY_SPY: Final = Path(sys.executable).with_name("py-spy")
SECONDS: Final = 5
# Requests a second that are enough.
_ENOUGH: Final = 8_000
# Samples a second; more would slow down what is sampled.
_RATE: Final = 200
# Steps that are known by whose code runs; the first that the sample's innermost frames are of.
_STEPS: Final = (
    ("structlog/", "log lines"),
    ("service/logs.py", "log lines"),
    ("opentelemetry/", "traces"),
    ("prometheus", "metrics"),
    ("sqlalchemy/", "SQLAlchemy"),
    ("asyncpg/", "asyncpg"),
    ("aiormq/", "publishing"),
    ("pamqp/", "publishing"),
    ("stripe/_", "Stripe's SDK"),
    ("uvicorn/", "HTTP: uvicorn"),
    ("adapters/http/connections.py", "HTTP: uvicorn"),
    ("litestar/", "HTTP: Litestar"),
    # It is what runs the event loop, whose own work has no frames.
    ("adapters/http/server.py", "event loop, reading and writing"),
)
_LEFT: Final = (
    "SELECT count(*) FROM payments.stripe_webhook_events WHERE NOT processed AND outcome IS NULL"
)
_OURS: Final = ("domain/", "service/", "ports/", "adapters/")


async def take(bench: Bench) -> str:
    """Sample the API while it takes webhooks, and the worker while it works them off."""
    return "\n\n".join([await _api(bench), await _worker(bench)])


async def _api(bench: Bench) -> str:
    async with bench.database() as env:
        with service("api", env, bench.directory) as api:
            await api.until_ready()
            order = Order(api.port, _ENOUGH * SECONDS, SECONDS)
            async with (
                prepared_load(order, bench.life) as generator,
                _sampled(bench, api) as samples,
            ):
                before = Reading.take()
                report = await generator.send()
                spent = Reading.take().family(api.pid) - before.family(api.pid)
    return table("a webhook taken", spent / report.accepted * 1e6, samples)


async def _worker(bench: Bench) -> str:
    async with bench.database() as env, broker_queue(bench.rabbitmq):
        url = env["DATABASE_URL"]
        there = await filling.backlog(url, bench.life, bench.scale.backlog)
        connection = await asyncpg.connect(url)
        with service("worker", env, bench.directory) as worker:
            while await connection.fetchval(_LEFT) == there:
                await asyncio.sleep(0.05)  # its start is nobody's step
            async with _sampled(bench, worker) as samples:
                left, before = await connection.fetchval(_LEFT), Reading.take()
                await until_nothing_waits(url, 10 * PATIENCE)
                spent = Reading.take().family(worker.pid) - before.family(worker.pid)
        await connection.close()
    if not left:
        raise ProcessFailed("the worker was done before it could be sampled")
    return table("a webhook worked off, its message published", spent / left * 1e6, samples)


@asynccontextmanager
async def _sampled(bench: Bench, running: Running) -> AsyncIterator[Counter[str]]:
    """Counts the samples by step; they are there once the context has ended."""
    samples: Counter[str] = Counter()
    stacks = bench.directory / f"stacks-{running.pid}.txt"
    spy = await asyncio.create_subprocess_exec(
        *(PY_SPY, "record", "--format", "raw", "--rate", str(_RATE), "--output", stacks),
        *("--duration", "unlimited", "--pid", str(running.pid)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield samples
    finally:
        if spy.returncode is None:
            spy.send_signal(2)  # it writes what it has
        _, said = await spy.communicate()
    if not stacks.exists():
        raise ProcessFailed(f"py-spy: {said.decode(errors='replace').strip()}")
    samples.update(by_step(stacks.read_text().splitlines()))


def by_step(stacks: Iterable[str]) -> Counter[str]:
    """Samples by step. A line is `outermost (file:line);…;innermost (file:line) count`."""
    found: Counter[str] = Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        found[_step(frames.split(";"))] += int(count)
    return found


def _step(frames: list[str]) -> str:
    for frame in reversed(frames):
        for part, step in _STEPS:
            if part in frame:
                return step
        function, _, place = frame.partition(" (")
        for folder in _OURS:
            if place.startswith(folder) or f"/{folder}" in place:
                return f"{place[place.index(folder) :].partition(':')[0]}: {function}"
    return "all else"


def table(title: str, microseconds: float, samples: Mapping[str, int]) -> str:
    """The steps, the largest first; what is below a hundredth is summed up."""
    total = sum(samples.values()) or 1
    lines = [f"{title}: {microseconds:.0f} µs of processor time, by {total} samples"]
    rest = 0
    for step, count in sorted(samples.items(), key=lambda item: -item[1]):
        if count < total / 100:
            rest += count
            continue
        lines.append(f"{count / total * microseconds:8.1f} µs  {count / total:4.0%}  {step}")
    lines.append(f"{rest / total * microseconds:8.1f} µs  {rest / total:4.0%}  below 1 % each")
    return "\n".join(lines)
