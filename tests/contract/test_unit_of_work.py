"""ports/unit_of_work.py."""

from uuid import uuid4

import pytest

from ports.inbox import Outcome, Processed
from ports.partitions import Partitions
from ports.unit_of_work import StorageUnavailable, UnitOfWork
from tests.contract.storages import Storage
from tests.contract.workers import claim_all, lone_worker, record, unpublished
from tests.examples import customer, message, subscription, webhook

USER = uuid4()


async def change_everything(uow: UnitOfWork, worker: Partitions) -> None:
    [claimed] = await uow.inbox.claim(worker.held(), limit=1)
    await uow.customers.save([customer(USER)])
    await uow.subscriptions.save([subscription()])
    await uow.trials.redeem([USER])
    await uow.paid_invoices.add(["in_1"])
    await uow.outbox.add([message()])
    await uow.inbox.settle([Processed(claimed.id, Outcome.APPLIED)])


async def changes(storage: Storage, worker: Partitions) -> list[bool]:
    """What of all that can be seen from outside."""
    seen = [
        not await claim_all(storage, worker),
        bool(await unpublished(storage, worker)),
    ]
    async with storage.unit_of_work() as uow:
        return [
            *seen,
            await uow.customers.exists(USER),
            bool(await uow.subscriptions.find(["sub_1"])),
            await uow.trials.redeemed(USER),
            bool(await uow.paid_invoices.known(["in_1"])),
            await uow.inbox.is_processed("evt_1"),
        ]


async def test_nothing_remains_unless_it_is_committed(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    async with storage.unit_of_work() as uow:
        await change_everything(uow, worker)

    assert await changes(storage, worker) == [False] * 7


async def test_nothing_remains_of_what_ended_in_an_error(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)

    async def change_and_fail() -> None:
        async with storage.unit_of_work() as uow:
            await change_everything(uow, worker)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_and_fail()

    assert await changes(storage, worker) == [False] * 7


async def test_all_of_it_remains_once_it_is_committed(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    async with storage.unit_of_work() as uow:
        await change_everything(uow, worker)
        await uow.commit()

    assert await changes(storage, worker) == [True] * 7


async def test_nobody_else_sees_it_before_it_is_committed_and_one_sees_it_oneself(
    storage: Storage,
) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    async with storage.unit_of_work() as uow, storage.unit_of_work() as other:
        await change_everything(uow, worker)
        assert await uow.customers.exists(USER)
        assert await uow.subscriptions.find(["sub_1"])
        assert await uow.outbox.claim(worker.held(), limit=1)
        assert await uow.inbox.is_processed("evt_1")
        assert not await other.customers.exists(USER)
        assert not await other.subscriptions.find(["sub_1"])
        assert not await other.inbox.is_processed("evt_1")


async def test_what_comes_after_the_commit_needs_another_one(storage: Storage) -> None:
    async with storage.unit_of_work() as uow:
        await uow.paid_invoices.add(["in_1"])
        await uow.commit()
        with pytest.raises(AttributeError, match="paid_invoices"):
            await uow.paid_invoices.add(["in_2"])

    async with storage.unit_of_work() as uow:
        assert await uow.paid_invoices.known(["in_1", "in_2"]) == {"in_1"}


async def test_one_that_failed_leaves_the_next_one_unharmed(storage: Storage) -> None:
    for _ in range(30):  # more than there are connections
        with pytest.raises(ZeroDivisionError):
            async with storage.unit_of_work():
                raise ZeroDivisionError

    async with storage.unit_of_work() as uow:
        assert not await uow.customers.exists(USER)


async def test_an_absent_storage_is_told_as_such_until_it_is_back(storage: Storage) -> None:
    async with storage.unit_of_work() as uow:
        assert not await uow.customers.exists(USER)
    async with storage.away():
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                async with storage.unit_of_work() as uow:
                    await uow.customers.exists(USER)

    async with storage.unit_of_work() as uow:
        assert not await uow.customers.exists(USER)


async def test_a_storage_that_goes_away_in_the_middle_keeps_nothing(storage: Storage) -> None:
    async def commit_too_late() -> None:
        async with storage.unit_of_work() as uow:
            await uow.trials.redeem([USER])
            async with storage.away():
                await uow.commit()

    with pytest.raises(StorageUnavailable):
        await commit_too_late()

    async with storage.unit_of_work() as uow:
        assert not await uow.trials.redeemed(USER)


async def test_partitions_of_an_absent_storage_cannot_be_renewed_or_given_back(
    storage: Storage,
) -> None:
    worker = await lone_worker(storage)
    share = worker.held()
    async with storage.away():
        with pytest.raises(StorageUnavailable):
            await worker.renew()
        assert worker.held() == share
        with pytest.raises(StorageUnavailable):
            await worker.release()

    await worker.renew()
    assert worker.held().partitions == share.partitions
