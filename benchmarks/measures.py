"""The rounds. What is compared takes turns within one run, so that a noisy machine hits all alike;
what counts is the ratio of the medians.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import aio_pika
import asyncpg
import psutil

from benchmarks import filling, peers
from benchmarks.load import TICK, Order, Report
from benchmarks.peers import PeerMissing
from benchmarks.processes import (
    PATIENCE,
    PAYMENTS,
    ProcessFailed,
    Running,
    cpu_seconds,
    database,
    environment,
    load,
    prepared_load,
    send,
    service,
    started,
)
from benchmarks.stripe_api import StripeApi
from benchmarks.workload import LIFE, MESSAGES_PER_LIFE, Life

QUEUE: Final = "users"
# Accepted webhooks a second in the measure of latency.
PACE: Final = 500


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    minutes: float  # at most, with a little patience for what cannot be cut short
    rounds: int
    seconds: float  # of one round of ingest
    backlog: int  # webhooks in one round of draining
    stream: int  # webhooks in one round end to end
    latency_seconds: float
    history: Sequence[int]  # processed rows in the inbox
    memory: int  # webhooks drained while memory is watched
    starts: int


# Which share of the time each measure may take.
SHARES: Final = {
    "start": 0.03,
    "ingest": 0.25,
    "stages": 0.15,
    "end_to_end": 0.15,
    "latency": 0.05,
    "table_size": 0.17,
    "memory": 0.2,
}
# Backlogs are whole lives of workload.SUBSCRIBERS_AT_ONCE subscribers.
LONG: Final = Scale(14.0, 5, 3.0, 18_000, 24_000, 15.0, (1_000_000, 5_000_000), 1_000_000, 5)
SHORT: Final = Scale(1.5, 2, 1.0, 6_000, 4_000, 4.0, (200_000,), 12_000, 2)


@dataclass(slots=True)
class Findings:
    """Everything that was measured: samples by name, and what is told of them."""

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    missing: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    timelines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    by_size: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, name: str, value: float) -> None:
        """Keep a sample."""
        self.samples[name].append(value)

    def of(self, name: str) -> float | None:
        """The median of what was sampled."""
        found = self.samples.get(name)
        return median(found) if found else None

    def ratio(self, one: str, other: str) -> float | None:
        """How many times the other the one is."""
        mine, theirs = self.of(one), self.of(other)
        return mine / theirs if mine is not None and theirs else None


@dataclass(slots=True)
class Bench:
    """Where everything runs."""

    scale: Scale
    life: Life
    postgres: str
    rabbitmq: str
    # The process ids of the servers, by what they are called in the findings.
    servers: Mapping[str, int]
    stripe: StripeApi
    peers: Path
    directory: Path
    say: Callable[[str], None]
    keep: Callable[[Findings], object]
    found: Findings = field(default_factory=Findings)
    deadline: float = 0.0

    def rounds(self, *, warm_up: bool = False) -> Iterator[int]:
        """The numbers of the rounds, fewer where time runs out; 0 is the one that warms up."""
        for number in range(0 if warm_up else 1, self.scale.rounds + 1):
            if number > 1 and time.perf_counter() > self.deadline:
                self.found.warnings.append(f"time ran out after {number - 1} rounds")
                return
            yield number

    @contextlib.contextmanager
    def costs(self, name: str, running: Running | None = None) -> Iterator[Callable[[int], None]]:
        """Notes the processor time that each server, and `running`, takes within the context; what
        it gives is to be called with the number of webhooks or messages it was taken for.
        """
        pids = {**self.servers, **({"cpu": running.pid} if running is not None else {})}
        before = {part: cpu_seconds(pid) for part, pid in pids.items()}
        counts: list[int] = []
        yield counts.append
        for part, pid in pids.items():
            if counts and counts[0]:
                spent = cpu_seconds(pid) - before[part]
                self.found.note(f"{part}_us.{name}", spent / counts[0] * 1e6)

    async def environment(self, database_url: str) -> dict[str, str]:
        """The service's settings on a database, which is migrated."""
        env = environment(database_url, self.rabbitmq, self.stripe.url)
        done = await asyncio.create_subprocess_exec(
            PAYMENTS, "migrate", env=env | {"PATH": os.environ.get("PATH", "")}
        )
        if await done.wait():
            raise ProcessFailed("payments migrate failed: see above")
        return env

    def judge_generator(self, name: str, report: Report) -> None:
        """Warn where a rate may be the generator's, or something was refused."""
        if report.is_bottleneck:
            self.found.warnings.append(
                f"{name}: the load generator was busy {report.busy:.0%} of the time, so the rate"
                " may be its own"
            )
        if report.refused:
            self.found.warnings.append(f"{name}: {report.refused} requests were refused")


