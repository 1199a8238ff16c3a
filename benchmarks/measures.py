"""The measures: what is done in each round, and what is kept of it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from typing import Final, TypeVar

import aio_pika
import asyncpg
import psutil

from benchmarks import filling, peers
from benchmarks.bench import Bench, MeasureFailed
from benchmarks.findings import Points, growth
from benchmarks.load import TICK, Order, Report
from benchmarks.peers import PeerMissing
from benchmarks.processes import (
    PATIENCE,
    ProcessFailed,
    Running,
    database,
    load,
    prepared_load,
    service,
    stage,
    started,
)
from benchmarks.workload import LIFE, MESSAGES_PER_LIFE, PATH, SUBSCRIBERS_AT_ONCE

Item = TypeVar("Item")

QUEUE: Final = "users"
# Webhooks a second in the measure of latency, and how many subscribers live side by side in it: so
# few that every second or so has all of a life, so many that nobody's webhooks overtake each other.
PACE: Final = 500
CROWD: Final = 100
# More than are under way at the same time.
WIDE_CROWD: Final = 200
# A pace is held if so much of it was accepted, and 99 % of it was sent at most so late.
HELD: Final = 0.98
LATE_MS: Final = 20.0
# Before latency is measured, everything has been connected and prepared for so long.
WARM_UP_SECONDS: Final = 2.0
# Of its time, how much a measure may take to fill tables.
FILLING: Final = 0.4
# Less than that says nothing of how memory grows.
LONG_RUN: Final = 50_000

_PENDING: Final = (
    "SELECT EXISTS (SELECT FROM payments.stripe_webhook_events"
    " WHERE NOT processed AND outcome IS NULL) OR EXISTS (SELECT FROM payments.outbox_events"
    " WHERE published_at IS NULL AND unrouted_at IS NULL)"
)


async def start(bench: Bench) -> None:
    """`payments serve` on a migrated database: seconds until it says that it is ready."""
    async with bench.database() as env:
        for _ in range(bench.scale.starts):
            with service("serve", env, bench.directory) as running:
                bench.found.note("ready_seconds", await running.until_ready())


async def latency(bench: Bench) -> None:
    """At a steady pace, from the row's first moment to its message's confirmation."""
    async with bench.database() as env, broker_queue(bench.rabbitmq):
        with service("serve", env, bench.directory) as serving:
            await serving.until_ready()
            await load(_paced(serving, WARM_UP_SECONDS), bench.life)
            await until_nothing_waits(env["DATABASE_URL"])
            why = None
            for number in bench.rounds():
                try:
                    await _latency_round(bench, env["DATABASE_URL"], serving)
                except MeasureFailed as failure:
                    why = failure
                    bench.spoil()
                    bench.found.warn(f"latency: round {number} is left out: {failure}")
    if why is not None and "latency.p50_ms" not in bench.found.samples:
        raise why


async def _latency_round(bench: Bench, database_url: str, serving: Running) -> None:
    """Raises MeasureFailed where the round was not what was ordered, or not all of it was done."""
    order = _paced(serving, bench.scale.latency_seconds)
    connection = await asyncpg.connect(database_url)
    since = await connection.fetchval("SELECT now()")
    async with prepared_load(order, bench.life) as generator:
        with bench.sample("latency", serving) as sample:
            report = await generator.send()
            sample.count = report.accepted
            bench.judge_generator("latency", report, sample)
            await until_nothing_waits(database_url)
            sample.stop()
            rows = await connection.fetch(
                "SELECT (extract(epoch FROM o.published_at - i.created_at) * 1000)::float8 AS took"
                " FROM payments.outbox_events o LEFT JOIN payments.stripe_webhook_events i"
                " ON i.traceparent = convert_from(o.body, 'UTF8')::jsonb ->> 'traceparent'"
                " WHERE o.created_at >= $1",
                since,
            )
            await connection.close()
            took = check_latencies([row["took"] for row in rows], report, order)
            percentiles = quantiles(took, n=100, method="inclusive")
            sample.note("latency.p50_ms", percentiles[49])
            sample.note("latency.p99_ms", percentiles[98])
            sample.note("latency.answer_p50_ms", report.p50_ms)
            sample.note("latency.answer_p99_ms", report.p99_ms)
            sample.note("latency.messages", len(took))


def check_latencies(took: Sequence[float | None], report: Report, order: Order) -> Sequence[float]:
    """The same; raises MeasureFailed unless the pace was held, every webhook was accepted, and
    each of their messages confirmed: what is missing would otherwise count as fast.
    """
    rate = order.rate or math.inf
    if report.late_ms > LATE_MS or report.rate < HELD * rate:
        raise MeasureFailed(
            f"the pace was not held: {report.rate:.0f} of {rate:.0f} a second, sent up to"
            f" {report.late_ms:.0f} ms late"
        )
    expected = messages_of(order.count)
    confirmed = [one for one in took if one is not None]
    if report.accepted != order.count or len(took) != expected or len(confirmed) != expected:
        raise MeasureFailed(
            f"{report.accepted} of {order.count} webhooks were accepted; of {expected} messages"
            f" there were {len(took)}, and {len(confirmed)} were confirmed"
        )
    return confirmed


def _paced(serving: Running, seconds: float) -> Order:
    """Whole lives, for about so long."""
    crowds = max(1, round(PACE * seconds / (CROWD * len(LIFE))))
    count = crowds * CROWD * len(LIFE)
    return Order(serving.port, count, count / PACE + PATIENCE, rate=PACE, crowd=CROWD)


async def ingest(bench: Bench) -> None:
    """Accepted webhooks a second, against everything else that takes them."""
    async with AsyncExitStack() as running:
        contenders = await _contenders(bench, running)
        rates: dict[str, float] = {}
        for number in bench.rounds(warm_up=True):
            await _checkpoint(bench.postgres)
            for name, (contender, path) in rotated(list(contenders.items()), number):
                await _flood(bench, contender, name, f"ingest.{name}", rates, path)
        if not bench.collector.exports:
            raise MeasureFailed("nothing was traced where everything should have been")


async def _flood(
    bench: Bench,
    contender: Running,
    name: str,
    key: str,
    rates: dict[str, float],
    path: str = PATH,
) -> None:
    """Send as fast as it is answered, and keep the rate as `key`. What `rates` knows of earlier
    rounds says how many requests a round takes; the first, which warms up, has few.
    """
    count = max(200, int(rates.get(key, 1_000.0) * bench.scale.seconds * 1.5))
    # Everybody gets all of a life, but no subscriber's webhooks at the same time.
    crowd = min(WIDE_CROWD, count // (2 * len(LIFE)))
    order = Order(contender.port, count, bench.scale.seconds, path=path, crowd=crowd)
    async with prepared_load(order, bench.life) as generator:
        with bench.sample(name, contender) as sample:
            report = await generator.send()
            sample.count = report.accepted
            sample.note(key, report.rate)
            bench.judge_generator(key, report, sample)
    rates[key] = max(report.rate, 1.0)


async def _contenders(bench: Bench, running: AsyncExitStack) -> dict[str, tuple[Running, str]]:
    """Everything that takes webhooks, each on a database of its own on the same server."""
    found: dict[str, tuple[Running, str]] = {}
    collected = {"OTEL_EXPORTER_OTLP_ENDPOINT": bench.collector.url}
    for name, more in (("payments", {}), ("traced", collected)):
        env = await running.enter_async_context(bench.database()) | more
        found[name] = (running.enter_context(service("api", env, bench.directory)), PATH)
    for variant in ("noop", "insert", "untold"):
        env = await running.enter_async_context(bench.database())
        command = [sys.executable, "-m", "benchmarks.variants", variant, "--port", "{port}"]
        one = running.enter_context(started(command, env, bench.directory, cwd=Path.cwd()))
        found[variant] = (one, PATH)
    for own, _ in found.values():
        await own.until_ready()
    with _missing(bench, "sync_engine"):
        found["sync_engine"] = (await _sync_engine(bench, running), "/")
    with _missing(bench, "dj_stripe"):
        url = await running.enter_async_context(database(bench.postgres))
        site = running.enter_context(
            peers.dj_stripe(bench.peers, url, bench.stripe.url, bench.directory)
        )
        await site.until_ready("/")
        found["dj_stripe"] = (site, peers.DJ_STRIPE_PATH)
    return found


async def _sync_engine(bench: Bench, running: AsyncExitStack) -> Running:
    url = await running.enter_async_context(database(bench.postgres))
    engine = running.enter_context(peers.sync_engine(bench.peers, url, bench.directory))
    await engine.until_ready("/")
    return engine


@contextlib.contextmanager
def _missing(bench: Bench, name: str) -> Iterator[None]:
    try:
        yield
    except (PeerMissing, ProcessFailed) as error:
        bench.found.missing[name] = str(error)
        bench.say(f"  without {name}: {error}")


async def stages(bench: Bench) -> None:
    """The worker's two stages, and publishing without them, all on the same messages."""
    for number in bench.rounds():
        # Before the tables are filled: right after it, the first change of every page would be
        # written to the log as a whole page, at the cost of whoever makes it.
        await _checkpoint(bench.postgres)
        async with bench.database() as env:
            url = env["DATABASE_URL"]
            webhooks = await filling.backlog(url, bench.life, bench.scale.backlog)
            # The outbox is empty after `relay`, so that has to come last.
            for name in ("drain", *rotated(["raw", "aio_pika"], number), "relay"):
                async with broker_queue(bench.rabbitmq):
                    with bench.sample(name) as sample:
                        took = await stage(env, bench.directory, name)
                        sample.count = took.count
                        sample.note(f"stage.{name}", took.rate)
                        sample.note(f"cpu_us.{name}", took.cpu / took.count * 1e6)
                expected = webhooks if name == "drain" else messages_of(webhooks)
                if took.count < expected:
                    raise MeasureFailed(f"{name}: {took.count} of {expected} were done")


