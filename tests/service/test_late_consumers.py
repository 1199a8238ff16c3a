"""Who comes late, takes snapshots over and hears the rest knows what the others know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.users_service import GapError, UsersView
from service.republish import Republish, Selection
from tests.builders import POLICY
from tests.service.histories import History, histories, provider_after
from tests.service.house import House
from tests.stripe_payloads import DAY, START, Payload, event, invoice, subscription

CREATED = "customer.subscription.created"
UPDATED = "customer.subscription.updated"
DELETED = "customer.subscription.deleted"
TRIAL_ENDS = "customer.subscription.trial_will_end"
SNAPSHOT = "payments.subscription.snapshot.v1"


async def republished(house: House) -> list[dict[str, Any]]:
    await Republish(house.unit_of_work, house.clock, POLICY, house.partitions)(Selection())
    await house.publish()
    return [json.loads(message.body) for message in house.published()]


async def told_in_order(house: House, deliveries: list[Payload]) -> list[list[dict[str, Any]]]:
    """What is published at each delivery, snapshots of everything last."""
    told = []
    for delivered in deliveries:
        await house.run(delivered)
        house.clock.advance(timedelta(days=1))
        told.append(await republished(house))
    return told


def late(told: list[list[dict[str, Any]]]) -> UsersView:
    """The view of who begins with nothing and hears this; what skips a number is dropped."""
    view = UsersView()
    for body in (body for bodies in told for body in bodies):
        try:
            view.apply(body)
        except GapError:
            continue
    return view


def all_along(told: list[list[dict[str, Any]]]) -> UsersView:
    """The view of who hears every message, and of no snapshot."""
    view = UsersView()
    for body in (body for bodies in told for body in bodies):
        if body["type"] != SNAPSHOT:
            view.apply(body)
    return view


# What each message says, field by field, under the name that a snapshot has for it.
SAYS: Mapping[str, Mapping[str, str]] = {
    "payments.subscription.activated.v1": {
        "status": "status",
        "plan": "plan",
        "interval": "interval",
        "trialEndDate": "trialEndDate",
    },
    "payments.subscription.status_changed.v1": {"newStatus": "status"},
    "payments.subscription.canceled.v1": {"endDate": "endDate"},
    "payments.subscription.trial_ending.v1": {"trialEndDate": "trialEndDate"},
    "payments.subscription.cancellation_scheduled.v1": {"cancelAt": "cancelAt"},
    "payments.subscription.cancellation_withdrawn.v1": {},
    "payments.subscription.plan_changed.v1": {"newPlan": "plan", "newInterval": "interval"},
    "payments.payment.succeeded.v1": {},
    "payments.payment.failed.v1": {},
}
NOTHING_SAID: Mapping[str, Any] = {
    **dict.fromkeys(("interval", "trialEndDate", "cancelAt", "endDate", "accessUntil", "email")),
    "status": "none",
    "plan": "unknown",
}


def summed_up(told: list[list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Every field that the messages said of each subscription, the last word of each."""
    sums: dict[str, dict[str, Any]] = {}
    for body in (body for bodies in told for body in bodies):
        kind, data = body["type"], body["data"]
        if kind == SNAPSHOT:
            continue
        known = sums.setdefault(data["subscriptionId"], dict(NOTHING_SAID))
        known |= {name: data[field] for field, name in SAYS[kind].items()}
        known |= {name: data[name] for name in ("userId", "subscriptionId", "accessUntil")}
        if kind.endswith((".canceled.v1", ".cancellation_withdrawn.v1")):
            known["cancelAt"] = None
    return sums


def assert_all_know_the_same(told: list[list[dict[str, Any]]]) -> None:
    for now in range(1, len(told) + 1):
        assert summed_up(told[:now]) == {
            body["data"]["subscriptionId"]: body["data"] | {"email": None}  # it is today's
            for body in told[now - 1]
            if body["type"] == SNAPSHOT
        }
        live = all_along(told[:now])
        for joined in range(now):
            # From the snapshots of one moment on, with none later than those.
            later = [[b for b in bodies if b["type"] != SNAPSHOT] for bodies in told[:now]]
            snapshots = [b for b in told[joined] if b["type"] == SNAPSHOT]
            assert late([snapshots, *later[joined + 1 :]]).users == live.users


@given(histories(), st.data())
@settings(max_examples=150, deadline=None)
def test_joining_at_any_point_of_any_history_leads_to_the_same_view(
    history: History, data: st.DataObject
) -> None:
    deliveries = data.draw(st.permutations(history.events))
    house = House(provider=provider_after(history))
    assert_all_know_the_same(asyncio.run(told_in_order(house, deliveries)))


def life(*changes: tuple[str, dict[str, Any]]) -> list[Payload]:
    """A subscription's webhooks, a day apart."""
    return [
        event(kind, subscription("sub_1", **about), created=START + day * DAY)
        for day, (kind, about) in enumerate(changes)
    ]


