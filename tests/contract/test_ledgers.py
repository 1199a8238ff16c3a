"""ports/ledgers.py."""

from uuid import uuid4

from tests.contract.storages import Storage


async def test_who_had_a_trial_is_remembered_and_noting_it_again_changes_nothing(
    storage: Storage,
) -> None:
    first, second, nobody = uuid4(), uuid4(), uuid4()
    for users in ({first}, {first, second}, set()):
        async with storage.unit_of_work() as uow:
            await uow.trials.redeem(users)
            await uow.commit()

    async with storage.unit_of_work() as uow:
        assert await uow.trials.redeemed(first)
        assert await uow.trials.redeemed(second)
        assert not await uow.trials.redeemed(nobody)


async def test_two_may_note_the_same_trial_at_once(storage: Storage) -> None:
    user = uuid4()
    async with storage.unit_of_work() as one, storage.unit_of_work() as other:
        assert not await one.trials.redeemed(user)
        assert not await other.trials.redeemed(user)
        await one.trials.redeem([user])
        await one.commit()
        await other.trials.redeem([user])
        await other.commit()

    async with storage.unit_of_work() as uow:
        assert await uow.trials.redeemed(user)


async def test_which_invoices_were_told_of_is_remembered_and_noting_it_again_changes_nothing(
    storage: Storage,
) -> None:
    for invoices in (["in_1"], ["in_2", "in_1"], []):
        async with storage.unit_of_work() as uow:
            await uow.paid_invoices.add(invoices)
            await uow.commit()

    async with storage.unit_of_work() as uow:
        assert await uow.paid_invoices.known(["in_1", "in_2", "in_3"]) == {"in_1", "in_2"}
        assert await uow.paid_invoices.known(["in_1"]) == {"in_1"}
        assert await uow.paid_invoices.known([]) == set()