async def end_to_end(bench: Bench) -> None:
    """From the first webhook sent to the last message confirmed, next to what only upserts."""
    async with AsyncExitStack() as running:
        env = await running.enter_async_context(bench.database())
        serving = running.enter_context(service("serve", env, bench.directory))
        await serving.until_ready()
        contenders = ["payments"]
        with _missing(bench, "sync_engine"):
            engine = await _sync_engine(bench, running)
            contenders.append("sync_engine")
        for number in bench.rounds(warm_up=True):
            lives = bench.scale.stream // (1 if number else 4) // len(LIFE)
            await _checkpoint(bench.postgres)
            for name in rotated(contenders, number):
                if name == "payments":
                    await _stream(bench, env["DATABASE_URL"], serving, lives)
                else:
                    await _upsert(bench, engine, lives)


async def _upsert(bench: Bench, engine: Running, lives: int) -> None:
    async with prepared_load(_stream_of(engine, lives, "/"), bench.life) as generator:
        with bench.sample("upsert", engine) as sample:
            report = await generator.send()
            sample.count = report.accepted
            sample.note("end_to_end.sync_engine", report.rate)
            bench.judge_generator("end to end, sync_engine", report, sample)


async def _stream(bench: Bench, database_url: str, serving: Running, lives: int) -> None:
    """Send so many lives as fast as they are accepted; wait until all that follows is confirmed."""
    async with (
        broker_queue(bench.rabbitmq) as queue,
        prepared_load(_stream_of(serving, lives), bench.life) as generator,
    ):
        with bench.sample("serve", serving) as sample:
            began, clock = time.perf_counter(), time.time()
            sending = asyncio.create_task(generator.send())
            arrived = await _watch(queue, sending, began)
            report = await sending
            await until_nothing_waits(database_url)
            sample.stop()
            connection = await asyncpg.connect(database_url)
            # The worker's clock, which is this machine's.
            last = await connection.fetchval(
                "SELECT extract(epoch FROM max(published_at))::float8 FROM payments.outbox_events"
            )
            await connection.close()
            assert last is not None, "whole lives have messages"
            sample.count = report.accepted
            sample.note("end_to_end.payments", report.accepted / (last - clock))
            bench.judge_generator("end to end", report, sample)
    bench.found.timelines = _timelines(report, arrived)


