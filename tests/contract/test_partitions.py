"""ports/partitions.py."""

import asyncio
import random

import pytest

from ports.inbox import Outcome, Processed
from ports.partitions import PARTITIONS, LeaseLost, Partitions, Share
from tests.contract.storages import Storage
from tests.contract.workers import claim_all, lone_worker, record
from tests.examples import webhook

EVERYTHING = frozenset(range(PARTITIONS))


async def holds(storage: Storage, share: Share) -> bool:
    """Whether work of this share could be committed now."""
    try:
        async with storage.unit_of_work() as uow:
            await uow.inbox.claim(share, limit=1)
    except LeaseLost:
        return False
    return True


async def renew_all(*workers: Partitions) -> None:
    for worker in workers:
        await worker.renew()


async def test_a_worker_holds_nothing_before_it_has_renewed(storage: Storage) -> None:
    assert storage.partitions().held().partitions == frozenset()


async def test_a_lone_worker_holds_everything(storage: Storage) -> None:
    worker = storage.partitions()

    assert await worker.renew()
    assert worker.held().partitions == EVERYTHING
    assert await holds(storage, worker.held())


async def test_renewing_tells_whether_the_share_changed(storage: Storage) -> None:
    first, second = storage.partitions(), storage.partitions()

    assert await first.renew()
    assert not await first.renew()
    await second.renew()
    assert await first.renew()
    assert await second.renew()
    assert not await first.renew()
    assert not await second.renew()


@pytest.mark.parametrize("count", [2, 3, 5, 64, 70])
async def test_each_of_several_workers_gets_a_fair_share(storage: Storage, count: int) -> None:
    workers = [storage.partitions() for _ in range(count)]
    await renew_all(*workers)  # all have arrived
    await renew_all(*workers)  # all have given back what is beyond their share
    await renew_all(*workers)  # all have taken what became free

    fair = -(-PARTITIONS // count)
    assert all(len(worker.held().partitions) <= fair for worker in workers)
    parts = [part for worker in workers for part in worker.held().partitions]
    assert sorted(parts) == sorted(EVERYTHING)


async def test_a_joining_worker_takes_nothing_from_one_that_is_alive(storage: Storage) -> None:
    first, second = await lone_worker(storage), storage.partitions()

    await second.renew()

    assert second.held().partitions == frozenset()
    assert await holds(storage, first.held())


async def test_a_share_from_before_partitions_were_given_back_is_refused(
    storage: Storage,
) -> None:
    first, second = await lone_worker(storage), storage.partitions()
    before = first.held()
    await renew_all(second, first)

    assert first.held().epoch > before.epoch
    assert not await holds(storage, before)
    assert await holds(storage, first.held())


async def test_workers_that_join_at_the_same_moment_share_everything_out(
    storage: Storage,
) -> None:
    workers = [storage.partitions() for _ in range(6)]
    for _ in range(3):
        await asyncio.gather(*(worker.renew() for worker in workers))

    parts = [part for worker in workers for part in worker.held().partitions]
    assert sorted(parts) == sorted(EVERYTHING)


async def test_a_dead_workers_partitions_pass_on_once_it_is_believed_dead(
    storage: Storage,
) -> None:
    dead, successor = await lone_worker(storage), storage.partitions()
    await storage.let_expire(dead.held().worker)

    assert await successor.renew()
    assert successor.held().partitions == EVERYTHING


async def test_a_worker_that_was_believed_dead_can_commit_nothing_and_begins_anew(
    storage: Storage,
) -> None:
    stalled, successor = await lone_worker(storage), storage.partitions()
    before = stalled.held()
    await storage.let_expire(before.worker)
    await successor.renew()

    assert not await holds(storage, before)
    await stalled.renew()
    assert stalled.held().epoch > before.epoch
    assert not await holds(storage, before)
    await renew_all(successor, stalled)
    assert stalled.held().partitions | successor.held().partitions == EVERYTHING
    assert not stalled.held().partitions & successor.held().partitions


async def test_giving_everything_back_hands_it_over_at_once(storage: Storage) -> None:
    leaving, successor = await lone_worker(storage), storage.partitions()
    before = leaving.held()

    await leaving.release()

    assert leaving.held().partitions == frozenset()
    assert not await holds(storage, before)
    await successor.renew()
    assert successor.held().partitions == EVERYTHING


async def test_a_worker_that_gave_everything_back_may_return(storage: Storage) -> None:
    worker = await lone_worker(storage)
    before = worker.held()
    await worker.release()

    assert await worker.renew()
    assert worker.held().partitions == EVERYTHING
    assert not await holds(storage, before)


async def test_giving_back_what_was_never_held_is_fine(storage: Storage) -> None:
    await storage.partitions().release()


async def test_a_share_cannot_be_taken_before_the_unit_of_work_that_relies_on_it_has_ended(
    storage: Storage,
) -> None:
    await record(storage, webhook("evt_1"))
    slow, successor = await lone_worker(storage), storage.partitions()
    await storage.let_expire(slow.held().worker)  # but nobody has noticed
    async with storage.unit_of_work() as uow:
        [claimed] = await uow.inbox.claim(slow.held(), limit=1)
        await successor.renew()
        assert successor.held().partitions == frozenset()
        await uow.inbox.settle([Processed(claimed.id, Outcome.APPLIED)])
        await uow.commit()

    await successor.renew()
    assert successor.held().partitions == EVERYTHING
    assert await claim_all(storage, successor) == []


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_workers_do_no_partition_is_ever_held_twice(
    storage: Storage, seed: int
) -> None:
    """Workers come, renew, leave and die in any order; those that stay end up with everything."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not a secret
    workers: list[Partitions] = []
    for _ in range(60):
        match chance.choice(["join", "renew", "renew", "renew", "leave", "stall", "die"]):
            case "join" if len(workers) < 6:
                workers.append(storage.partitions())
                await workers[-1].renew()
            case "renew" if workers:
                await chance.choice(workers).renew()
            case "leave" if workers:
                await chance.choice(workers).release()
            case "stall" if workers:
                await storage.let_expire(chance.choice(workers).held().worker)
            case "die" if workers:
                dead = workers.pop(chance.randrange(len(workers)))
                await storage.let_expire(dead.held().worker)
        shares = [w.held().partitions for w in workers if await holds(storage, w.held())]
        assert sum(map(len, shares)) == len(frozenset[int]().union(*shares))

    workers.append(storage.partitions())
    for _ in range(3):
        await renew_all(*workers)
    assert all([await holds(storage, worker.held()) for worker in workers])
    parts = [part for worker in workers for part in worker.held().partitions]
    assert sorted(parts) == sorted(EVERYTHING)
