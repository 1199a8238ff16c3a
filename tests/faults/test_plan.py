"""A seed draws the same faults again, to the last of their details."""

from __future__ import annotations

import pytest

from tests.faults.faults import EXCLUDING, FAULTS, one_node_of_each_killed
from tests.faults.plan import Plan, each_once, many

KIND_OF = {fault: kind for kind, faults in FAULTS.items() for fault in faults}


def details(plan: Plan) -> list[float]:
    return [planned.chance().random() for faults in plan for planned in faults]


def test_one_seed_gives_one_plan_and_two_seeds_two() -> None:
    plan, again, other = many(200, 1, FAULTS), many(200, 1, FAULTS), many(200, 2, FAULTS)
    assert plan == again
    assert plan != other
    assert details(plan) == details(again)
    assert not set(details(plan)) & set(details(other))
    assert len(set(details(plan))) == 200, "each fault has a chance of its own"


@pytest.mark.parametrize("kind", FAULTS)
def test_the_short_form_has_every_fault_once(kind: str) -> None:
    plan = each_once(kind, 1)
    assert plan == each_once(kind, 1)
    assert sorted(p.fault.__name__ for [p] in plan) == sorted(f.__name__ for f in FAULTS[kind])
    assert len({tuple(p.fault for [p] in each_once(kind, seed)) for seed in range(20)}) > 1
    assert details(plan) != details(each_once(kind, 2))


@pytest.mark.parametrize("count", [1, 2, 3, 40, 1000])
def test_the_long_form_has_as_many_as_it_is_told_and_none_that_disturb_each_other(
    count: int,
) -> None:
    [first], *rounds = many(count, 1, FAULTS)
    assert first.fault is one_node_of_each_killed
    assert 1 + sum(map(len, rounds)) == count
    for faults in rounds:
        kinds = {KIND_OF[planned.fault] for planned in faults}
        assert len(kinds) == len(faults)
        assert kinds != EXCLUDING
    drawn = [planned.fault for faults in rounds for planned in faults]
    for start in range(0, count - 1, len(KIND_OF)):
        some = drawn[start : start + len(KIND_OF)]
        assert len(set(some)) == len(some), "each comes before any comes again"
    if count == 1000:
        assert {planned.fault for faults in rounds for planned in faults} == set(KIND_OF)
        assert {len(faults) for faults in rounds} == {1, 2}


def test_a_kind_that_cannot_be_had_is_left_out() -> None:
    kinds = FAULTS.keys() - {"clocks"}
    drawn = {planned.fault for faults in many(500, 1, kinds)[1:] for planned in faults}
    assert drawn == {fault for fault, kind in KIND_OF.items() if kind in kinds}