Measure = Coroutine[None, None, None]


async def run(bench: Bench, chosen: Sequence[Callable[[Bench], Measure]]) -> Findings:
    """Take these measures."""
    for measure in chosen:
        title, began = measure.__name__.replace("_", " "), time.perf_counter()
        bench.deadline = began + SHARES[measure.__name__] * bench.scale.minutes * 60
        bench.say(f"{title} …")
        await measure(bench)
        bench.say(f"{title}: {time.perf_counter() - began:.0f} s")
        bench.keep(bench.found)  # what was found is kept, whatever becomes of the rest
    return bench.found


async def start(bench: Bench) -> None:
    """`payments serve` on a migrated database: seconds until it says that it is ready."""
    async with database(bench.postgres) as url:
        env = await bench.environment(url)
        for _ in range(bench.scale.starts):
            with service("serve", env, bench.directory) as running:
                bench.found.note("ready_seconds", await running.until_ready())


async def ingest(bench: Bench) -> None:
    """Accepted webhooks a second, against everything else that takes them."""
    async with AsyncExitStack() as running:
        contenders = await _contenders(bench, running)
        warm: dict[str, float] = {}
        for number in bench.rounds(warm_up=True):
            for name, (contender, path) in contenders.items():
                await _checkpoint(bench.postgres)
                # The first round warms up, and says how many requests a round takes.
                seconds = bench.scale.seconds if number else bench.scale.seconds / 2
                rate = warm.get(name, 3_000.0)
                order = Order(
                    contender.port, max(200, int(rate * seconds * 1.5)), seconds, path=path
                )
                with bench.costs(name, contender) as took_for:
                    report = await load(order)
                    if number:
                        took_for(report.accepted)
                warm[name] = max(report.rate, 1.0)
                if number:
                    bench.found.note(f"ingest.{name}", report.rate)
                    bench.judge_generator(f"ingest, {name}", report)


async def _contenders(bench: Bench, running: AsyncExitStack) -> dict[str, tuple[Running, str]]:
    """Everything that takes webhooks, each on a database of its own on the same server."""
    found: dict[str, tuple[Running, str]] = {}
    hook = Order(0, 0, 0).path

    async def new_database() -> str:
        return await running.enter_async_context(database(bench.postgres))

    env = await bench.environment(await new_database())
    product = running.enter_context(service("api", env, bench.directory))
    await product.until_ready()
    found["payments"] = (product, hook)
    for variant in ("noop", "insert"):
        env = await bench.environment(await new_database())
        command = [sys.executable, "-m", "benchmarks.variants", variant, "--port", "{port}"]
        one = running.enter_context(started(command, env, bench.directory, cwd=Path.cwd()))
        await one.until_ready()
        found[variant] = (one, hook)
    url = await new_database()
    with _missing(bench, "sync_engine"):
        engine = running.enter_context(peers.sync_engine(bench.peers, url, bench.directory))
        await engine.until_ready("/")
        found["sync_engine"] = (engine, "/")
    url = await new_database()
    with _missing(bench, "dj_stripe"):
        site = running.enter_context(
            peers.dj_stripe(bench.peers, url, bench.stripe.url, bench.directory)
        )
        await site.until_ready("/")
        found["dj_stripe"] = (site, peers.DJ_STRIPE_PATH)
    return found


