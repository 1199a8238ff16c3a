"""The messages others build on: these names and fields are the contract."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from typing import Any, Final, get_args
from uuid import uuid5

import pytest

from domain import events
from domain.events import Occurrence, PaymentFailure
from domain.money import Money
from domain.plans import Interval, Plan
from domain.subscription import Status, Subscription
from service.event_messages import MESSAGE_TYPES, write_message
from tests.builders import TRACE
from tests.stripe_payloads import DAY, START, USER, at

WHEN: Final = at(START)
LATER: Final = at(START + 180 * DAY)
SUBSCRIPTION: Final = Subscription(USER, "cus_1", "sub_1")
PRICE: Final = Money(1000, "usd")

# routing key, must be routed, event, its own part of the data
GOLDEN: Final[list[tuple[str, bool, events.Event, dict[str, Any]]]] = [
    (
        "payments.subscription.activated.v1",
        True,
        events.SubscriptionActivated(
            USER, Status.TRIALING, Plan.GENERAL, Interval.MONTH, LATER, LATER
        ),
        {
            "status": "trialing",
            "plan": "general",
            "interval": "month",
            "trialEndDate": "2026-06-30T00:00:00Z",
        },
    ),
    (
        "payments.subscription.status_changed.v1",
        True,
        events.SubscriptionStatusChanged(USER, Status.TRIALING, "on_hold", LATER),
        {"oldStatus": "trialing", "newStatus": "on_hold"},
    ),
    (
        "payments.subscription.canceled.v1",
        True,
        events.SubscriptionCanceled(USER, LATER, LATER),
        {"endDate": "2026-06-30T00:00:00Z"},
    ),
    (
        "payments.subscription.trial_ending.v1",
        False,
        events.SubscriptionTrialEnding(USER, LATER, LATER),
        {"trialEndDate": "2026-06-30T00:00:00Z"},
    ),
    (
        "payments.subscription.cancellation_scheduled.v1",
        False,
        events.SubscriptionCancellationScheduled(USER, LATER, LATER),
        {"cancelAt": "2026-06-30T00:00:00Z"},
    ),
    (
        "payments.subscription.cancellation_withdrawn.v1",
        False,
        events.SubscriptionCancellationWithdrawn(USER, LATER),
        {},
    ),
    (
        "payments.subscription.plan_changed.v1",
        False,
        events.SubscriptionPlanChanged(
            USER, Plan.UNKNOWN, None, Plan.EVENT_ORGANIZER, Interval.YEAR, LATER
        ),
        {
            "oldPlan": "unknown",
            "oldInterval": None,
            "newPlan": "event_organizer",
            "newInterval": "year",
        },
    ),
    (
        "payments.payment.succeeded.v1",
        False,
        events.PaymentSucceeded(USER, "in_1", PRICE, "https://hosted", "https://pdf", LATER),
        {
            "invoiceId": "in_1",
            "amount": 1000,
            "currency": "usd",
            "hostedInvoiceUrl": "https://hosted",
            "invoicePdf": "https://pdf",
        },
    ),
    (
        "payments.payment.failed.v1",
        False,
        events.PaymentFailed(
            USER, "in_1", PRICE, PaymentFailure.ACTION_REQUIRED, 2, None, None, LATER
        ),
        {
            "invoiceId": "in_1",
            "amount": 1000,
            "currency": "usd",
            "reason": "action_required",
            "attemptCount": 2,
            "nextAttemptAt": None,
            "hostedInvoiceUrl": None,
        },
    ),
    (
        "payments.subscription.snapshot.v1",
        False,
        events.SubscriptionSnapshot(
            USER, "canceled", Plan.GENERAL, Interval.MONTH, LATER, None, LATER, LATER
        ),
        {
            "status": "canceled",
            "plan": "general",
            "interval": "month",
            "trialEndDate": "2026-06-30T00:00:00Z",
            "cancelAt": None,
            "endDate": "2026-06-30T00:00:00Z",
        },
    ),
]


def decoded(event: events.Event, *, version: int = 7, email: str | None = "a@b.example") -> Any:
    occurrence = Occurrence(version, WHEN, event)
    return json.loads(write_message(occurrence, SUBSCRIPTION, email, TRACE).body)


def test_every_event_has_a_message_type_and_a_golden_example() -> None:
    kinds = set(get_args(events.Event))

    assert set(MESSAGE_TYPES) == kinds
    assert {type(event) for _, _, event, _ in GOLDEN} == kinds


def test_no_two_events_share_a_routing_key() -> None:
    keys = [kind.routing_key for kind in MESSAGE_TYPES.values()]

    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(("routing_key", "must_be_routed", "event", "own"), GOLDEN)
def test_a_message_reads_exactly_so(
    routing_key: str, must_be_routed: bool, event: events.Event, own: dict[str, Any]
) -> None:
    message = write_message(Occurrence(7, WHEN, event), SUBSCRIPTION, "a@b.example", TRACE)

    assert json.loads(message.body) == {
        "specversion": "1.0",
        "id": str(message.id),
        "source": "/payments",
        "type": routing_key,
        "subject": str(USER),
        "time": "2026-01-01T00:00:00Z",
        "datacontenttype": "application/json",
        "sequence": "7",
        "traceparent": TRACE,
        "data": {
            "userId": str(USER),
            "subscriptionId": str(SUBSCRIPTION.id),
            "email": "a@b.example",
            "accessUntil": "2026-06-30T00:00:00Z",
            **own,
        },
    }
    numbered = not isinstance(event, events.SubscriptionSnapshot)
    own_name = "7" if numbered else f"{routing_key} 2026-01-01T00:00:00+00:00"
    assert message.id == uuid5(SUBSCRIPTION.id, own_name)
    assert message.type == routing_key
    assert message.must_be_routed is must_be_routed
    assert message.subscription_id == SUBSCRIPTION.id
    assert message.ordering_key == "sub_1"
    assert message.version == (7 if numbered else 0)


def test_a_field_without_a_value_is_null_rather_than_absent() -> None:
    event = events.SubscriptionActivated(USER, "active", "unknown", None, None, None)

    data = decoded(event, email=None)["data"]

    assert [data[name] for name in ("email", "accessUntil", "interval", "trialEndDate")] == (
        [None] * 4
    )


def test_the_same_occurrence_always_has_the_same_id_and_another_another() -> None:
    event = events.SubscriptionCancellationWithdrawn(USER, None)

    def id_of(version: int, ref: str) -> object:
        return write_message(
            Occurrence(version, WHEN, event), Subscription(USER, "cus_1", ref), None, TRACE
        ).id

    assert id_of(1, "sub_1") == id_of(1, "sub_1")
    assert len({id_of(1, "sub_1"), id_of(2, "sub_1"), id_of(1, "sub_2")}) == 3


def test_the_time_is_told_in_utc_wherever_it_comes_from() -> None:
    elsewhere = WHEN.astimezone(timezone(timedelta(hours=5)))
    event = events.SubscriptionCancellationWithdrawn(USER, None)

    message = write_message(Occurrence(1, elsewhere, event), SUBSCRIPTION, None, TRACE)

    assert json.loads(message.body)["time"] == "2026-01-01T00:00:00Z"
