"""What is scraped: bounded labels, levels that are kept for a while and fail softly."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from adapters.prometheus.metrics import CollectorRegistry, PrometheusMetrics
from adapters.prometheus.page import BACKLOG_KEEPS, POPULATION_KEEPS, PrometheusPage
from ports.health import Health
from ports.inbox import State
from ports.levels import Backlog, Population, Waiting
from ports.metrics import Metrics
from ports.unit_of_work import StorageUnavailable
from service.uncounted import Uncounted

VERSION = "2026-10-28.endive"


@dataclass
class SomeLevels:
    """Levels that can be told to fail, and count how often they are read."""

    away: bool = False
    read: list[str] = field(default_factory=list)
    pass_time: Callable[[], None] = lambda: None

    async def backlog(self) -> Backlog:
        self._read("backlog")
        return Backlog({State.DEAD: Waiting(2, 3600.0)}, Waiting(5, 1.5))

    async def population(self) -> Population:
        self._read("population")
        self.pass_time()
        counts = {("active", "general"): 3, ("frozen", "general"): 1, ("thawed", "general"): 1}
        return Population(counts, {3: 7, 30: 9}, 1)

    def _read(self, what: str) -> None:
        if self.away:
            raise StorageUnavailable("the database is away")
        self.read.append(what)


@dataclass
class SomeDatabase:
    """A database that can be told to be away."""

    away: bool = False

    async def check(self) -> Health:
        return Health("database", well=not self.away)


@dataclass
class Scraper:
    """Scrapes a page, at a time of its own."""

    levels: SomeLevels = field(default_factory=SomeLevels)
    database: SomeDatabase = field(default_factory=SomeDatabase)
    now: float = 100.0

    def __post_init__(self) -> None:
        registry = CollectorRegistry()
        self.metrics = PrometheusMetrics(
            registry, event_types={"invoice.paid"}, api_version=VERSION
        )
        self.page = PrometheusPage(
            registry,
            self.levels,
            self.database,
            statuses=["active", "paused"],
            plans=["general"],
            monotonic=lambda: self.now,
        )

    async def scrape(self) -> dict[str, float]:
        """Every sample, by its name and labels as they stand on the page."""
        page = await self.page.render("")
        return {
            f"{sample.name}{sorted(sample.labels.items()) or ''}": sample.value
            for family in text_string_to_metric_families(page.body.decode())
            for sample in family.samples
        }


async def test_levels_are_on_the_page() -> None:
    found = await Scraper().scrape()

    assert found["payments_inbox_webhooks[('state', 'dead')]"] == 2
    assert found["payments_inbox_webhooks[('state', 'pending')]"] == 0
    assert found["payments_inbox_oldest_age_seconds[('state', 'dead')]"] == 3600
    assert found["payments_outbox_messages"] == 5
    assert found["payments_outbox_oldest_age_seconds"] == 1.5
    assert found["payments_trials_ending[('within_days', '3')]"] == 7
    assert found["payments_duplicate_subscriptions"] == 1
    assert found["payments_database_up"] == 1


async def test_a_status_nobody_knows_counts_as_other() -> None:
    found = await Scraper().scrape()

    assert found["payments_subscriptions[('plan', 'general'), ('status', 'active')]"] == 3
    assert found["payments_subscriptions[('plan', 'general'), ('status', 'other')]"] == 2
    assert found["payments_subscriptions[('plan', 'general'), ('status', 'paused')]"] == 0
    assert not any("frozen" in name for name in found)


async def test_a_reading_is_used_for_a_while() -> None:
    scraper = Scraper()
    for _ in range(3):
        await scraper.scrape()
    assert scraper.levels.read == ["backlog", "population"]
    scraper.now += BACKLOG_KEEPS
    await scraper.scrape()
    assert scraper.levels.read == ["backlog", "population", "backlog"]
    scraper.now += POPULATION_KEEPS
    await scraper.scrape()
    assert scraper.levels.read[3:] == ["backlog", "population"]


async def test_without_the_database_the_counts_are_there_and_the_levels_are_not() -> None:
    scraper = Scraper()
    await scraper.scrape()
    scraper.metrics.webhook_turned_away()
    scraper.levels.away = scraper.database.away = True
    scraper.now += POPULATION_KEEPS

    found = await scraper.scrape()

    assert found["payments_database_up"] == 0
    assert found["payments_webhooks_turned_away_total"] == 1
    assert not any(name.startswith(("payments_inbox", "payments_outbox")) for name in found)

    scraper.levels.away = scraper.database.away = False
    scraper.now += BACKLOG_KEEPS
    scraper.now += POPULATION_KEEPS
    assert (await scraper.scrape())["payments_database_up"] == 1


async def test_levels_that_cannot_be_read_do_not_make_a_database_that_is_there_look_away() -> None:
    scraper = Scraper()
    scraper.levels.away = True

    found = await scraper.scrape()

    assert found["payments_database_up"] == 1
    assert not any(name.startswith("payments_inbox") for name in found)


async def test_a_reading_that_failed_is_not_tried_again_by_the_next_scrape() -> None:
    scraper = Scraper()
    scraper.levels.away = True
    await scraper.scrape()
    scraper.levels.away = False

    assert "payments_outbox_messages" not in await scraper.scrape()
    assert scraper.levels.read == []
    scraper.now += BACKLOG_KEEPS
    assert "payments_outbox_messages" in await scraper.scrape()


async def test_what_takes_long_to_read_is_read_less_often() -> None:
    scraper = Scraper()

    def pass_five_seconds() -> None:
        scraper.now += 5

    scraper.levels.pass_time = pass_five_seconds
    await scraper.scrape()
    scraper.now += 2 * POPULATION_KEEPS

    await scraper.scrape()
    assert scraper.levels.read == ["backlog", "population", "backlog"]

    scraper.now += POPULATION_KEEPS
    await scraper.scrape()
    assert scraper.levels.read.count("population") == 2


@given(event_types=st.lists(st.text(), min_size=1))
def test_an_event_type_nobody_knows_counts_as_other(event_types: list[str]) -> None:
    scraper = Scraper()
    for event_type in [*event_types, "invoice.paid"]:
        scraper.metrics.webhook_received(event_type, VERSION, new=True)
        scraper.metrics.webhook_judged(event_type, "applied", 0.1)

    labels = {
        sample.labels["type"]
        for family in scraper.page._registry.collect()
        for sample in family.samples
        if "type" in sample.labels
    }
    assert labels <= {"other", "invoice.paid"}


async def test_a_webhook_of_another_api_version_is_counted() -> None:
    scraper = Scraper()
    for version in (VERSION, "2020-08-27", None):
        scraper.metrics.webhook_received("invoice.paid", version, new=True)

    assert (await scraper.scrape())["payments_webhooks_of_other_api_version_total"] == 2


async def test_how_long_a_webhook_took_counts_once_it_is_done_with() -> None:
    scraper = Scraper()
    for outcome in ("retrying", "held", "applied", "dead"):
        scraper.metrics.webhook_judged("invoice.paid", outcome, 2.0)

    found = await scraper.scrape()
    assert found["payments_webhook_processing_seconds_count"] == 2
    assert found["payments_webhook_processing_seconds_sum"] == 4


async def test_a_refused_key_is_seen_as_a_rise() -> None:
    scraper = Scraper()
    assert (await scraper.scrape())["payments_stripe_key_refused_total"] == 0
    scraper.metrics.provider_called("PriceService.list", "forbidden", 0.1)
    scraper.metrics.provider_called("PriceService.list", "refused", 0.1)
    assert (await scraper.scrape())["payments_stripe_key_refused_total"] == 1


async def test_an_error_of_a_name_nobody_knows_counts_as_other() -> None:
    scraper = Scraper()
    scraper.metrics.expect(errors=["job_failed"])
    for name in ("job_failed", "of_the_sandbox", "of_another"):
        scraper.metrics.error_logged(name)

    found = await scraper.scrape()
    assert found["payments_errors_logged_total[('event', 'job_failed')]"] == 1
    assert found["payments_errors_logged_total[('event', 'other')]"] == 2


async def test_what_may_happen_is_shown_before_it_does() -> None:
    scraper = Scraper()
    scraper.metrics.expect(
        rejections=["signature_mismatch"],
        payments=["declined"],
        messages=["a.v1"],
        errors=["job_failed"],
    )

    found = await scraper.scrape()
    assert found["payments_errors_logged_total[('event', 'job_failed')]"] == 0
    new = "payments_webhooks_received_total[('outcome', 'new'), ('type', 'invoice.paid')]"
    assert found[new] == 0
    assert found["payments_webhooks_rejected_total[('reason', 'signature_mismatch')]"] == 0
    assert found["payments_invoice_payments_total[('outcome', 'declined')]"] == 0
    name = "payments_messages_published_total[('result', 'unroutable'), ('type', 'a.v1')]"
    assert found[name] == 0


async def test_names_follow_the_conventions_of_prometheus() -> None:
    scraper = Scraper()
    await scraper.scrape()
    for family in scraper.page._registry.collect():
        if not family.name.startswith("payments_"):
            continue
        assert re.fullmatch(r"payments_[a-z_]+", family.name)
        assert family.documentation.endswith((".", "?"))
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=1.0.0", "text/plain"])
async def test_a_scraper_gets_the_format_it_asks_for(accept: str) -> None:
    page = await Scraper().page.render(accept)

    assert page.content_type.startswith(accept.split(";", maxsplit=1)[0])
    assert page.body.endswith(b"# EOF\n") is accept.startswith("application/")


def test_who_does_not_count_keeps_the_same_promise() -> None:
    nobody: Metrics = Uncounted()
    somebody = Scraper().metrics
    for name in (name for name in vars(Metrics) if not name.startswith("_")):
        assert callable(getattr(nobody, name))
        assert callable(getattr(somebody, name))
