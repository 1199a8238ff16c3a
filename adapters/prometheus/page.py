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
from ports.inbox import State
from ports.levels import Backlog, Levels, Population, Waiting
from ports.metrics import Page
from ports.unit_of_work import StorageUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Seconds that a reading is used for: several scrapers must not mean several times the queries.
BACKLOG_KEEPS: Final = 5.0
# This one reads every subscription.
POPULATION_KEEPS: Final = 60.0
# A scrape gives up after ten seconds by default, and the counts must get out all the same.
READING_MAY_TAKE: Final = 3.0


class PrometheusPage:
    """The counts of a registry, and levels read at the time of the scrape.

    `statuses` and `plans` are those a subscription may have; any other counts as `other`.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        levels: Levels,
        *,
        statuses: Collection[str],
        plans: Collection[str],
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._registry = registry
        self._statuses = frozenset(statuses)
        self._plans = frozenset(plans)
        self._backlog = _Kept(levels.backlog, BACKLOG_KEEPS, monotonic)
        self._population = _Kept(levels.population, POPULATION_KEEPS, monotonic)
        self._levels = _LevelsNow()
        registry.register(self._levels)

    async def render(self, accept: str) -> Page:
        """The page in the format of the `Accept` header."""
        backlog, population = await asyncio.gather(self._backlog.read(), self._population.read())
        well = backlog is not None and population is not None
        self._levels.families = [
            GaugeMetricFamily(
                "payments_database_up",
                "Whether the levels could be read from the database just now.",
                value=float(well),
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
        "payments_inbox_webhooks", "Webhooks that are not done with, by state.", labels=["state"]
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
        "Messages that are not published yet.",
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
    """A reading that is used for a while; None where it could not be had."""

    def __init__(
        self, read: Callable[[], Awaitable[T]], seconds: float, monotonic: Callable[[], float]
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._now = monotonic
        self._value: T | None = None
        self._until = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def read(self) -> T | None:
        """The reading, a new one where the last is too old."""
        async with self._one_at_a_time:
            if self._value is None or self._now() >= self._until:
                self._value = await self._try()
                self._until = self._now() + self._seconds
            return self._value

    async def _try(self) -> T | None:
        try:
            async with asyncio.timeout(READING_MAY_TAKE):
                return await self._read()
        except (StorageUnavailable, TimeoutError) as error:
            log.warning("levels_not_read", error=str(error) or type(error).__name__)
            return None
