"""ports/customers.py."""

import asyncio
from datetime import datetime
from uuid import UUID, uuid4

import pytest

from domain.customer import Customer
from ports.unit_of_work import ConcurrentChange
from tests.contract.storages import Storage
from tests.examples import HOUR, NOW, customer

USER = UUID(int=1)


async def save(storage: Storage, *customers: Customer) -> None:
    async with storage.unit_of_work() as uow:
        await uow.customers.save(customers)
        await uow.commit()


async def find(storage: Storage, reference: str = "cus_1") -> Customer:
    async with storage.unit_of_work() as uow:
        [found] = await uow.customers.find([reference], [])
    return found


def known(*, email: str | None = None, as_of: datetime | None = None) -> Customer:
    return Customer(USER, "cus_1", email=email, name=email, as_of=as_of)


async def test_a_user_without_a_link_has_no_reference(storage: Storage) -> None:
    async with storage.unit_of_work() as uow:
        assert await uow.customers.reference_of(USER) is None
        assert not await uow.customers.exists(USER)


async def test_a_linked_user_has_the_reference_of_the_link(storage: Storage) -> None:
    await save(storage, customer(USER, "cus_1"), customer(uuid4(), "cus_2"))

    async with storage.unit_of_work() as uow:
        assert await uow.customers.reference_of(USER) == "cus_1"
        assert await uow.customers.exists(USER)


async def test_a_customer_is_found_as_it_was_saved(storage: Storage) -> None:
    saved = Customer(
        USER,
        "cus_1",
        email="ann@example.org",
        name="Ann",
        livemode=True,
        provider_created_at=NOW,
        as_of=NOW.replace(microsecond=1),
        retired_at=NOW + HOUR,
    )
    await save(storage, saved)

    assert await find(storage) == saved


async def test_saving_a_known_reference_again_updates_its_row(storage: Storage) -> None:
    await save(storage, known(email="old@example.org", as_of=NOW))
    changed = await find(storage)
    changed.update_contact("new@example.org", None, NOW + HOUR)
    await save(storage, changed)

    assert await find(storage) == changed


async def test_a_contact_may_be_taken_back(storage: Storage) -> None:
    await save(storage, known(email="old@example.org", as_of=NOW))
    await save(storage, known(email=None, as_of=NOW + HOUR))

    assert (await find(storage)).email is None


async def test_links_are_found_by_reference_and_by_user_without_repeats(storage: Storage) -> None:
    first, second, third = (customer(uuid4(), f"cus_{number}") for number in range(3))
    await save(storage, first, second, third)
    assert first.user_id
    assert second.user_id

    async with storage.unit_of_work() as uow:
        found = await uow.customers.find(["cus_0", "cus_x"], [first.user_id, second.user_id])
        assert await uow.customers.find([], []) == []
    assert sorted(c.customer_ref or "" for c in found) == ["cus_0", "cus_1"]


async def test_a_retired_link_is_found_by_its_reference_alone(storage: Storage) -> None:
    retired = Customer(USER, "cus_1", retired_at=NOW)
    await save(storage, retired)

    async with storage.unit_of_work() as uow:
        assert await uow.customers.find([], [USER]) == []
        assert await uow.customers.find(["cus_1"], []) == [retired]
        assert not await uow.customers.exists(USER)
        assert await uow.customers.reference_of(USER) is None


async def test_a_retired_link_frees_the_user(storage: Storage) -> None:
    await save(storage, known())
    retired = await find(storage)
    retired.retire(NOW)
    # The new link comes first in the list: the order given must not matter.
    await save(storage, customer(USER, "cus_0"), retired)

    async with storage.unit_of_work() as uow:
        assert await uow.customers.reference_of(USER) == "cus_0"


async def test_a_user_may_have_several_retired_links(storage: Storage) -> None:
    await save(
        storage,
        Customer(USER, "cus_1", retired_at=NOW),
        Customer(USER, "cus_2", retired_at=NOW),
        Customer(USER, "cus_3"),
    )

    async with storage.unit_of_work() as uow:
        assert await uow.customers.reference_of(USER) == "cus_3"


