"""Where everything is measured: the servers, how much of everything, and how long it may take."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.findings import Findings
from benchmarks.load import Report
from benchmarks.meter import FOREIGN, Reading, foreign_share
from benchmarks.processes import ProcessFailed, Running, database, environment
from benchmarks.stripe_api import Collector, StripeApi
from benchmarks.workload import Life

# Which part of the time each measure may take, in their order. What one leaves is the next ones'.
SHARES: Final = {
    "start": 3,
    "latency": 8,
    "ingest": 24,
    "stages": 12,
    "end_to_end": 11,
    "table_size": 26,
    "memory": 16,
}
# Seconds that a measure has beyond its share to come to an end by itself, or it is cut off.
GRACE: Final = 15.0


class MeasureFailed(Exception):
    """What was found is not what was to be measured; the message says how it differs."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    minutes: float  # at most, once the peers are installed
    rounds: int  # quiet ones; at most twice as many in all
    seconds: float  # of one round of ingest
    backlog: int  # webhooks in one round of draining
    stream: int  # webhooks in one round end to end
    latency_seconds: float  # of one round
    history: Sequence[int]  # processed rows in the inbox
    memory: int  # webhooks drained while memory is watched
    starts: int


# Whole lives of workload.SUBSCRIBERS_AT_ONCE subscribers, where it is webhooks.
LONG: Final = Scale(14.0, 5, 3.0, 18_000, 24_000, 12.0, (500_000, 5_000_000), 1_000_000, 5)
SHORT: Final = Scale(1.5, 1, 0.7, 3_000, 3_000, 3.0, (100_000,), 6_000, 1)


class Budget:
    """Gives each measure a deadline, so that all of them end in time."""

    def __init__(self, seconds: float, measures: Sequence[str], now: float) -> None:
        self._ends = now + seconds
        self._left = [SHARES[name] for name in measures]

    def deadline(self, now: float) -> float:
        """Until when the next measure may go on: its share of what is left."""
        share = self._left[0] / sum(self._left)
        self._left = self._left[1:]
        return now + share * (self._ends - now)


@dataclass(slots=True)
class SampleUnderWay:
    """A sample that is being taken. `count`: how many webhooks or messages it is taken for."""

    count: int = 0
    values: list[tuple[str, float]] = field(default_factory=list)
    stopped: Reading | None = None

    def stop(self) -> None:
        """Count no processor time from now on."""
        self.stopped = Reading.take()

    def note(self, name: str, value: float) -> None:
        """Keep a value of it."""
        self.values.append((name, value))


