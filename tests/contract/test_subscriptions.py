"""ports/subscriptions.py."""

from dataclasses import replace
from uuid import uuid4

from domain.events import SubscriptionSnapshot
from domain.plans import Interval, Plan
from domain.subscription import AccessPolicy, Snapshot, Status, Subscription
from tests.contract.storages import Storage
from tests.examples import HOUR, NOW, subscription

USER = uuid4()


async def save(storage: Storage, *subscriptions: Subscription) -> None:
    async with storage.unit_of_work() as uow:
        await uow.subscriptions.save(subscriptions)
        await uow.commit()


async def find(storage: Storage, *references: str) -> list[Subscription]:
    async with storage.unit_of_work() as uow:
        return list(await uow.subscriptions.find(references))


async def test_a_subscription_is_found_as_it_was_saved(storage: Storage) -> None:
    saved = Subscription(
        user_id=USER,
        customer_ref="cus_1",
        subscription_ref="sub_1",
        livemode=True,
        facts=Snapshot(
            status=Status.PAST_DUE,
            plan=Plan.EVENT_ORGANIZER,
            interval=Interval.YEAR,
            price_ref="price_1",
            start=NOW,
            end=NOW + 1 * HOUR,
            trial_end=NOW + 2 * HOUR,
            current_period_start=NOW + 3 * HOUR,
            current_period_end=NOW + 4 * HOUR,
            cancel_at=NOW + 5 * HOUR,
        ),
        activated=True,
        version=7,
        as_of=NOW.replace(microsecond=2),
        told=SubscriptionSnapshot(
            USER, "past_due", "general", "month", NOW, NOW + HOUR, None, NOW + 2 * HOUR
        ),
    )
    await save(storage, saved)

    [found] = await find(storage, "sub_1")
    assert found == saved
    assert found.id == saved.id


async def test_what_is_not_known_yet_stays_so(storage: Storage) -> None:
    saved = Subscription(uuid4(), None, "sub_1", facts=Snapshot(status="some_new_status"))
    await save(storage, saved)

    assert await find(storage, "sub_1") == [saved]


async def test_saving_a_known_reference_again_updates_its_row(storage: Storage) -> None:
    await save(storage, subscription())
    [changed] = await find(storage, "sub_1")
    changed.observe(
        Snapshot(status=Status.CANCELED, start=NOW, end=NOW + HOUR), NOW + HOUR, AccessPolicy()
    )
    await save(storage, changed)

    [found] = await find(storage, "sub_1")
    assert found == changed
    assert found.version == 2


async def test_several_are_saved_and_found_together_and_unknown_ones_left_out(
    storage: Storage,
) -> None:
    known = subscription("sub_1")
    await save(storage, known)
    known.customer_ref = "cus_2"
    new = subscription("sub_2")
    await save(storage, new, known)

    found = await find(storage, "sub_1", "sub_2", "sub_3")
    assert sorted(found, key=lambda s: s.subscription_ref) == [known, new]
    assert await find(storage) == []


async def test_saving_none_is_fine(storage: Storage) -> None:
    await save(storage)


async def test_changing_what_was_found_changes_nothing_before_it_is_saved(
    storage: Storage,
) -> None:
    saved = subscription()
    await save(storage, saved)
    [found] = await find(storage, "sub_1")
    found.update_status(Status.PAUSED, NOW, AccessPolicy())
    saved.update_status(Status.PAUSED, NOW, AccessPolicy())

    [again] = await find(storage, "sub_1")
    assert again.status == Status.ACTIVE


async def test_a_users_subscriptions_come_newest_first(storage: Storage) -> None:
    user = uuid4()
    middle = subscription("sub_1", user_id=user, start=NOW)
    newest = subscription("sub_2", user_id=user, start=NOW + HOUR)
    oldest = subscription("sub_3", user_id=user, start=NOW - HOUR)
    not_started = Subscription(user, "cus_1", "sub_4")
    await save(storage, middle, newest, oldest, not_started, subscription("sub_5"))

    async with storage.unit_of_work() as uow:
        found = await uow.subscriptions.of_user(user)
        assert await uow.subscriptions.of_user(uuid4()) == []
    assert list(found) == [newest, middle, oldest, not_started]


async def test_what_was_spoken_of_is_paged_through_in_one_order(storage: Storage) -> None:
    user = uuid4()
    spoken_of = [replace(subscription(f"sub_{n}"), version=1) for n in (3, 1, 5, 2)]
    spoken_of[0].user_id = user
    await save(storage, *spoken_of, subscription("sub_4", user_id=user))

    async with storage.unit_of_work() as uow:
        page = uow.subscriptions.references
        assert await page("", limit=3) == ["sub_1", "sub_2", "sub_3"]
        assert await page("sub_3", limit=3) == ["sub_5"]
        assert await page("sub_5", limit=3) == []
        assert await page("", limit=3, user_id=user) == ["sub_3"]
        assert await page("", limit=3, subscription_id=spoken_of[2].id) == ["sub_5"]
        assert await page("", limit=3, subscription_id=uuid4()) == []


async def test_what_was_never_confirmed_is_paged_through_in_one_order(storage: Storage) -> None:
    begun = [subscription(f"sub_{n}", start=NOW - HOUR) for n in (3, 1, 5)]
    young = subscription("sub_4", start=NOW)
    running = subscription("sub_2", start=NOW - HOUR)
    for one in (*begun, young):
        one.facts = replace(one.facts, status=Status.INCOMPLETE)
    await save(storage, *begun, young, running)

    async with storage.unit_of_work() as uow:
        page = uow.subscriptions.unconfirmed
        assert await page(NOW, "", limit=2) == ["sub_1", "sub_3"]
        assert await page(NOW, "sub_3", limit=2) == ["sub_5"]
        assert await page(NOW - HOUR, "", limit=2) == []


async def test_what_is_held_is_given_as_it_is(storage: Storage) -> None:
    saved = [subscription("sub_1"), subscription("sub_2")]
    await save(storage, *saved)

    async with storage.unit_of_work() as uow:
        held = await uow.subscriptions.hold(["sub_1", "sub_2", "sub_3"], wait=False)
        assert sorted(held, key=lambda s: s.subscription_ref) == saved
        assert await uow.subscriptions.hold(["sub_1"], wait=True) == [saved[0]]
