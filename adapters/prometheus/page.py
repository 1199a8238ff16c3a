"""The page that Prometheus scrapes: this process' counts, and the levels of the database.

Levels are the database's, so every process tells the same: take their maximum, never their sum.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from itertools import product
from time import monotonic
from typing import Final, Generic, TypeVar

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from adapters.prometheus.metrics import OTHER
from ports.health import HealthCheck
from ports.inbox import State
from ports.levels import MOST_COUNTED, Backlog, Levels, Population, Waiting
from ports.metrics import Page
from ports.unit_of_work import StorageUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Seconds that a reading is used for: several scrapers must not mean several times the queries.
BACKLOG_KEEPS: Final = 5.0
# This one reads every subscription. Where that takes long it is done less often, so that it is
# never more than so small a part of what the database does.
POPULATION_KEEPS: Final = 60.0
_KEEPS_FOR_EACH_SECOND: Final = 30.0
# A scrape gives up after ten seconds by default, and the counts must get out all the same.
BACKLOG_MAY_TAKE: Final = 3.0
POPULATION_MAY_TAKE: Final = 6.0


class PrometheusPage:
    """The counts of a registry, and levels read at the time of the scrape.

    `database` is asked by itself, since levels may be missing for other reasons than its being
    away. `statuses` and `plans` are those a subscription may have; any other counts as `other`.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        levels: Levels,
        database: HealthCheck,
        *,
        statuses: Collection[str],
        plans: Collection[str],
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._registry = registry
        self._statuses = frozenset(statuses)
        self._plans = frozenset(plans)
        self._health = _Kept(database.check, BACKLOG_KEEPS, BACKLOG_MAY_TAKE, monotonic)
        self._backlog = _Kept(levels.backlog, BACKLOG_KEEPS, BACKLOG_MAY_TAKE, monotonic)
        self._population = _Kept(
            levels.population,
            POPULATION_KEEPS,
            POPULATION_MAY_TAKE,
            monotonic,
            for_each_second=_KEEPS_FOR_EACH_SECOND,
        )
        self._levels = _LevelsNow()
        registry.register(self._levels)

    async def render(self, accept: str) -> Page:
        """The page in the format of the `Accept` header."""
        health, backlog, population = await asyncio.gather(
            self._health.read(), self._backlog.read(), self._population.read()
        )
        self._levels.families = [
            GaugeMetricFamily(
                "payments_database_up",
                "Whether the database could be worked with just now.",
                value=float(health is not None and health.well),
            ),
            *(_backlog_families(backlog) if backlog else ()),
            *(self._population_families(population) if population else ()),
        ]
        encode, content_type = choose_encoder(accept)
        return Page(content_type, encode(self._registry))

    def _population_families(self, population: Population) -> Iterator[Metric]:
        subscriptions = GaugeMetricFamily(
            "payments_subscriptions",
            "Subscriptions, by status and plan.",
            labels=["status", "plan"],
        )
        # What there is none of is told, too, or nobody could tell it from what is not counted.
        counts = Counter(dict.fromkeys(product(self._statuses, self._plans), 0))
        for (status, plan), count in population.subscriptions.items():
            known = status if status in self._statuses else OTHER
            counts[known, plan if plan in self._plans else OTHER] += count
        for labels, count in counts.items():
            subscriptions.add_metric(labels, count)
        yield subscriptions
        trials = GaugeMetricFamily(
            "payments_trials_ending",
            "Trials that end within so many days.",
            labels=["within_days"],
        )
        for days, count in population.trials_ending.items():
            trials.add_metric([str(days)], count)
        yield trials
        yield GaugeMetricFamily(
            "payments_duplicate_subscriptions",
            "Running subscriptions found beside another one of the same user.",
            value=population.duplicates,
        )


def _backlog_families(backlog: Backlog) -> Iterator[Metric]:
    counts = GaugeMetricFamily(
        "payments_inbox_webhooks",
        f"Webhooks that are not done with, by state; {MOST_COUNTED} at most are counted.",
        labels=["state"],
    )
    ages = GaugeMetricFamily(
        "payments_inbox_oldest_age_seconds",
        "How long ago the oldest of them was received, by state; 0 where there is none.",
        labels=["state"],
    )
    for state in State:
        waiting = backlog.inbox.get(state, Waiting())
        counts.add_metric([state], waiting.count)
        ages.add_metric([state], waiting.oldest)
    yield counts
    yield ages
    yield GaugeMetricFamily(
        "payments_outbox_messages",
        f"Messages that are not published yet; {MOST_COUNTED} at most are counted.",
        value=backlog.outbox.count,
    )
    yield GaugeMetricFamily(
        "payments_outbox_oldest_age_seconds",
        "How long ago the oldest of them was written; 0 where there is none.",
        value=backlog.outbox.oldest,
    )


class _LevelsNow(Collector):
    """Hands over what was just read: collecting itself must not wait."""

    def __init__(self) -> None:
        self.families: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        """The levels of this scrape."""
        yield from self.families


class _Kept(Generic[T]):
    """A reading that is used for a while, as is that it could not be had: None then."""

    def __init__(
        self,
        read: Callable[[], Awaitable[T]],
        seconds: float,
        may_take: float,
        monotonic: Callable[[], float],
        *,
        for_each_second: float = 0.0,
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._may_take = may_take
        self._for_each_second = for_each_second
        self._now = monotonic
        self._value: T | None = None
        self._until = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def read(self) -> T | None:
        """The reading, a new one where the last is too old."""
        async with self._one_at_a_time:
            begun = self._now()
            if begun >= self._until:
                self._value = await self._try()
                took = self._now() - begun
                self._until = begun + max(self._seconds, took * self._for_each_second)
            return self._value

    async def _try(self) -> T | None:
        try:
            async with asyncio.timeout(self._may_take):
                return await self._read()
        except (StorageUnavailable, TimeoutError) as error:
            log.warning("levels_not_read", error=str(error) or type(error).__name__)
            return None
