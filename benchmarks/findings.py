"""What was measured, and what may be said of it.

What is compared takes turns within a round, so that a noisy machine hits all alike. A ratio is the
median of the rounds' ratios; rounds that others than the benchmark have spoilt count only where
there are no better ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import linear_regression, median

from benchmarks.meter import FOREIGN

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value. `foreign` is the share of the processors that others took meanwhile."""

    value: float
    round: int = 0
    foreign: float = 0.0

    @property
    def quiet(self) -> bool:
        """Whether it was left alone."""
        return self.foreign <= FOREIGN


@dataclass(slots=True)
class Findings:
    """Everything that was measured: samples by name, and what is told of them."""

    samples: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    # Peers that could not be had, and measures that could not be taken, with the reason.
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    timelines: dict[str, Points] = field(default_factory=dict)
    by_size: dict[str, Points] = field(default_factory=lambda: defaultdict(list))
    by_drained: Points = field(default_factory=list)

    def note(self, name: str, value: float, *, round_: int = 0, foreign: float = 0.0) -> None:
        """Keep a sample."""
        self.samples[name].append(Sample(value, round_, foreign))

    def warn(self, warning: str) -> None:
        """Say something once."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def of(self, name: str) -> float | None:
        """The median of what was sampled."""
        found = self.samples.get(name)
        return median(sample.value for sample in _best(found)) if found else None

    def ratio(self, one: str, other: str) -> float | None:
        """How many times the other the one is: the median of the rounds that have both."""
        theirs = {sample.round: sample for sample in self.samples.get(other, ())}
        pairs = [
            Sample(
                mine.value / theirs[mine.round].value,
                mine.round,
                max(mine.foreign, theirs[mine.round].foreign),
            )
            for mine in self.samples.get(one, ())
            if mine.round in theirs and theirs[mine.round].value
        ]
        return median(pair.value for pair in _best(pairs)) if pairs else None


def _best(samples: Sequence[Sample]) -> Sequence[Sample]:
    return [sample for sample in samples if sample.quiet] or samples


def growth(line: Points) -> float:
    """By how much `line` rises from end to end: the slope of a straight one through all but its
    first fifth, in which everything is loaded and filled for the first time.
    """
    most = line[-1][0]
    settled = [point for point in line if point[0] >= most / 5]
    if len({x for x, _ in settled}) < 2:
        return 0.0
    slope, _ = linear_regression(*zip(*settled, strict=True))
    return slope * most
