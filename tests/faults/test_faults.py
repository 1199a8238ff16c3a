"""Nothing lost, nothing doubled, everything in order, whatever fails meanwhile.

The short form lets every fault happen once. The long form, `make faults`, draws FAULTS of them
from FAULT_SEED, some two at a time, on a cluster of three brokers with two APIs and three workers.
Both print the seed; the same seed draws the same faults in the same order again.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from sandbox.servers import PrivatePostgres, PrivateRabbitMQ
from tests.faults.faults import FAKETIME, FAULTS, Fault
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
    chance = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    faults = chance.sample(FAULTS[kind], len(FAULTS[kind]))
    async with living(postgres, [broker], chance, tmp_path) as world:
        for fault in faults:
            await _let(fault, world, chance)


@pytest.mark.skipif(not MANY, reason="the long form runs by `make faults`")
async def test_many_faults_on_a_cluster(
    seed: int, postgres: PrivatePostgres, cluster: list[PrivateRabbitMQ], tmp_path: Path
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    async with living(postgres, cluster, chance, tmp_path, apis=2, workers=3) as world:
        left = MANY
        while left > 0:
            kinds = chance.sample([kind for kind in FAULTS if kind != "clocks" or FAKETIME], 2)
            faults = [chance.choice(FAULTS[kind]) for kind in kinds[: chance.choice([1, 1, 2])]]
            await asyncio.gather(*(_let(fault, world, chance) for fault in faults))
            left -= len(faults)


async def _let(fault: Fault, world: World, chance: random.Random) -> None:
    print(fault.__name__, flush=True)  # noqa: T201 - what led to a failure
    try:
        async with asyncio.timeout(150):
            await fault(world, chance)
            await world.recovered()
    except TimeoutError as error:
        raise AssertionError(f"the service did not get over {fault.__name__}") from error
