"""The subscription: what is refused, what is said, who has access, in whatever order."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import events
from domain.errors import (
    AlreadyCanceled,
    InvalidPeriod,
    NoActiveSubscription,
    PaymentsError,
    TransitionRefused,
)
from domain.money import Money
from domain.plans import Interval, Plan
from domain.subscription import (
    ENDED,
    TRANSITIONS,
    UNKNOWN_STATUS_TRANSITIONS,
    AccessPolicy,
    Action,
    Freshness,
    Snapshot,
    Status,
    Subscription,
    subscription_id,
)
from domain.watermark import Rank, watermark
from tests.builders import POLICY, snapshot
from tests.grammar import check_grammar
from tests.stripe_payloads import DAY, START, USER, at

UNKNOWN: Final = "on_hold"  # no status of today's
STATUSES: Final = (*(str(status) for status in Status), UNKNOWN)
NOW: Final = at(START + 20 * DAY)

statuses = st.sampled_from(STATUSES)
moments = st.integers(-10, 400).map(lambda day: at(START + day * DAY))
snapshots = st.builds(
    Snapshot,
    status=statuses,
    plan=st.sampled_from([str(plan) for plan in Plan]),
    interval=st.sampled_from([None, *Interval]),
    price_ref=st.sampled_from([None, "price_1", "price_2"]),
    start=st.none() | moments,
    end=st.none() | moments,
    trial_end=st.none() | moments,
    current_period_start=st.none() | moments,
    current_period_end=st.none() | moments,
    cancel_at=st.none() | moments,
)
watermarks = st.builds(
    lambda second, rank: watermark(at(START + second), rank),
    st.integers(0, 5),
    st.sampled_from(Rank),
)
subscriptions = st.builds(
    lambda facts, as_of, activated, version: Subscription(
        USER,
        "cus_1",
        "sub_1",
        facts=facts,
        activated=activated,
        version=version,
        as_of=as_of,
    ),
    snapshots,
    st.none() | watermarks,
    st.booleans(),
    st.integers(0, 9),
)

Command = Callable[[Subscription], None]
commands: st.SearchStrategy[Command] = st.one_of(
    moments.map(lambda when: lambda s: s.activate(when, POLICY)),
    st.builds(
        lambda when, end: lambda s: s.activate(when, POLICY, trial_end=end), moments, moments
    ),
    moments.map(lambda when: lambda s: s.cancel(when, POLICY)),
    st.builds(lambda to, when: lambda s: s.update_status(to, when, POLICY), statuses, moments),
    st.builds(lambda seen, as_of: lambda s: s.observe(seen, as_of, POLICY), snapshots, watermarks),
)


def subscription(
    status: str = "active", *, activated: bool = True, **facts: object
) -> Subscription:
    return Subscription(
        USER, "cus_1", "sub_1", facts=snapshot(status, **facts), activated=activated
    )


def told(subscription: Subscription) -> list[events.Event]:
    return [occurrence.event for occurrence in subscription.pull_occurrences()]


# What is refused


def test_every_known_status_has_a_row_and_nothing_leaves_what_has_ended() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert all(not TRANSITIONS[status] for status in ENDED)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("status", STATUSES)
def test_an_action_leads_where_the_table_says_or_is_refused_without_a_trace(
    status: str, action: Action
) -> None:
    subject = subscription(status, activated=False)
    before = deepcopy(subject)
    act: dict[Action, Callable[[], None]] = {
        Action.ACTIVATE: lambda: subject.activate(NOW, POLICY),
        Action.START_TRIAL: lambda: subject.activate(
            NOW, POLICY, trial_end=NOW + timedelta(days=180)
        ),
        Action.CANCEL: lambda: subject.cancel(NOW, POLICY),
    }
    row = TRANSITIONS.get(status, UNKNOWN_STATUS_TRANSITIONS)

    if action in row:
        act[action]()
        assert subject.status == row[action]
        assert subject.version > 0
    else:
        with pytest.raises((TransitionRefused, NoActiveSubscription, AlreadyCanceled)):
            act[action]()
        assert subject == before
        assert told(subject) == []


@settings(max_examples=400)
@given(subject=subscriptions, command=commands)
def test_a_refused_command_changes_nothing_and_says_nothing(
    subject: Subscription, command: Command
) -> None:
    before = deepcopy(subject)
    try:
        command(subject)
    except PaymentsError:
        assert subject == before
        assert told(subject) == []


@pytest.mark.parametrize("new", STATUSES)
@pytest.mark.parametrize("old", STATUSES)
def test_the_provider_may_report_any_status_unless_it_would_revive_what_has_ended(
    old: str, new: str
) -> None:
    reports: list[Command] = [
        lambda s: s.update_status(new, NOW, POLICY),
        lambda s: s.observe(snapshot(new), NOW, POLICY),
    ]
    for report in reports:
        subject = subscription(old)
        before = deepcopy(subject)
        if old in ENDED and new not in ENDED:
            with pytest.raises(TransitionRefused):
                report(subject)
            assert subject == before
            assert told(subject) == []
        else:
            report(subject)
            assert subject.status == new


@given(subject=subscriptions, script=st.lists(commands, max_size=6))
def test_what_has_ended_stays_ended(subject: Subscription, script: list[Command]) -> None:
    subject.facts = replace(subject.facts, status=Status.CANCELED)
    for command in script:
        try:
            command(subject)
        except PaymentsError:
            continue
        assert subject.has_ended
    assert told(subject) == []


# The rules of the product


@pytest.mark.parametrize("status", sorted(ENDED))
def test_nothing_is_canceled_twice(status: str) -> None:
    with pytest.raises(AlreadyCanceled):
        subscription(status).cancel(NOW, POLICY)


@pytest.mark.parametrize("status", [Status.NONE, Status.INCOMPLETE])
def test_without_an_active_subscription_there_is_nothing_to_cancel(status: str) -> None:
    with pytest.raises(NoActiveSubscription):
        subscription(status, activated=False).cancel(NOW, POLICY)


def test_a_subscription_of_an_unknown_status_can_be_left() -> None:
    subject = subscription(UNKNOWN)

    subject.cancel(NOW, POLICY)

    assert subject.status == Status.CANCELED


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_user_cannot_end_a_subscription_at_or_before_its_start(seconds: int) -> None:
    with pytest.raises(InvalidPeriod):
        subscription("active", start=NOW).cancel(NOW + timedelta(seconds=seconds), POLICY)


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_trial_must_end_after_it_starts(seconds: int) -> None:
    with pytest.raises(InvalidPeriod):
        subscription("none", activated=False).activate(
            NOW, POLICY, trial_end=NOW + timedelta(seconds=seconds)
        )


def test_an_end_at_the_very_start_is_believed_when_the_provider_reports_it() -> None:
    subject = subscription("active")

    subject.observe(snapshot("canceled", start=NOW, end=NOW), NOW, POLICY)

    assert subject.facts.end == subject.facts.start


def test_canceling_ends_the_subscription_at_that_moment() -> None:
    subject = subscription("active")

    subject.cancel(NOW, POLICY)

    assert subject.facts.end == NOW
    assert told(subject) == [
        events.SubscriptionStatusChanged(USER, "active", "canceled", NOW),
        events.SubscriptionCanceled(USER, NOW, NOW),
    ]


def test_a_trial_is_expired_from_the_moment_it_ends() -> None:
    subject = subscription("trialing", trial_end=NOW)

    assert not subject.is_trial_expired(NOW - timedelta(microseconds=1))
    assert subject.is_trial_expired(NOW)
    assert not subscription("active").is_trial_expired(NOW)


# What is said


@settings(max_examples=400)
@given(script=st.lists(commands, max_size=8), notices=st.sets(st.integers(0, 8), max_size=3))
def test_whatever_happens_the_history_is_grammatical(
    script: list[Command], notices: set[int]
) -> None:
    subject = Subscription(USER, "cus_1", "sub_1")
    history: list[events.Occurrence] = []
    for step, command in enumerate(script):
        try:
            command(subject)
        except PaymentsError:
            continue
        if step in notices and subject.may_be_spoken_of:
            subject.announce_trial_ending(NOW, NOW, POLICY)
        history += subject.pull_occurrences()

    check_grammar(history)
    assert subject.version == len(history)
    changes = [said.event for said in history]
    last = [e for e in changes if isinstance(e, events.SubscriptionStatusChanged)][-1:]
    if subject.activated and not subject.has_ended:
        started = [e.status for e in changes if isinstance(e, events.SubscriptionActivated)]
        assert subject.status == (last[0].new_status if last else started[0])
    assert subject.has_ended == any(isinstance(e, events.SubscriptionCanceled) for e in changes)


@settings(max_examples=300)
@given(st.lists(st.tuples(snapshots, watermarks), max_size=8))
def test_snapshots_in_any_order_tell_a_grammatical_history(
    seen: list[tuple[Snapshot, datetime]],
) -> None:
    check_grammar(fold(seen)[1])


def test_nothing_is_said_of_an_attempt_until_it_expires() -> None:
    subject = Subscription(USER, "cus_1", "sub_1")

    subject.observe(snapshot("incomplete"), at(START), POLICY)
    assert told(subject) == []
    assert not subject.may_be_spoken_of

    subject.observe(snapshot("expired", end=NOW), NOW, POLICY)
    assert told(subject) == [
        events.SubscriptionStatusChanged(USER, "incomplete", "expired", NOW),
        events.SubscriptionCanceled(USER, NOW, NOW),
    ]
    assert subject.may_be_spoken_of


def test_a_trial_that_becomes_a_paid_subscription_is_activated_once() -> None:
    subject = Subscription(USER, "cus_1", "sub_1")

    subject.observe(snapshot("trialing", trial_end=NOW), at(START), POLICY)
    subject.observe(snapshot("active", trial_end=NOW), NOW, POLICY)

    assert told(subject) == [
        events.SubscriptionActivated(USER, "trialing", "general", "month", NOW, None),
        events.SubscriptionStatusChanged(USER, "trialing", "active", None),
    ]


def test_a_schedule_and_a_plan_are_told_of_when_they_change() -> None:
    subject = subscription("active")
    leaving = NOW + timedelta(days=5)

    subject.observe(snapshot("active", cancel_at=leaving), at(START + 1), POLICY)
    subject.observe(snapshot("active", plan=Plan.EVENT_ORGANIZER), at(START + 2), POLICY)

    assert told(subject) == [
        events.SubscriptionCancellationScheduled(USER, leaving, leaving),
        events.SubscriptionPlanChanged(USER, "general", "month", "event_organizer", "month", None),
        events.SubscriptionCancellationWithdrawn(USER, None),
    ]


def test_a_subscription_that_begins_with_its_end_scheduled_says_both() -> None:
    subject = Subscription(USER, "cus_1", "sub_1")

    subject.observe(snapshot("trialing", cancel_at=NOW), at(START), POLICY)

    assert [type(event) for event in told(subject)] == [
        events.SubscriptionActivated,
        events.SubscriptionCancellationScheduled,
    ]


def test_a_payment_is_told_with_a_version_of_its_own() -> None:
    subject = subscription("active")
    paid = events.PaymentSucceeded(USER, "in_1", Money(1000, "usd"), None, None, None)

    subject.announce_payment(paid, NOW)

    assert subject.pull_occurrences() == [events.Occurrence(1, NOW, paid)]
    assert subject.pull_occurrences() == []


def test_a_draft_has_all_that_the_original_has() -> None:
    subject = subscription("active")
    kept = [field.name for field in fields(subject) if field.compare]
    for name in kept:
        setattr(subject, name, f"the {name}")

    draft = subject.draft()

    assert [getattr(draft, name) for name in kept] == [f"the {name}" for name in kept]


def test_a_draft_leaves_the_original_as_it_was() -> None:
    subject = subscription("active")
    before = deepcopy(subject)

    draft = subject.draft()
    draft.cancel(NOW, POLICY)

    assert subject == before
    assert told(subject) == []
    assert len(told(draft)) == 2


def test_the_ids_of_a_subscription_follow_from_its_reference() -> None:
    assert subscription_id("sub_1") == subscription("active").id == subscription_id("sub_1")
    assert subscription_id("sub_1") != subscription_id("sub_2")


# Order


def fold(seen: list[tuple[Snapshot, datetime]]) -> tuple[Subscription, list[events.Occurrence]]:
    subject = Subscription(USER, "cus_1", "sub_1")
    history = []
    for facts, as_of in seen:
        if subject.freshness(facts, as_of) is Freshness.NEWER:
            subject.observe(facts, as_of, POLICY)
            history += subject.pull_occurrences()
    return subject, history


@settings(max_examples=300)
@given(
    seen=st.lists(st.tuples(snapshots, watermarks), max_size=8, unique_by=lambda pair: pair[1]),
    seed=st.integers(0, 2**32),
)
def test_any_order_and_repetition_of_snapshots_leaves_the_same_facts(
    seen: list[tuple[Snapshot, datetime]], seed: int
) -> None:
    shuffled = seen + seen[: seed % 3]
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order, not a secret

    ordered, _ = fold(sorted(seen, key=lambda pair: pair[1]))
    found, history = fold(shuffled)

    assert (found.facts, found.as_of) == (ordered.facts, ordered.as_of)
    check_grammar(history)


def test_within_a_second_created_comes_before_updated_before_deleted() -> None:
    moment = at(START)

    assert (
        watermark(moment, Rank.CREATED)
        < watermark(moment, Rank.UPDATED)
        < watermark(moment, Rank.DELETED)
        < watermark(at(START + 1), Rank.CREATED)
    )


def test_an_end_outranks_every_time_stamp() -> None:
    subject = subscription("active")
    subject.as_of = at(START + 100)
    ending = snapshot("canceled")

    assert subject.freshness(ending, at(START)) is Freshness.NEWER
    subject.observe(ending, at(START), POLICY)
    assert subject.freshness(snapshot("active"), at(START + 200)) is Freshness.STALE


def test_two_snapshots_with_one_watermark_are_a_tie_unless_they_are_equal() -> None:
    subject = subscription("active")
    subject.as_of = at(START)

    assert subject.freshness(subject.facts, at(START)) is Freshness.STALE
    assert subject.freshness(snapshot("past_due"), at(START)) is Freshness.TIE


# Access


@pytest.mark.parametrize(
    ("status", "granted"),
    [
        ("none", False),
        ("incomplete", False),
        ("trialing", True),
        ("active", True),
        ("past_due", True),
        ("unpaid", False),
        ("paused", False),
        ("expired", False),
        ("canceled", False),
        (UNKNOWN, False),
    ],
)
def test_access_by_status(status: str, granted: bool) -> None:
    subject = subscription(status, current_period_start=NOW)

    assert subject.has_active_subscription(NOW, POLICY) is granted


def test_every_known_status_is_in_the_table_above() -> None:
    assert set(STATUSES) == {*Status, UNKNOWN}


@pytest.mark.parametrize("days", [0, 1, 7, 30])
def test_past_due_keeps_access_until_the_grace_is_over(days: int) -> None:
    policy = AccessPolicy(timedelta(days=days))
    subject = subscription("past_due", current_period_start=NOW)
    over = NOW + timedelta(days=days)

    assert subject.has_active_subscription(over - timedelta(microseconds=1), policy)
    assert not subject.has_active_subscription(over, policy)
    assert subject.access_until(NOW - timedelta(days=1), policy) == over


def test_past_due_without_a_known_period_grants_nothing() -> None:
    subject = subscription("past_due", current_period_start=None)

    assert not subject.has_active_subscription(NOW, POLICY)
    assert subject.access_until(NOW, POLICY) == NOW


@pytest.mark.parametrize("status", ["trialing", "active"])
def test_access_ends_when_a_cancellation_is_scheduled_and_else_has_no_end(status: str) -> None:
    leaving = NOW + timedelta(days=3)

    assert subscription(status).access_until(NOW, POLICY) is None
    assert subscription(status, cancel_at=leaving).access_until(NOW, POLICY) == leaving


def test_a_cancellation_before_the_end_of_the_grace_ends_access_earlier() -> None:
    leaving = NOW + timedelta(days=3)
    subject = subscription("past_due", current_period_start=NOW, cancel_at=leaving)

    assert subject.access_until(NOW, POLICY) == leaving


@pytest.mark.parametrize("status", ["none", "incomplete", "unpaid", "paused", UNKNOWN])
def test_without_access_it_ends_now(status: str) -> None:
    assert subscription(status).access_until(NOW, POLICY) == NOW


@pytest.mark.parametrize("status", sorted(ENDED))
def test_access_to_what_has_ended_ended_with_it(status: str) -> None:
    assert subscription(status, end=NOW).access_until(NOW + timedelta(days=9), POLICY) == NOW
    assert subscription(status, end=None).access_until(NOW, POLICY) == NOW


@settings(max_examples=300)
@given(facts=snapshots)
def test_access_lasts_exactly_as_long_as_it_is_said_to(facts: Snapshot) -> None:
    """Where the end is still to come; of an end that has passed the provider's status decides."""
    ends = [facts.cancel_at, facts.end]
    if any(end is not None and end <= NOW for end in ends):
        facts = replace(facts, cancel_at=None, end=None)
    if facts.has_ended:
        facts = replace(facts, end=NOW)
    subject = Subscription(USER, "cus_1", "sub_1", facts=facts)
    until = subject.access_until(NOW, POLICY)

    assert subject.has_active_subscription(NOW, POLICY) == (until is None or until > NOW)


def test_only_a_trial_that_was_granted_is_used_up() -> None:
    trial = {"trial_end": NOW}

    assert [s for s in STATUSES if snapshot(s, **trial).shows_a_used_trial] == [
        "trialing",
        "active",
        "past_due",
        "unpaid",
    ]
    assert not any(snapshot(s, trial_end=None).shows_a_used_trial for s in STATUSES)
