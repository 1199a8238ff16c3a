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
    """So many faults of these kinds, some two at a time, each of them before any comes again; at
    first a whole machine is gone.
    """
    chance = _chance(seed, "many")
    numbers = iter(range(count))
    plan = [[Planned(one_node_of_each_killed, f"{seed}:{next(numbers)}")]]
    all_faults = [(kind, fault) for kind in sorted(kinds) for fault in FAULTS[kind]]
    to_come: list[tuple[str, Fault]] = []
    while (left := count - sum(map(len, plan))) > 0:
        to_come = to_come or chance.sample(all_faults, len(all_faults))
        faults = [to_come.pop()]
        disturbed = EXCLUDING if faults[0][0] in EXCLUDING else {faults[0][0]}
        beside = [one for one in to_come if one[0] not in disturbed]
        if beside and left > 1 and chance.choice([False, False, True]):
            faults.append(beside[0])
            to_come.remove(beside[0])
        plan.append([Planned(fault, f"{seed}:{next(numbers)}") for _, fault in faults])
    return plan


def _chance(seed: int, what: str) -> random.Random:
    return random.Random(f"{seed}:plan:{what}")  # noqa: S311 - a schedule, not a secret