@dataclass(slots=True)
class Bench:
    """Where everything runs, and what was found so far."""

    scale: Scale
    life: Life
    postgres: str
    rabbitmq: str
    # The process ids of the servers, by what they are called in the findings.
    servers: Mapping[str, int]
    stripe: StripeApi
    collector: Collector
    # The name of a migrated database, from which others are copied.
    migrated: str
    peers: Path
    directory: Path
    say: Callable[[str], None]
    found: Findings = field(default_factory=Findings)
    measure: str = ""
    deadline: float = math.inf
    _round: int = 0
    _spoilt: bool = False

    @property
    def left(self) -> float:
        """Seconds until the deadline of this measure; infinite where there is none."""
        return self.deadline - time.perf_counter()

    def rounds(self, *, warm_up: bool = False) -> Iterator[int]:
        """The numbers of the rounds; 0 is the one that warms up, and nothing of it is kept.

        A round that others have spoilt is taken again, as long as there is time. There is always
        one, and none is begun that would probably not end in time.
        """
        quiet, longest = 0, 0.0
        for number in range(0 if warm_up else 1, 2 * self.scale.rounds + 1):
            if quiet >= self.scale.rounds:
                break
            if number > 1 and self.left < longest:
                self.found.warn(f"{self.title}: time ran out after {number - 1} rounds")
                break
            self._round, self._spoilt = number, False
            began = time.perf_counter()
            yield number
            if number:
                longest = max(longest, time.perf_counter() - began)
                quiet += not self._spoilt
        if quiet < self.scale.rounds:
            self.found.warn(
                f"{self.title}: {quiet} rounds were quiet; in the others more than {FOREIGN:.0%} of"
                " the processors went to something else"
            )

    @property
    def title(self) -> str:
        """What is measured, in words."""
        return self.measure.replace("_", " ")

    @contextlib.contextmanager
    def sample(self, name: str, running: Running | None = None) -> Iterator[SampleUnderWay]:
        """Keeps what is noted in the context, with the processor time that each server, and
        `running`, took meanwhile for one webhook or message, and with what others took.
        """
        under_way, before = SampleUnderWay(), Reading.take()
        yield under_way
        after = under_way.stopped or Reading.take()
        foreign = foreign_share(before, after, os.getpid())
        self._spoilt = self._spoilt or foreign > FOREIGN
        if under_way.count:
            pids = {**self.servers, **({"cpu": running.pid} if running is not None else {})}
            for part, pid in pids.items():
                spent = after.family(pid) - before.family(pid)
                under_way.note(f"{part}_us.{name}", spent / under_way.count * 1e6)
        under_way.note(f"foreign.{name}", foreign)
        if self._round:
            for key, value in under_way.values:
                self.found.note(key, value, round_=self._round, foreign=foreign)

    def judge_generator(self, name: str, report: Report, sample: SampleUnderWay) -> None:
        """Keep how busy the generator was; warn where a rate may be its own, or too little of it
        was left to send, or something was refused.
        """
        sample.note(f"generator_busy.{name}", report.busy)
        if not self._round:
            return
        if report.is_bottleneck:
            self.found.warn(
                f"{name}: the load generator was busy {report.busy:.0%} of the time, so the rate"
                " may be its own"
            )
        if report.refused:
            self.found.warn(f"{name}: {report.refused} requests were refused")
        if report.exhausted and report.seconds < self.scale.seconds / 2:
            self.found.warn(
                f"{name}: the requests were used up after {report.seconds:.2f} seconds, so the"
                " rate is a short one's"
            )

    def spoil(self) -> None:
        """Have this round taken again, if there is time."""
        self._spoilt = True

    @asynccontextmanager
    async def database(self) -> AsyncIterator[dict[str, str]]:
        """The service's settings on a migrated database of its own, dropped in the end."""
        async with database(self.postgres, template=self.migrated) as url:
            yield self.environment(url)

    def environment(self, database_url: str) -> dict[str, str]:
        """The service's settings on a database."""
        return environment(database_url, self.rabbitmq, self.stripe.url)


Measure = Callable[[Bench], Coroutine[None, None, None]]


async def take(bench: Bench, measures: Sequence[Measure], seconds: float) -> None:
    """Take these measures within so many seconds. One that fails or is cut off is named in the
    findings, and the others are taken all the same.
    """
    names = [measure.__name__ for measure in measures]
    budget = Budget(seconds, names, time.perf_counter())
    for measure in measures:
        began = time.perf_counter()
        bench.measure, bench.deadline = measure.__name__, budget.deadline(began)
        if bench.left <= 0:
            bench.found.failed[bench.measure] = "no time was left for it"
            continue
        bench.say(f"{bench.title} …")
        limit = None if math.isinf(bench.left) else bench.left + GRACE
        try:
            async with asyncio.timeout(limit):
                await measure(bench)
        except TimeoutError as error:
            # The measure's own, or the limit's, which has no words.
            why = str(error) or f"cut off after {time.perf_counter() - began:.0f} seconds"
            bench.found.failed[bench.measure] = why
        except (MeasureFailed, ProcessFailed) as error:
            bench.found.failed[bench.measure] = str(error)
        why = bench.found.failed.get(bench.measure, "")
        bench.say(f"{bench.title}: {time.perf_counter() - began:.0f} s {why}")