def _stream_of(running: Running, lives: int, path: str = PATH) -> Order:
    crowd = min(lives, SUBSCRIBERS_AT_ONCE)
    return Order(running.port, lives * len(LIFE), PATIENCE * 2, path=path, crowd=crowd)


async def _watch(
    queue: aio_pika.abc.AbstractQueue, sending: asyncio.Task[Report], began: float
) -> Points:
    """How many messages were in the queue at which second, until all are sent and none comes.

    The broker is asked, and only now and then: to count in our database would slow down us, and
    nobody else.
    """
    seen: Points = [(0.0, 0.0)]
    while not sending.done() or len(seen) < 3 or seen[-1][1] > seen[-2][1]:
        await asyncio.sleep(TICK)
        there = await queue.channel.declare_queue(QUEUE, passive=True)
        count = there.declaration_result.message_count or 0
        seen.append((time.perf_counter() - began, float(count)))
    return seen


def _timelines(report: Report, arrived: Points) -> dict[str, Points]:
    """Rates against time: webhooks accepted, messages confirmed."""
    accepted = [
        ((tick + 1) * TICK, count / TICK) for tick, count in enumerate(report.accepted_by_tick)
    ]
    confirmed = [
        (then, (count - before) / (then - earlier))
        for (earlier, before), (then, count) in pairwise(arrived)
    ]
    return {"webhooks accepted": accepted, "messages confirmed": confirmed}


