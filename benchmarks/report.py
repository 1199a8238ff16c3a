"""What was found: a table, build/bench.json and the plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.findings import Findings
from benchmarks.plot import line_plot

# key, what it is, goal, whether more is better.
GOALS: Final[Sequence[tuple[str, str, float, bool]]] = (
    ("ingest_vs_noop", "ingest / same handler without a database", 0.65, True),
    ("ingest_vs_insert_per_request", "ingest / one INSERT per request", 1.8, True),
    ("ingest_vs_sync_engine", "ingest / stripe-sync-engine", 1.7, True),
    ("ingest_vs_dj_stripe", "ingest / dj-stripe, 2 workers", 30.0, True),
    ("drain_vs_publish", "backlog drained / plain aio-pika publishing", 1.5, True),
    ("relay_vs_raw", "relay / publishing alone, same client", 0.85, True),
    ("relay_vs_aio_pika", "relay / plain aio-pika, window 500", 1.2, True),
    ("end_to_end_vs_sync_engine", "end to end / stripe-sync-engine", 1.0, True),
    ("latency_p50_ms", "accepted → confirmed at 500/s, p50 in ms", 8.0, False),
    ("latency_p99_ms", "accepted → confirmed at 500/s, p99 in ms", 30.0, False),
    ("grown_vs_empty", "long history, stale statistics / empty", 0.9, True),
    ("worker_rss_mb", "worker's memory while it drains, MiB", 250.0, False),
    ("ready_seconds", "`payments serve` to ready, seconds", 2.0, False),
    # Beyond what was asked for.
    ("ingest_telemetry", "ingest / without log lines and metrics", 0.9, True),
    ("ingest_tracing", "ingest with traces too / without any of it", 0.9, True),
    ("worker_rss_growth_mb", "its growth over what was drained, MiB", 10.0, False),
)


def ratios(found: Findings) -> dict[str, float | None]:
    """What counts."""
    largest = max((size for size, _ in found.by_size.get("ingest", ())), default=0)
    grown = [
        found.ratio(f"size.{kind}.{largest:.0f}", f"size.{kind}.0") for kind in ("ingest", "drain")
    ]
    worst = [one for one in grown if one is not None] if largest else []
    return {
        "ingest_vs_noop": found.ratio("ingest.payments", "ingest.noop"),
        "ingest_vs_insert_per_request": found.ratio("ingest.payments", "ingest.insert"),
        "ingest_vs_sync_engine": found.ratio("ingest.payments", "ingest.sync_engine"),
        "ingest_vs_dj_stripe": found.ratio("ingest.payments", "ingest.dj_stripe"),
        "drain_vs_publish": found.ratio("stage.drain", "stage.aio_pika"),
        "relay_vs_raw": found.ratio("stage.relay", "stage.raw"),
        "relay_vs_aio_pika": found.ratio("stage.relay", "stage.aio_pika"),
        "end_to_end_vs_sync_engine": found.ratio("end_to_end.payments", "end_to_end.sync_engine"),
        "latency_p50_ms": found.of("latency.p50_ms"),
        "latency_p99_ms": found.of("latency.p99_ms"),
        "grown_vs_empty": min(worst) if worst else None,
        "worker_rss_mb": max(_values(found, "worker_rss_mb"), default=None),
        "ready_seconds": found.of("ready_seconds"),
        "ingest_telemetry": found.ratio("ingest.payments", "ingest.untold"),
        "ingest_tracing": found.ratio("ingest.traced", "ingest.untold"),
        "worker_rss_growth_mb": found.of("worker_rss_growth_mb"),
    }


def write(found: Findings, machine: Mapping[str, object], directory: Path) -> dict[str, Any]:
    """Write build/bench.json and the plots; what was written into the former."""
    document: dict[str, Any] = {
        "ratios": {key: _rounded(value) for key, value in ratios(found).items()},
        "failed": found.failed,
        "missing": found.missing,
        "warnings": found.warnings,
        "medians": {name: _rounded(found.of(name)) for name in found.samples},
        "spreads": {
            name: [_rounded(min(values)), _rounded(max(values))]
            for name in found.samples
            if (values := _values(found, name))
        },
        "samples": {
            name: [
                {
                    "round": sample.round,
                    "value": _rounded(sample.value),
                    "foreign": _rounded(sample.foreign),
                }
                for sample in kept
            ]
            for name, kept in found.samples.items()
            if len(kept) <= 20
        },
        "cost_by_table_size_us": found.by_size,
        "rss_mb_by_webhooks_drained": found.by_drained,
        "machine": machine,
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bench.json").write_text(json.dumps(document, indent=2) + "\n")
    for name, title, x_name, y_name, lines in (
        ("rate-against-time", "Rate against time", "seconds", "per second", found.timelines),
        (
            "cost-against-table-size",
            "Cost against processed rows in the inbox",
            "rows",
            "µs per webhook",
            found.by_size,
        ),
        (
            "memory-against-drained",
            "Resident memory of the worker against webhooks drained",
            "webhooks",
            "MiB",
            {"worker": found.by_drained} if found.by_drained else {},
        ),
    ):
        plot = directory / f"{name}.svg"
        plot.unlink(missing_ok=True)  # of an earlier run
        if lines:
            plot.write_text(line_plot(title, x_name, y_name, lines))
    return document


def _values(found: Findings, name: str) -> list[float]:
    return [sample.value for sample in found.samples.get(name, ())]


def table(document: Mapping[str, Any]) -> str:
    """What counts, for people."""
    lines = [f"{'measure':<48} {'goal':>8} {'found':>9}"]
    for key, title, goal, more_is_better in GOALS:
        value = document["ratios"][key]
        if value is None:
            lines.append(f"{title:<48} {_sign(more_is_better)}{goal:>6g} {'none':>9}")
            continue
        met = value >= goal if more_is_better else value <= goal
        mark = "" if met else "  not met"
        lines.append(f"{title:<48} {_sign(more_is_better)}{goal:>6g} {value:>9.2f}{mark}")
    lines.append("")
    lines.append(f"{'rate or cost':<34} {'median':>10}   {'least … most'}")
    for name, value in document["medians"].items():
        low, high = document["spreads"][name]
        lines.append(f"{name:<34} {value:>10.4g}   {low:.4g} … {high:.4g}")
    lines += [f"not measured, {name}: {why}" for name, why in document["failed"].items()]
    lines += [f"without {name}: {why}" for name, why in document["missing"].items()]
    lines += [f"warning: {warning}" for warning in document["warnings"]]
    return "\n".join(lines)


def _sign(more_is_better: bool) -> str:
    return "≥" if more_is_better else "≤"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
