"""Nothing lost, nothing doubled, everything in order, whatever fails meanwhile.

The short form lets every fault happen once. The long form, `make faults`, draws FAULTS of them
from FAULT_SEED, some two at a time, on a cluster of three brokers with two APIs and three workers.
Both print the seed; the same seed draws the same faults in the same order again, and the same
lives of subscriptions.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import astuple
from pathlib import Path

import pytest

from sandbox.servers import PrivatePostgres, PrivateRabbitMQ
from tests.faults.faults import FAKETIME, FAULTS
from tests.faults.plan import Plan, Planned, each_once, many
from tests.faults.world import World, living

MANY = int(os.environ.get("FAULTS", "0"))
NO_FAKETIME = "clocks are set wrong by libfaketime: apt-get install libfaketime"


@pytest.fixture
def seed() -> int:
    found = int(os.environ.get("FAULT_SEED") or random.SystemRandom().getrandbits(32))
    print(f"FAULT_SEED={found}")  # noqa: T201 - whoever reads a failure needs it
    return found


@pytest.mark.parametrize("kind", FAULTS)
async def test_nothing_is_lost_doubled_or_disordered(
    kind: str, seed: int, postgres: PrivatePostgres, broker: PrivateRabbitMQ, tmp_path: Path
) -> None:
    if kind == "clocks" and FAKETIME is None:
        pytest.skip(NO_FAKETIME)
    async with living(postgres, [broker], seed, tmp_path) as world:
        await _let_happen(each_once(kind, seed), world)


@pytest.mark.skipif(not MANY, reason="the long form runs by `make faults`")
async def test_many_faults_on_a_cluster(
    seed: int, postgres: PrivatePostgres, cluster: list[PrivateRabbitMQ], tmp_path: Path
) -> None:
    kinds = set(FAULTS)
    if FAKETIME is None:
        kinds.remove("clocks")
        left_out = ", ".join(fault.__name__ for fault in FAULTS["clocks"])
        print(f"LEFT OUT: {left_out}, since {NO_FAKETIME}")  # noqa: T201 - a pass is not theirs
    async with living(postgres, cluster, seed, tmp_path, apis=2, workers=3) as world:
        await _let_happen(many(MANY, seed, kinds), world)
    assert world.toll is not None
    if MANY >= 200:
        assert all(astuple(world.toll)), f"some of these never happened: {world.toll}"


async def _let_happen(plan: Plan, world: World) -> None:
    for faults in plan:
        await asyncio.gather(*(_let(planned, world) for planned in faults))


async def _let(planned: Planned, world: World) -> None:
    name, began = planned.fault.__name__, time.monotonic()
    print(name, flush=True)  # noqa: T201 - what led to a failure
    try:
        async with asyncio.timeout(420):
            await planned.fault(world, planned.chance())
            await world.recovered()
    except TimeoutError as error:
        raise AssertionError(f"the service did not get over {name}") from error
    print(f"{name}: over after {time.monotonic() - began:.1f} s", flush=True)  # noqa: T201