async def table_size(bench: Bench) -> None:
    """Ingest and drain with a long history in the inbox, statistics stale, and without any."""
    backlog = bench.scale.backlog // 2
    filling_time = FILLING * bench.left / sum(bench.scale.history)
    rates: dict[str, float] = {}
    async with AsyncExitStack() as running:
        sides: dict[int, tuple[str, dict[str, str], Running]] = {}
        for wanted in (0, *bench.scale.history):
            env = await running.enter_async_context(bench.database())
            size = await filling.history(env["DATABASE_URL"], wanted, filling_time * wanted)
            if size < wanted:
                bench.found.warn(f"table size: there was time for {size} of {wanted} rows")
            api = running.enter_context(service("api", env, bench.directory))
            await api.until_ready()
            sides[size] = (env["DATABASE_URL"], env, api)
        for number in bench.rounds(warm_up=True):
            await _checkpoint(bench.postgres)
            for size, (url, env, api) in rotated(list(sides.items()), number):
                await _flood(bench, api, f"size.{size}", f"size.ingest.{size}", rates)
                await _empty_pending(url)
                await filling.backlog(url, bench.life, backlog)
                with bench.sample(f"size.{size}") as sample:
                    took = await stage(env, bench.directory, "drain")
                    sample.note(f"size.drain.{size}", took.rate)
    for kind in ("ingest", "drain"):
        for size in sides:
            rate = bench.found.of(f"size.{kind}.{size}")
            if rate:
                bench.found.by_size[kind].append((float(size), 1e6 / rate))


async def _empty_pending(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE payments.stripe_webhook_events SET processed = true, outcome = 'applied'"
        " WHERE NOT processed AND outcome IS NULL"
    )
    await connection.close()


async def memory(bench: Bench) -> None:
    """The worker's resident memory while it drains a long backlog, or as much as there is time
    for.
    """
    async with bench.database() as env, broker_queue(bench.rabbitmq):
        url = env["DATABASE_URL"]
        there = await filling.backlog(url, bench.life, bench.scale.memory, FILLING * bench.left)
        connection = await asyncpg.connect(url)
        with service("worker", env, bench.directory) as worker:
            began = time.perf_counter()
            # Resident memory by the number of webhooks drained.
            line: Points = []
            left = there
            while left and (bench.left > 0 or not line):
                await asyncio.sleep(TICK)
                # The first that waits: they are worked off about in their order.
                left = there - await connection.fetchval(
                    "SELECT coalesce(min(seq) - 1, $1) FROM payments.stripe_webhook_events"
                    " WHERE NOT processed AND outcome IS NULL",
                    there,
                )
                line.append((float(there - left), worker.rss_mb()))
            while bench.left > 0 and await waits(url):
                await asyncio.sleep(TICK)
                line.append((float(there), worker.rss_mb()))
            seconds = time.perf_counter() - began
        left = await connection.fetchval(
            "SELECT count(*) FROM payments.stripe_webhook_events"
            " WHERE NOT processed AND outcome IS NULL"
        )
        await connection.close()
    drained = there - left
    if drained < bench.scale.memory:
        bench.found.warn(
            f"memory: there was time for {drained} of {bench.scale.memory} webhooks;"
            ' ARGS="--only memory" takes as long as it takes'
        )
    for _, megabytes in line:
        bench.found.note("worker_rss_mb", megabytes)
    bench.found.note("memory.drained", drained)
    bench.found.note("memory.rate", drained / seconds)
    if drained >= LONG_RUN:
        bench.found.note("worker_rss_growth_mb", growth(line))
    bench.found.by_drained = line


async def waits(database_url: str) -> bool:
    """Whether a webhook waits to be worked off, or a message to be published."""
    connection = await asyncpg.connect(database_url)
    try:
        return bool(await connection.fetchval(_PENDING))
    finally:
        await connection.close()


async def until_nothing_waits(database_url: str, seconds: float = PATIENCE) -> None:
    """Raises MeasureFailed where something still waits after so long."""
    began = time.perf_counter()
    while await waits(database_url):
        if time.perf_counter() - began > seconds:
            raise MeasureFailed(f"after {seconds:.0f} seconds some messages still wait")
        await asyncio.sleep(0.1)


def messages_of(webhooks: int) -> int:
    """How many messages come of so many webhooks, in whole lives."""
    return webhooks // len(LIFE) * MESSAGES_PER_LIFE


def rotated(items: Sequence[Item], number: int) -> list[Item]:
    """Everybody in turn begins."""
    first = number % len(items)
    return [*items[first:], *items[:first]]


@asynccontextmanager
async def broker_queue(rabbitmq_url: str) -> AsyncIterator[aio_pika.abc.AbstractQueue]:
    """A durable queue for every message, as the users service has one; emptied in the end."""
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("payments.events", "topic", durable=True)
        queue = await channel.declare_queue(
            QUEUE, durable=True, arguments={"x-max-length": 200_000}
        )
        await queue.bind(exchange, "#")
        await queue.purge()
        yield queue
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
