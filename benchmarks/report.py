"""What was found: a table, build/bench.json and the plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.measures import Findings

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
)


def ratios(found: Findings) -> dict[str, float | None]:
    """What counts."""
    largest = max((size for size, _ in found.by_size.get("ingest", ())), default=0)
    grown = [
        found.ratio(f"size.{kind}.{largest:.0f}", f"size.{kind}.0") for kind in ("ingest", "drain")
    ]
    worst = [one for one in grown if one is not None]
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
        "worker_rss_mb": max(found.samples.get("worker_rss_mb", []), default=None),
        "ready_seconds": found.of("ready_seconds"),
    }


def write(found: Findings, machine: Mapping[str, object], directory: Path) -> dict[str, Any]:
    """Write build/bench.json and the plots; what was written into the former."""
    document: dict[str, Any] = {
        "ratios": {key: _rounded(value) for key, value in ratios(found).items()},
        "missing": found.missing,
        "warnings": found.warnings,
        "medians": {name: _rounded(median(kept)) for name, kept in found.samples.items()},
        "spreads": {
            name: [_rounded(min(kept)), _rounded(max(kept))] for name, kept in found.samples.items()
        },
        "samples": {
            name: [_rounded(one) for one in kept]
            for name, kept in found.samples.items()
            if len(kept) <= 20
        },
        "cost_by_table_size_us": found.by_size,
        "machine": machine,
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bench.json").write_text(json.dumps(document, indent=2) + "\n")
    if found.timelines:
        plot = line_plot("Rate against time", "seconds", "per second", found.timelines)
        (directory / "rate-against-time.svg").write_text(plot)
    if found.by_size:
        plot = line_plot(
            "Cost against processed rows in the inbox", "rows", "µs per webhook", found.by_size
        )
        (directory / "cost-against-table-size.svg").write_text(plot)
    return document


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
    lines += [f"without {name}: {why}" for name, why in document["missing"].items()]
    lines += [f"warning: {warning}" for warning in document["warnings"]]
    return "\n".join(lines)


def line_plot(
    title: str,
    x_name: str,
    y_name: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
) -> str:
    """A plot as SVG."""
    width, height, left, bottom, top = 640, 320, 70, 50, 40
    right = width - 20
    points = [point for line in lines.values() for point in line]
    most_x = max((x for x, _ in points), default=1) or 1
    most_y = (max((y for _, y in points), default=1) or 1) * 1.1

    def place(x: float, y: float) -> str:
        along = left + x / most_x * (right - left)
        up = height - bottom - y / most_y * (height - bottom - top)
        return f"{along:.1f},{up:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="20" font-size="14">{title}</text>',
        f'<text x="{right}" y="{height - 12}" text-anchor="end">{x_name}</text>',
        f'<text x="{left}" y="{top - 6}" text-anchor="end">{y_name}</text>',
    ]
    for step in range(5):
        x, y = most_x * step / 4, most_y * step / 4
        across, up = place(x, 0).split(",")[0], place(0, y).split(",")[1]
        parts += [
            f'<line x1="{left}" x2="{right}" y1="{up}" y2="{up}" stroke="#ddd"/>',
            f'<text x="{left - 6}" y="{up}" text-anchor="end">{y:,.0f}</text>',
            f'<text x="{across}" y="{height - bottom + 18}" text-anchor="middle">{x:,.6g}</text>',
        ]
    for index, (name, line) in enumerate(lines.items()):
        colour = ("#1f6feb", "#d1495b", "#2a9d8f")[index % 3]
        path = " ".join(place(x, y) for x, y in line)
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<text x="{right}" y="{top + 14 * index}" text-anchor="end" fill="{colour}">'
            f"{name}</text>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _sign(more_is_better: bool) -> str:
    return "≥" if more_is_better else "≤"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
