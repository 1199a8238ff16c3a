"""What is said of samples, and what is written."""

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.findings import Findings, growth
from benchmarks.meter import FOREIGN, Reading, foreign_share

REQUIRED = {
    "ingest_vs_noop",
    "ingest_vs_insert_per_request",
    "ingest_vs_sync_engine",
    "ingest_vs_dj_stripe",
    "drain_vs_publish",
    "relay_vs_raw",
    "relay_vs_aio_pika",
    "end_to_end_vs_sync_engine",
    "latency_p50_ms",
    "latency_p99_ms",
    "grown_vs_empty",
    "worker_rss_mb",
    "ready_seconds",
}


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    found = Findings()
    # The machine was ten times as fast in the second round, and the third has no counterpart.
    for round_, ours, theirs in ((1, 10.0, 5.0), (2, 300.0, 100.0), (4, 40.0, 10.0)):
        found.note("ours", ours, round_=round_)
        found.note("theirs", theirs, round_=round_)
    found.note("ours", 1.0, round_=3)
    assert found.ratio("ours", "theirs") == 3.0  # of the medians: 25 / 10
    assert found.ratio("ours", "nobody's") is None


def test_rounds_that_others_spoilt_count_only_where_there_are_no_better() -> None:
    found = Findings()
    for round_, ours, foreign in ((1, 2.0, 0.0), (2, 8.0, 2 * FOREIGN), (3, 9.0, 3 * FOREIGN)):
        found.note("ours", ours, round_=round_, foreign=foreign)
        found.note("theirs", 1.0, round_=round_)
    assert found.ratio("ours", "theirs") == 2.0
    assert found.of("ours") == 2.0
    found.samples["ours"] = found.samples["ours"][1:]
    assert found.ratio("ours", "theirs") == 8.5


def test_growth_leaves_out_how_it_began() -> None:
    start = [(0.0, 15.0 + n) for n in range(50)]  # the process is loading its code
    flat = [(float(n), 80.0 if n < 2 else 120.0) for n in range(11)]
    assert growth(start + flat) == 0
    leaking = [(float(n), 100.0 + 3 * n) for n in range(11)]
    assert growth(start + leaking) == pytest.approx(30)
    assert growth(start) == 0


def test_what_others_take_is_what_we_do_not() -> None:
    parents = {10: 1, 11: 10, 12: 11, 20: 1}
    before = Reading(0.0, 100.0, {10: 1.0, 11: 2.0, 12: 3.0, 20: 50.0}, parents)
    after = Reading(2.0, 103.0, {10: 1.5, 11: 2.5, 12: 4.0, 20: 51.0}, parents)
    assert after.family(10) - before.family(10) == 2.0
    # One of three seconds, on all processors for two.
    share = foreign_share(before, after, own=10)
    busy = foreign_share(before, after, own=999)
    assert share == pytest.approx(busy / 3)


def test_every_ratio_that_was_asked_for_is_written_be_it_measured_or_not(tmp_path: Path) -> None:
    found = Findings()
    report.write(found, {}, tmp_path)
    empty = json.loads((tmp_path / "bench.json").read_text())
    assert empty["ratios"].keys() >= REQUIRED
    assert {empty["ratios"][key] for key in REQUIRED} == {None}
    assert "none" in report.table(empty)

    for name, value in (("ingest.payments", 900.0), ("ingest.noop", 1_000.0)):
        for round_ in (1, 2):
            found.note(name, value * round_, round_=round_)
    found.failed["latency"] = "the pace was not held"
    report.write(found, {}, tmp_path)
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["ratios"]["ingest_vs_noop"] == 0.9
    assert written["medians"]["ingest.payments"] == 1350
    assert written["spreads"]["ingest.payments"] == [900, 1800]
    assert "not measured, latency: the pace was not held" in report.table(written)


def test_every_ratio_has_a_line_in_the_table() -> None:
    assert report.ratios(Findings()).keys() == {key for key, *_ in report.GOALS}


def test_the_largest_history_is_compared_with_none_and_the_worse_of_two_counts() -> None:
    found = Findings()
    for size, ingest, drain in ((0, 100.0, 50.0), (1_000, 10.0, 10.0), (5_000, 95.0, 40.0)):
        found.note(f"size.ingest.{size}", ingest)
        found.note(f"size.drain.{size}", drain)
        found.by_size["ingest"].append((float(size), 1.0))
    assert report.ratios(found)["grown_vs_empty"] == 0.8


def test_plots_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    found = Findings(timelines={"webhooks accepted": [(0.5, 10.0), (1.0, 20.0)]})
    report.write(found, {}, tmp_path)
    assert (tmp_path / "rate-against-time.svg").exists()
    report.write(Findings(), {}, tmp_path)
    assert not list(tmp_path.glob("*.svg"))
