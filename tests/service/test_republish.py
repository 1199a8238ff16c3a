"""Snapshots sum up what was said, in the order of their subscription."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.subscription import subscription_id
from sandbox.users_service import UsersView
from service.republish import Republish, Selection, WorkersAlive
from tests.builders import OTHER_USER, POLICY
from tests.service.house import House, at
from tests.stripe_payloads import DAY, START, USER, event, invoice, subscription

CREATED = "customer.subscription.created"
UPDATED = "customer.subscription.updated"
DELETED = "customer.subscription.deleted"
SNAPSHOT = "payments.subscription.snapshot.v1"


def republish(house: House, *, page: int = 2) -> Republish:
    return Republish(house.unit_of_work, house.clock, POLICY, house.partitions, page=page)


async def house_with_four() -> House:
    """A trial, one that was paid and then ended, one of another user, one never activated."""
    house = House()
    house.clock.moment = at(START + 40 * DAY)
    await house.run(
        event(CREATED, subscription("sub_1", status="trialing")),
        event(CREATED, subscription("sub_2")),
        event("invoice.paid", invoice("in_2", subscription="sub_2")),
        event(DELETED, subscription("sub_2", status="canceled"), created=START + DAY),
        event(CREATED, subscription("sub_3", user_id=OTHER_USER, customer="cus_3")),
        event(CREATED, subscription("sub_4", status="incomplete")),
    )
    return house


def bodies(house: House) -> list[dict[str, Any]]:
    return [json.loads(message.body) for message in house.published()]


async def test_everything_that_was_spoken_of_is_summed_up_once() -> None:
    house = await house_with_four()
    bodies(house)

    assert await republish(house)(Selection()) == 3
    await house.publish()

    told = bodies(house)
    assert {body["type"] for body in told} == {SNAPSHOT}
    by_id = {body["data"]["subscriptionId"]: body for body in told}
    assert set(by_id) == {str(subscription_id(f"sub_{n}")) for n in (1, 2, 3)}
    ended = by_id[str(subscription_id("sub_2"))]
    assert ended["sequence"] == "4"
    assert ended["time"] == "2026-02-10T00:00:00Z"
    assert ended["data"] == {
        "userId": str(USER),
        "subscriptionId": str(subscription_id("sub_2")),
        "email": "alice@example.com",
        "accessUntil": "2026-01-31T00:00:00Z",
        "status": "canceled",
        "plan": "general",
        "interval": "month",
        "trialEndDate": None,
        "cancelAt": None,
        "endDate": "2026-01-31T00:00:00Z",
    }


async def test_a_snapshot_takes_no_version_and_the_next_message_goes_on() -> None:
    house = await house_with_four()
    bodies(house)
    for _ in range(2):
        await republish(house)(Selection(subscription_id=subscription_id("sub_1")))
        house.clock.advance(timedelta(seconds=1))
    await house.run(event(UPDATED, subscription("sub_1"), created=START + 30 * DAY))

    told = bodies(house)
    assert [(body["type"], body["sequence"]) for body in told] == [
        (SNAPSHOT, "1"),
        (SNAPSHOT, "1"),
        ("payments.subscription.status_changed.v1", "2"),
    ]
    assert len({body["id"] for body in told}) == 3


async def test_one_subscription_one_user_or_all() -> None:
    house = await house_with_four()
    ask = republish(house)

    assert await ask(Selection(subscription_id=subscription_id("sub_3"))) == 1
    assert await ask(Selection(user_id=USER)) == 2
    assert await ask(Selection(subscription_id=subscription_id("sub_4"))) == 0
    assert await ask(Selection(user_id=uuid4())) == 0


async def test_a_dry_run_counts_and_says_nothing() -> None:
    house = await house_with_four()
    bodies(house)

    assert await republish(house)(Selection(), dry_run=True) == 3
    await house.publish()
    assert bodies(house) == []


async def test_access_that_ended_earlier_is_not_said_to_end_with_the_snapshot() -> None:
    house = House()
    await house.run(
        event(CREATED, subscription("sub_1")),
        event(UPDATED, subscription("sub_1", status="unpaid"), created=START + DAY),
    )
    house.clock.moment = at(START + 90 * DAY)
    await republish(house)(Selection())
    await house.publish()

    *_, changed, snapshot = bodies(house)
    assert snapshot["data"]["accessUntil"] == changed["data"]["accessUntil"]
    assert changed["data"]["accessUntil"] == "2026-01-02T00:00:00Z"


async def test_after_a_restore_no_number_that_consumers_may_know_is_given_again() -> None:
    """Three messages and a subscription are lost, and things go on differently from there."""
    house = await house_with_four()
    view = UsersView()
    for body in bodies(house):
        view.apply(body)
    backup = house.store.tables
    lost = [
        event(UPDATED, subscription("sub_1", status="active"), created=START + 2 * DAY),
        event(UPDATED, subscription("sub_1", status="past_due"), created=START + 3 * DAY),
        event(UPDATED, subscription("sub_1", status="active"), created=START + 4 * DAY),
        event(CREATED, subscription("sub_5"), created=START + 2 * DAY),
        event(UPDATED, subscription("sub_5", status="past_due"), created=START + 3 * DAY),
    ]
    await house.run(*lost)
    for body in bodies(house):
        view.apply(body)
    house.store.tables = backup
    await house.partitions.release()

    assert await republish(house).after_restore() == 3
    for ref in ("sub_1", "sub_5"):
        now = subscription(ref, status="canceled")
        await house.run(event(DELETED, now, created=START + 5 * DAY))
    await house.partitions.release()
    # Those that were first heard of in what was lost: nobody knew of them the first time.
    assert await republish(house).after_restore() == 4
    await house.publish()
    for body in bodies(house):
        view.apply(body)

    for ref, row in house.store.tables.subscriptions.items():
        assert view.status_of(str(row.id)) == (row.status if row.version else "none"), ref
    assert view.status_of(str(subscription_id("sub_5"))) == "canceled"


async def test_while_a_worker_is_alive_no_numbers_are_left_out() -> None:
    house = await house_with_four()
    other = House(store=house.store)
    for worker in (house, other, house, other):
        await worker.partitions.renew()
    before = house.store.tables

    with pytest.raises(WorkersAlive):
        await republish(other).after_restore()

    assert house.store.tables == before
    assert not other.partitions.held().partitions, "what it held is given back"


async def test_who_has_every_message_learns_nothing_new_from_a_snapshot() -> None:
    house = await house_with_four()
    all_along, only_snapshots = UsersView(), UsersView()
    for body in bodies(house):
        all_along.apply(body)
    await republish(house)(Selection())
    await house.publish()
    for body in bodies(house):
        only_snapshots.apply(body)

    assert only_snapshots.users == all_along.users
    assert all_along.users
