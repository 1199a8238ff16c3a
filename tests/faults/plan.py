"""Which faults happen, in which order and at once: drawn from the seed before anything runs."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

from tests.faults.faults import EXCLUDING, FAULTS, Fault, one_node_of_each_killed


@dataclass(frozen=True)
class Planned:
    """A fault, and what its own chance is drawn from, whatever else is drawn meanwhile."""

    fault: Fault
    seed: str

    def chance(self) -> random.Random:
        """Draws the same each time."""
        return random.Random(self.seed)  # noqa: S311 - a schedule, not a secret


# The faults of a round begin together.
Plan = list[list[Planned]]


def each_once(kind: str, seed: int) -> Plan:
    """Every fault of a kind, in any order."""
    faults = _chance(seed, kind).sample(FAULTS[kind], len(FAULTS[kind]))
    return [[Planned(fault, f"{seed}:{kind}:{n}")] for n, fault in enumerate(faults)]


def many(count: int, seed: int, kinds: Collection[str]) -> Plan:
    """So many faults of these kinds, some two at a time; at first a whole machine is gone."""
    chance = _chance(seed, "many")
    numbers = iter(range(count))
    plan = [[Planned(one_node_of_each_killed, f"{seed}:{next(numbers)}")]]
    all_faults = [(kind, fault) for kind in sorted(kinds) for fault in FAULTS[kind]]
    while (left := count - sum(map(len, plan))) > 0:
        kind, first = chance.choice(all_faults)
        disturbed = EXCLUDING if kind in EXCLUDING else {kind}
        second = chance.choice([fault for other, fault in all_faults if other not in disturbed])
        faults = [first, second][: min(left, chance.choice([1, 1, 2]))]
        plan.append([Planned(fault, f"{seed}:{next(numbers)}") for fault in faults])
    return plan


def _chance(seed: int, what: str) -> random.Random:
    return random.Random(f"{seed}:plan:{what}")  # noqa: S311 - a schedule, not a secret