async def test_a_deleted_customer_nobody_knew_is_remembered_without_a_user(
    storage: Storage,
) -> None:
    stranger = Customer(None, "cus_1", retired_at=NOW)
    await save(storage, stranger)

    assert await find(storage) == stranger


async def test_a_second_link_of_a_user_is_a_concurrent_change(storage: Storage) -> None:
    await save(storage, known())

    with pytest.raises(ConcurrentChange):
        await save(storage, customer(USER, "cus_2"))

    async with storage.unit_of_work() as uow:
        assert await uow.customers.reference_of(USER) == "cus_1"


async def test_of_two_concurrent_first_links_of_a_user_one_is_a_concurrent_change(
    storage: Storage,
) -> None:
    both_have_looked = asyncio.Barrier(2)

    async def link(reference: str) -> None:
        async with storage.unit_of_work() as uow:
            assert not await uow.customers.exists(USER)
            await both_have_looked.wait()
            await uow.customers.save([customer(USER, reference)])
            await uow.commit()

    results = await asyncio.gather(link("cus_1"), link("cus_2"), return_exceptions=True)

    [(error, linked)] = [
        (result, other)
        for result, other in zip(results, ["cus_2", "cus_1"], strict=True)
        if result is not None
    ]
    assert isinstance(error, ConcurrentChange)
    async with storage.unit_of_work() as uow:
        assert await uow.customers.reference_of(USER) == linked


async def test_saving_nobody_is_fine(storage: Storage) -> None:
    await save(storage)


NEWER = known(email="new@example.org", as_of=NOW + HOUR)
OLDER = known(email="old@example.org", as_of=NOW)
UNDATED = known(email="undated@example.org")
RETIRED = Customer(None, "cus_1", retired_at=NOW)
RETIRED_LATER = Customer(USER, "cus_1", retired_at=NOW + HOUR)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(OLDER, NEWER, NEWER, id="the newest contact"),
        pytest.param(UNDATED, OLDER, OLDER, id="a dated contact"),
        pytest.param(
            RETIRED,
            OLDER,
            Customer(
                USER,
                "cus_1",
                email=OLDER.email,
                name=OLDER.name,
                as_of=OLDER.as_of,
                retired_at=NOW,
            ),
            id="the user, the contact and the retirement",
        ),
        pytest.param(
            RETIRED, RETIRED_LATER, Customer(USER, "cus_1", retired_at=NOW), id="the first end"
        ),
        pytest.param(
            Customer(USER, "cus_1", provider_created_at=NOW),
            OLDER,
            Customer(
                USER,
                "cus_1",
                email=OLDER.email,
                name=OLDER.name,
                as_of=OLDER.as_of,
                provider_created_at=NOW,
            ),
            id="the provider's date of creation",
        ),
    ],
)
@pytest.mark.parametrize("there_before", [False, True])
async def test_of_concurrent_saves_of_one_customer_both_have_their_say_in_either_order(
    storage: Storage,
    one: Customer,
    other: Customer,
    expected: Customer,
    swapped: bool,
    there_before: bool,
) -> None:
    if there_before:
        await save(storage, Customer(None, "cus_1", retired_at=NOW + 2 * HOUR))
        expected = Customer(
            expected.user_id,
            "cus_1",
            email=expected.email,
            name=expected.name,
            as_of=expected.as_of,
            provider_created_at=expected.provider_created_at,
            retired_at=expected.retired_at or NOW + 2 * HOUR,
        )
    first, second = (other, one) if swapped else (one, other)
    async with storage.unit_of_work() as early, storage.unit_of_work() as late:
        for uow in (early, late):  # each sees what was there before the other
            await uow.customers.find(["cus_1"], [])
        await early.customers.save([first])
        await early.commit()
        await late.customers.save([second])
        await late.commit()

    assert await find(storage) == expected


async def test_retired_customers_of_a_user_are_counted(storage: Storage) -> None:
    user, nobody = uuid4(), uuid4()
    async with storage.unit_of_work() as uow:
        await uow.customers.save([Customer(user, "cus_old", retired_at=NOW)])
        await uow.customers.save([Customer(user, "cus_new")])
        await uow.commit()

    async with storage.unit_of_work() as uow:
        assert await uow.customers.count_of(user) == 2
        assert await uow.customers.count_of(nobody) == 0
