"""How long the measures may take, and what becomes of one that cannot be taken."""

import asyncio
import time
from pathlib import Path

import pytest

from benchmarks import bench as benches
from benchmarks import measures, profile
from benchmarks.bench import SHARES, SHORT, Bench, Budget, MeasureFailed
from benchmarks.load import Order, Report
from benchmarks.stripe_api import Collector, StripeApi
from benchmarks.workload import Life


@pytest.fixture
def bench() -> Bench:
    """Give a bench without servers."""
    return Bench(
        SHORT, Life([], [], {}), "", "", {}, StripeApi({}), Collector(), "", Path(), Path(), print
    )


def test_all_measures_end_in_time_and_what_one_leaves_is_the_next_ones() -> None:
    names = list(SHARES)
    budget, now = Budget(600.0, names, now=100.0), 100.0
    for _ in names:
        now = budget.deadline(now)  # each takes all it may
    assert now == pytest.approx(700.0)

    budget = Budget(600.0, ["start", "memory"], now=100.0)
    budget.deadline(100.0)
    assert budget.deadline(100.0) == pytest.approx(700.0)  # the first took none


def test_every_measure_has_a_share() -> None:
    assert all(callable(getattr(measures, name)) for name in SHARES)


async def test_a_measure_that_fails_is_named_and_the_others_are_taken(bench: Bench) -> None:
    async def latency(_: Bench) -> None:
        raise MeasureFailed("the pace was not held")

    async def memory(bench: Bench) -> None:
        bench.found.note("worker_rss_mb", 100.0)

    await benches.take(bench, [latency, memory], seconds=60)
    assert bench.found.failed == {"latency": "the pace was not held"}
    assert bench.found.of("worker_rss_mb") == 100.0


async def test_no_measure_is_begun_when_the_time_is_over(bench: Bench) -> None:
    async def memory(bench: Bench) -> None:
        bench.found.note("worker_rss_mb", 100.0)

    await benches.take(bench, [memory], seconds=0)
    assert bench.found.failed == {"memory": "no time was left for it"}
    assert not bench.found.samples


async def test_a_measure_that_does_not_end_is_cut_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ingest(_: Bench) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(benches, "GRACE", 0.05)
    await benches.take(bench, [ingest], seconds=0.05)
    assert "cut off after" in bench.found.failed["ingest"]


def test_rounds_that_were_spoilt_are_taken_again_but_not_for_ever(bench: Bench) -> None:
    bench.measure = "stages"
    taken = []
    for number in bench.rounds(warm_up=True):
        taken.append(number)
        bench.spoil()
    assert taken == [0, 1, 2]
    assert list(bench.rounds()) == [1]
    assert any("0 rounds were quiet" in warning for warning in bench.found.warnings)


def test_no_round_is_begun_that_would_end_too_late(bench: Bench) -> None:
    bench.measure, bench.deadline = "table_size", time.perf_counter()
    taken = []
    for number in bench.rounds():
        taken.append(number)
        bench.spoil()
    assert taken == [1]
    assert "table size: time ran out after 1 rounds" in bench.found.warnings


async def test_a_sample_is_kept_with_its_round_and_a_warm_up_is_not(bench: Bench) -> None:
    for _ in bench.rounds(warm_up=True):
        with bench.sample("drain") as sample:
            sample.note("stage.drain", 7.0)
    assert {sample.round for sample in bench.found.samples["stage.drain"]} <= {1, 2}
    assert bench.found.of("foreign.drain") is not None


ORDER = Order(0, 12, 1.0, rate=500.0)


def held(accepted: int = 12, *, seconds: float = 0.024, late_ms: float = 1.0) -> Report:
    return Report(accepted=accepted, seconds=seconds, late_ms=late_ms)


def test_latencies_are_those_of_every_message() -> None:
    assert measures.check_latencies([1.0] * 10, held(), ORDER) == [1.0] * 10


@pytest.mark.parametrize(
    ("took", "report"),
    [
        ([1.0] * 9 + [None], held()),  # one was not published: it would drop out of the percentile
        ([1.0] * 9, held()),
        ([1.0] * 11, held()),
        ([], held()),
        ([1.0] * 10, held(11)),
        ([1.0] * 10, held(seconds=0.026)),  # 460 a second
        ([1.0] * 10, held(late_ms=100.0)),
    ],
)
def test_there_are_no_latencies_of_some_messages_or_at_another_pace(
    took: list[float | None], report: Report
) -> None:
    with pytest.raises(MeasureFailed):
        measures.check_latencies(took, report, ORDER)


def test_everybody_begins_in_turn() -> None:
    assert [measures.rotated("abc", number)[0] for number in range(1, 5)] == list("bcab")
    assert sorted(measures.rotated("abc", 2)) == list("abc")


def test_samples_of_a_profile_are_counted_by_step() -> None:
    stacks = [
        "run (asyncio/runners.py:1);__call__ (service/receive_webhook.py:60);"
        "verify (adapters/stripe/signatures.py:30) 6",
        "run (asyncio/runners.py:1);__call__ (service/receive_webhook.py:90);"
        "info (structlog/_base.py:9);encode (msgspec/x.py:1) 3",
        "run (asyncio/runners.py:1);run (adapters/http/server.py:33) 1",
    ]
    samples = profile.by_step(stacks)
    assert samples == {
        "adapters/stripe/signatures.py: verify": 6,
        "log lines": 3,
        "event loop, reading and writing": 1,
    }
    assert "60.0 µs   60%  adapters/stripe/signatures.py: verify" in profile.table(
        "a webhook taken", 100.0, samples
    )