@contextlib.contextmanager
def _missing(bench: Bench, name: str) -> Any:
    try:
        yield
    except (PeerMissing, ProcessFailed) as error:
        bench.found.missing[name] = str(error)
        bench.say(f"  without {name}: {error}")


async def stages(bench: Bench) -> None:
    """The worker's two stages, and publishing without them, all on the same messages."""
    for number in bench.rounds():
        async with database(bench.postgres) as url:
            env = await bench.environment(url)
            await filling.backlog(url, bench.life, bench.scale.backlog)
            stage_names = ["raw", "aio_pika"] if number % 2 else ["aio_pika", "raw"]
            for name in ("drain", *stage_names, "relay"):
                await _checkpoint(bench.postgres)
                async with _queue(bench.rabbitmq):
                    with bench.costs(name) as took_for:
                        took = await stage(bench, env, name)
                        took_for(int(took["count"]))
                bench.found.note(f"stage.{name}", took["count"] / took["seconds"])
                bench.found.note(f"cpu_us.{name}", took["cpu"] / took["count"] * 1e6)
                expected = bench.scale.backlog
                if name != "drain":
                    expected = expected * MESSAGES_PER_LIFE // len(LIFE)
                if took["count"] < expected * 0.9:
                    bench.found.warnings.append(
                        f"{name}: {took['count']} of about {expected} were done"
                    )


async def stage(bench: Bench, env: dict[str, str], name: str) -> dict[str, float]:
    """Run one stage to its end."""
    log = bench.directory / f"{name}.log"
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.stages", name),
            env=env | {"PATH": os.environ.get("PATH", "")},
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        output, _ = await process.communicate()
    if process.returncode:
        tail = "\n".join(log.read_text().splitlines()[-10:])
        raise ProcessFailed(f"benchmarks.stages {name} failed:\n{tail}")
    result: dict[str, float] = json.loads(output)
    return result


async def end_to_end(bench: Bench) -> None:
    """From the first webhook sent to the last message confirmed, next to what only upserts."""
    async with AsyncExitStack() as running:
        env = await bench.environment(await running.enter_async_context(database(bench.postgres)))
        await running.enter_async_context(_queue(bench.rabbitmq))
        serving = running.enter_context(service("serve", env, bench.directory))
        await serving.until_ready()
        engine = None
        url = await running.enter_async_context(database(bench.postgres))
        with _missing(bench, "sync_engine"):
            engine = running.enter_context(peers.sync_engine(bench.peers, url, bench.directory))
            await engine.until_ready("/")
        count = bench.scale.stream
        await _stream(bench, env, serving, count // 4)  # warms up
        for _ in bench.rounds():
            await _checkpoint(bench.postgres)
            with bench.costs("serve", serving) as took_for:
                accepted, seconds, timeline = await _stream(bench, env, serving, count)
                took_for(accepted)
            bench.found.note("end_to_end.payments", accepted / seconds)
            bench.found.timelines = timeline
            if engine is not None:
                await _checkpoint(bench.postgres)
                report = await load(Order(engine.port, count, 120.0, path="/"))
                bench.found.note("end_to_end.sync_engine", report.rate)
                bench.judge_generator("end to end, sync_engine", report)


async def _stream(
    bench: Bench, env: dict[str, str], serving: Running, count: int
) -> tuple[int, float, dict[str, list[tuple[float, float]]]]:
    """Send so many as fast as they are accepted, and wait until all that follows is confirmed."""
    async with prepared_load(Order(serving.port, count, 120.0)) as generator:
        began = time.perf_counter()
        sending = asyncio.create_task(send(generator))
        watched = await _watch(env["DATABASE_URL"], sending, began)
        report = await sending
    bench.judge_generator("end to end", report)
    last = max(watched, default=time.perf_counter() - began)
    return report.accepted, last, _timelines(report, watched)


async def _watch(
    database_url: str, sending: asyncio.Task[Report], began: float
) -> dict[float, int]:
    """How much was confirmed at which second, until nothing is left."""
    connection = await asyncpg.connect(database_url)
    seen: dict[float, int] = {}
    already = await _confirmed(connection)
    while True:
        was_sent = sending.done()
        left = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM payments.stripe_webhook_events"
            " WHERE NOT processed AND outcome IS NULL) OR EXISTS (SELECT FROM"
            " payments.outbox_events WHERE published_at IS NULL AND unrouted_at IS NULL)"
        )
        confirmed = await _confirmed(connection) - already
        if not seen or confirmed > max(seen.values()):
            seen[time.perf_counter() - began] = confirmed
        if was_sent and not left:
            break
        if was_sent and (sending.exception() or time.perf_counter() - began > max(seen) + PATIENCE):
            raise ProcessFailed(f"{left} of the webhooks' messages never left: see the log above")
        await asyncio.sleep(0.05 if was_sent else TICK)
    await connection.close()
    return seen