ORGANIZER = {"lookup_key": "event_organizer_monthly"}
NEXT_PERIOD = {"period": (START + 30 * DAY, START + 60 * DAY)}


async def test_a_new_period_that_is_not_paid_either_is_learnt_late_as_by_the_others() -> None:
    changes = life(
        (CREATED, {}),
        (UPDATED, {"status": "past_due"}),
        (UPDATED, {"status": "past_due", **NEXT_PERIOD}),
    )
    told = await told_in_order(House(), changes)

    assert_all_know_the_same(told)
    assert [b["data"]["accessUntil"] for b in told[2]] == ["2026-01-08T00:00:00Z"]


async def test_an_end_that_overtakes_a_change_of_plan_leaves_the_plan_that_was_told() -> None:
    first, changed, deleted = life(
        (CREATED, {}), (UPDATED, ORGANIZER), (DELETED, {"status": "canceled", **ORGANIZER})
    )
    told = await told_in_order(House(), [first, deleted, changed])

    assert_all_know_the_same(told)
    assert [b["data"]["plan"] for b in told[2]] == ["general"]


async def test_an_end_that_is_scheduled_moved_and_taken_back_is_in_the_snapshots() -> None:
    told = await told_in_order(
        House(),
        life(
            (CREATED, {}),
            (UPDATED, {"cancel_at": START + 20 * DAY}),
            (UPDATED, {"cancel_at_period_end": True}),
            (UPDATED, {}),
            (UPDATED, {"cancel_at": START + 20 * DAY}),
            (DELETED, {"status": "canceled", "ended_at": START + 5 * DAY}),
        ),
    )

    assert_all_know_the_same(told)
    assert [bodies[-1]["data"]["cancelAt"] for bodies in told] == [
        None,
        "2026-01-21T00:00:00Z",
        "2026-01-31T00:00:00Z",
        None,
        "2026-01-21T00:00:00Z",
        None,
    ]


async def test_a_notice_that_comes_after_the_end_is_told_of_and_moves_no_end() -> None:
    """As the pages of these messages warn: with a trial's end that is still to come."""
    trial = {"status": "trialing"}
    first, notice, end = life(
        (CREATED, trial), (TRIAL_ENDS, trial), (DELETED, {"status": "canceled"})
    )
    bill = event("invoice.payment_failed", invoice(paid=False), created=START + DAY)
    told = await told_in_order(House(), [first, end, notice, bill])

    assert_all_know_the_same(told)
    assert [body["type"] for bodies in told for body in bodies if body["type"] != SNAPSHOT] == [
        "payments.subscription.activated.v1",
        "payments.subscription.status_changed.v1",
        "payments.subscription.canceled.v1",
        "payments.subscription.trial_ending.v1",
        "payments.payment.failed.v1",
    ]
    assert told[2][0]["data"]["trialEndDate"] > told[2][0]["time"]


async def test_what_was_never_activated_may_be_spoken_of_after_its_end() -> None:
    begun, expired = life(
        (CREATED, {"status": "incomplete"}), (UPDATED, {"status": "incomplete_expired"})
    )
    bill = event("invoice.payment_failed", invoice(paid=False), created=START)
    told = await told_in_order(House(), [begun, bill, expired])

    assert_all_know_the_same(told)
    assert [body["type"] for bodies in told for body in bodies if body["type"] != SNAPSHOT] == [
        "payments.subscription.status_changed.v1",
        "payments.subscription.canceled.v1",
        "payments.payment.failed.v1",
    ]


async def test_of_what_never_granted_access_no_plan_is_told() -> None:
    told = await told_in_order(
        House(),
        life((CREATED, {"status": "incomplete"}), (UPDATED, {"status": "incomplete_expired"})),
    )

    assert_all_know_the_same(told)
    assert told[1][-1]["data"]["plan"] == "unknown"
    assert told[1][-1]["data"]["interval"] is None


async def test_an_invoice_of_what_is_unpaid_moves_nothing_for_some_alone() -> None:
    changes = life((CREATED, {}), (UPDATED, {"status": "unpaid"}), (UPDATED, {"status": "unpaid"}))
    bill = event(
        "invoice.payment_failed", invoice("in_1", subscription="sub_1"), created=START + 5 * DAY
    )
    assert_all_know_the_same(await told_in_order(House(), [*changes[:2], bill, changes[2]]))


async def test_a_second_word_about_the_end_is_told_to_nobody() -> None:
    changes = life(
        (CREATED, {}),
        (DELETED, {"status": "canceled", "ended_at": START + DAY}),
        (DELETED, {"status": "canceled", "ended_at": START + 9 * DAY}),
    )
    told = await told_in_order(House(), changes)

    assert_all_know_the_same(told)
    assert [b["data"]["endDate"] for b in told[2]] == ["2026-01-02T00:00:00Z"]
