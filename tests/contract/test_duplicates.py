"""ports/duplicates.py."""

from uuid import UUID, uuid4

import pytest

from domain.subscription import Snapshot, Subscription
from ports.duplicates import Duplicate
from tests.contract.storages import Storage


def subscription(user_id: UUID, ref: str, status: str) -> Subscription:
    return Subscription(user_id, "cus_1", ref, facts=Snapshot(status=status))


async def keep(storage: Storage, *subscriptions: Subscription) -> None:
    async with storage.unit_of_work() as uow:
        await uow.subscriptions.save(subscriptions)
        await uow.commit()


async def test_several_running_ones_are_marked_once(storage: Storage) -> None:
    user = uuid4()
    one, other = subscription(user, "sub_1", "active"), subscription(user, "sub_2", "trialing")
    await keep(storage, one, other)

    async with storage.unit_of_work() as uow:
        first = await uow.duplicates.mark([user])
        await uow.commit()
    async with storage.unit_of_work() as uow:
        again = await uow.duplicates.mark([user])

    assert set(first) == {Duplicate(one.id, user), Duplicate(other.id, user)}
    assert again == []


@pytest.mark.parametrize("status", ["incomplete", "expired", "canceled", "none"])
async def test_what_is_not_running_is_no_duplicate(storage: Storage, status: str) -> None:
    user = uuid4()
    await keep(
        storage,
        subscription(user, "sub_1", "active"),
        subscription(user, "sub_2", status),
        subscription(uuid4(), "sub_3", "active"),
    )

    async with storage.unit_of_work() as uow:
        assert await uow.duplicates.mark([user]) == []
        assert await uow.duplicates.mark([]) == []
