"""ports/outbox.py."""

from uuid import uuid4

import pytest

from domain.subscription import subscription_id
from ports.partitions import LeaseLost, Share, partition_of
from tests.contract.storages import Storage
from tests.contract.workers import add, lone_worker, unpublished
from tests.examples import HOUR, NOW, keys_of_different_partitions, message


async def test_messages_are_claimed_as_they_were_given_and_in_that_order(
    storage: Storage,
) -> None:
    first, second = keys_of_different_partitions(2)
    given = [
        message(first, 1, body=bytes(range(256))),
        message(second, 1, must_be_routed=False, type_="payments.other.v1"),
        message(first, 2),
        message(second, 2),
    ]
    await add(storage, *given[:2])
    await add(storage, *given[2:])

    assert await unpublished(storage, await lone_worker(storage)) == given


async def test_messages_without_a_number_of_their_own_stand_in_line_like_the_others(
    storage: Storage,
) -> None:
    given = [message(version=1), message(version=0), message(version=2), message(version=0)]
    for one in given:
        await add(storage, one)
    await add(storage, message("sub_2", version=0), message("sub_3", version=0))

    found = await unpublished(storage, await lone_worker(storage))
    assert found[:4] == given
    assert [one.version for one in found] == [1, 0, 2, 0, 0, 0]


async def test_no_more_than_the_limit_is_claimed_and_the_oldest_first(storage: Storage) -> None:
    given = [message(version=version) for version in (1, 2, 3)]
    await add(storage, *given)
    worker = await lone_worker(storage)

    async with storage.unit_of_work() as uow:
        assert await uow.outbox.claim(worker.held(), limit=2) == given[:2]


async def test_excluded_subscriptions_are_passed_over(storage: Storage) -> None:
    held_back, other = message("sub_1"), message("sub_2")
    await add(storage, held_back, other)
    worker = await lone_worker(storage)

    async with storage.unit_of_work() as uow:
        claimed = await uow.outbox.claim(
            worker.held(), limit=1, excluding={subscription_id("sub_1")}
        )
    assert claimed == [other]


async def test_only_messages_of_the_share_are_claimed(storage: Storage) -> None:
    mine, theirs = keys_of_different_partitions(2)
    await add(storage, message(mine), message(theirs))
    worker = await lone_worker(storage)
    share = Share(worker.held().worker, worker.held().epoch, frozenset({partition_of(mine)}))

    async with storage.unit_of_work() as uow:
        [claimed] = await uow.outbox.claim(share, limit=10)
    assert claimed.ordering_key == mine


async def test_a_share_that_is_no_longer_the_workers_is_refused(storage: Storage) -> None:
    worker = await lone_worker(storage)
    share = worker.held()
    await worker.release()

    async with storage.unit_of_work() as uow:
        with pytest.raises(LeaseLost):
            await uow.outbox.claim(share, limit=1)


async def test_exactly_the_messages_named_are_marked_as_published(storage: Storage) -> None:
    given = [message(version=version) for version in (1, 2, 3)]
    await add(storage, *given)
    worker = await lone_worker(storage)

    async with storage.unit_of_work() as uow:
        await uow.outbox.mark_published([given[0].id, given[2].id, uuid4()], NOW)
        await uow.commit()

    assert await unpublished(storage, worker) == [given[1]]


async def test_exactly_the_messages_named_are_given_up_as_unrouted(storage: Storage) -> None:
    given = [message(version=version) for version in (1, 2, 3)]
    await add(storage, *given)
    worker = await lone_worker(storage)

    async with storage.unit_of_work() as uow:
        await uow.outbox.mark_unrouted([given[1].id], NOW)
        await uow.commit()

    assert await unpublished(storage, worker) == [given[0], given[2]]


@pytest.mark.parametrize("first", ["published", "unrouted"])
async def test_what_is_done_with_stays_as_it_was_marked_first(storage: Storage, first: str) -> None:
    given = message()
    await add(storage, given)
    for mark, at in ((first, NOW), ("published", NOW + HOUR), ("unrouted", NOW + HOUR)):
        async with storage.unit_of_work() as uow:
            marking = getattr(uow.outbox, f"mark_{mark}")
            await marking([given.id], at)
            await uow.commit()

    expected = {"published": (NOW, None), "unrouted": (None, NOW)}
    assert await storage.marks(given.id) == expected[first]


async def test_marking_or_adding_nothing_changes_nothing(storage: Storage) -> None:
    given = message()
    await add(storage, given)

    async with storage.unit_of_work() as uow:
        await uow.outbox.add([])
        await uow.outbox.mark_published([], NOW)
        await uow.outbox.mark_unrouted([], NOW)
        await uow.commit()

    assert await unpublished(storage, await lone_worker(storage)) == [given]


async def test_messages_and_marks_that_were_not_committed_are_forgotten(storage: Storage) -> None:
    kept = message()
    await add(storage, kept)
    async with storage.unit_of_work() as uow:
        await uow.outbox.add([message(version=2)])
        await uow.outbox.mark_published([kept.id], NOW)

    assert await unpublished(storage, await lone_worker(storage)) == [kept]