async def _confirmed(connection: asyncpg.Connection) -> int:
    found: int = await connection.fetchval(
        "SELECT count(*) FROM payments.outbox_events WHERE published_at IS NOT NULL"
    )
    return found


def _timelines(report: Report, confirmed: dict[float, int]) -> dict[str, list[tuple[float, float]]]:
    """Rates against time: webhooks accepted, messages confirmed."""
    accepted = [
        ((tick + 1) * TICK, count / TICK) for tick, count in enumerate(report.accepted_by_tick)
    ]
    points = sorted(confirmed.items())
    rates = [
        (then, (count - before) / (then - earlier))
        for (earlier, before), (then, count) in pairwise(points)
        if then - earlier > TICK / 2
    ]
    return {"webhooks accepted": accepted, "messages confirmed": rates}


async def latency(bench: Bench) -> None:
    """At a steady pace: from the row's first moment to its message's confirmation."""
    async with database(bench.postgres) as url, _queue(bench.rabbitmq):
        env = await bench.environment(url)
        with service("serve", env, bench.directory) as serving:
            await serving.until_ready()
            await load(Order(serving.port, 500, 5.0, rate=PACE))  # warms up
            await asyncio.sleep(1)
            connection = await asyncpg.connect(url)
            since = await connection.fetchval("SELECT now()")
            seconds = bench.scale.latency_seconds
            report = await load(Order(serving.port, int(PACE * seconds), seconds + 5, rate=PACE))
            bench.judge_generator("latency", report)
            await asyncio.sleep(1)
            row = await connection.fetchrow(
                "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS p50,"
                " percentile_cont(0.99) WITHIN GROUP (ORDER BY took) AS p99, count(*) AS n FROM ("
                "SELECT extract(epoch FROM o.published_at - i.created_at) * 1000 AS took"
                " FROM payments.outbox_events o JOIN payments.stripe_webhook_events i"
                " ON i.traceparent = convert_from(o.body, 'UTF8')::jsonb ->> 'traceparent'"
                " WHERE i.created_at > $1) AS both_ends",
                since,
            )
            await connection.close()
    assert row is not None, "an aggregate has a row"
    bench.found.note("latency.p50_ms", float(row["p50"]))
    bench.found.note("latency.p99_ms", float(row["p99"]))
    bench.found.note("latency.answer_p50_ms", report.p50_ms)
    bench.found.note("latency.answer_p99_ms", report.p99_ms)
    bench.found.note("latency.messages", float(row["n"]))


async def table_size(bench: Bench) -> None:
    """Ingest and drain with a long history in the inbox, statistics stale, and without any."""
    seconds, backlog = bench.scale.seconds, bench.scale.backlog // 2
    async with AsyncExitStack() as running:
        sides: dict[int, tuple[dict[str, str], Running]] = {}
        for size in (0, *bench.scale.history):
            url = await running.enter_async_context(database(bench.postgres))
            env = await bench.environment(url)
            await filling.history(url, size)
            api = running.enter_context(service("api", env, bench.directory))
            await api.until_ready()
            sides[size] = (env, api)
        for number in bench.rounds(warm_up=True):
            for size, (env, api) in sides.items():
                await _empty_pending(env["DATABASE_URL"])
                await _checkpoint(bench.postgres)
                report = await load(Order(api.port, int(12_000 * seconds), seconds))
                await _empty_pending(env["DATABASE_URL"])
                await filling.backlog(env["DATABASE_URL"], bench.life, backlog)
                await _checkpoint(bench.postgres)
                took = await stage(bench, env, "drain")
                if number:  # the first round warms up
                    bench.found.note(f"size.ingest.{size}", report.rate)
                    bench.found.note(f"size.drain.{size}", took["count"] / took["seconds"])
    for kind in ("ingest", "drain"):
        for size in (0, *bench.scale.history):
            rate = bench.found.of(f"size.{kind}.{size}")
            assert rate, "it was sampled"
            bench.found.by_size[kind].append((float(size), 1e6 / rate))


async def _empty_pending(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE payments.stripe_webhook_events SET processed = true, outcome = 'applied'"
        " WHERE NOT processed AND outcome IS NULL"
    )
    await connection.close()


async def memory(bench: Bench) -> None:
    """The worker's resident memory while it drains a long backlog."""
    async with database(bench.postgres) as url, _queue(bench.rabbitmq):
        env = await bench.environment(url)
        await filling.backlog(url, bench.life, bench.scale.memory)
        connection = await asyncpg.connect(url)
        with service("worker", env, bench.directory) as worker:
            began = time.perf_counter()
            line: list[tuple[float, float]] = []
            while (time.perf_counter() < bench.deadline or not line) and await connection.fetchval(
                "SELECT EXISTS (SELECT FROM payments.stripe_webhook_events WHERE NOT processed"
                " AND outcome IS NULL) OR EXISTS (SELECT FROM payments.outbox_events"
                " WHERE published_at IS NULL AND unrouted_at IS NULL)"
            ):
                await asyncio.sleep(TICK)
                line.append((time.perf_counter() - began, worker.rss_mb()))
        left = await connection.fetchval(
            "SELECT count(*) FROM payments.stripe_webhook_events"
            " WHERE NOT processed AND outcome IS NULL"
        )
        await connection.close()
    drained = bench.scale.memory - left
    bench.found.note("memory.drained", drained)
    if left:
        bench.found.warnings.append(f"memory: time ran out after {drained} webhooks")
    for _, megabytes in line:
        bench.found.note("worker_rss_mb", megabytes)
    third = max(1, len(line) // 3)
    early, late = (median(rss for _, rss in part) for part in (line[:third], line[-third:]))
    bench.found.note("worker_rss_growth_mb", late - early)
    bench.found.note("memory.rate", drained / line[-1][0])


@asynccontextmanager
async def _queue(rabbitmq_url: str) -> AsyncIterator[None]:
    """A durable queue for every message, as the users service has one; emptied in the end."""
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("payments.events", "topic", durable=True)
        queue = await channel.declare_queue(
            QUEUE, durable=True, arguments={"x-max-length": 200_000}
        )
        await queue.bind(exchange, "#")
        yield
        await queue.purge()


async def _checkpoint(server_url: str) -> None:
    """Start every round from the same state of the disk."""
    connection = await asyncpg.connect(server_url)
    await connection.execute("CHECKPOINT")
    await connection.close()


def machine() -> dict[str, object]:
    """What it ran on."""
    return {
        "processors": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1024**3),
        "load_before": round(os.getloadavg()[0], 1),
        "python": sys.version.split()[0],
    }
