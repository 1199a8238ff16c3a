"""What happened to a subscription or a user, in one timeline, and what is waited for now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.customer import Customer
from domain.subscription import AccessPolicy, Subscription
from ports.clock import Clock
from ports.histories import Histories, History, MessageRecord, WebhookRecord
from ports.inbox import State
from service.redaction import redacted

# A message that is older than this and has not gone out waits for more than its turn.
_SOON: Final = timedelta(seconds=30)


class Kind(StrEnum):
    """What an entry of the timeline is about."""

    RECEIVED = "received"
    PROCESSED = "processed"
    WRITTEN = "written"
    PUBLISHED = "published"
    UNROUTED = "unrouted"


class Entry(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Something that happened. `about` is an event's id or a message's version."""

    at: datetime
    kind: Kind
    type: str
    about: str
    subscription_id: UUID | None = None
    detail: str | None = None


class SubscriptionState(msgspec.Struct, frozen=True, rename="camel"):
    """A subscription as it is now; `as_of` is the stamp of the newest event applied."""

    id: UUID
    reference: str
    user_id: UUID
    customer: str | None
    status: str
    plan: str
    interval: str | None
    has_access: bool
    access_until: datetime | None
    trial_end: datetime | None
    current_period_end: datetime | None
    cancel_at: datetime | None
    end: datetime | None
    version: int
    as_of: datetime | None


class CustomerState(msgspec.Struct, frozen=True, rename="camel"):
    """A customer as it is now, with no more of the email than tells it from another one."""

    reference: str | None
    user_id: UUID | None
    email: str | None
    retired_at: datetime | None


class Waiting(msgspec.Struct, frozen=True, rename="camel"):
    """Something that is not done yet, why, and what to do where nothing will come of waiting."""

    what: str
    why: str
    todo: str | None = None


class Explanation(msgspec.Struct, frozen=True, rename="camel"):
    """Everything an operator should know."""

    subscriptions: list[SubscriptionState]
    customers: list[CustomerState]
    timeline: list[Entry]
    waiting: list[Waiting]


class Explain:
    """Reads what is kept and says what it means."""

    def __init__(self, histories: Histories, policy: AccessPolicy, clock: Clock) -> None:
        self._histories = histories
        self._policy = policy
        self._clock = clock

    async def __call__(self, name: str) -> Explanation | None:
        """What is known about this reference, subscription or user; None where nothing is.

        Raises StorageUnavailable.
        """
        history = await self._histories.about(name)
        if history.is_empty:
            return None
        now = self._clock.now()
        return Explanation(
            subscriptions=[_state(one, now, self._policy) for one in history.subscriptions],
            customers=[_customer(one) for one in history.customers],
            timeline=sorted(_entries(history), key=lambda entry: entry.at),
            waiting=list(_waiting(history, now)),
        )


def _state(subscription: Subscription, now: datetime, policy: AccessPolicy) -> SubscriptionState:
    facts = subscription.facts
    return SubscriptionState(
        id=subscription.id,
        reference=subscription.subscription_ref,
        user_id=subscription.user_id,
        customer=subscription.customer_ref,
        status=str(facts.status),
        plan=str(facts.plan),
        interval=facts.interval,
        has_access=subscription.has_active_subscription(now, policy),
        access_until=subscription.access_until(now, policy),
        trial_end=facts.trial_end,
        current_period_end=facts.current_period_end,
        cancel_at=facts.cancel_at,
        end=facts.end,
        version=subscription.version,
        as_of=subscription.as_of and subscription.as_of.replace(microsecond=0),
    )


def _customer(customer: Customer) -> CustomerState:
    return CustomerState(
        reference=customer.customer_ref,
        user_id=customer.user_id,
        email=None if customer.email is None else redacted(customer.email),
        retired_at=customer.retired_at,
    )


def _entries(history: History) -> Iterator[Entry]:
    for webhook in history.webhooks:
        yield Entry(
            webhook.received_at,
            Kind.RECEIVED,
            webhook.event_type,
            webhook.event_id,
            detail=f"created {_moment(webhook.created)}",
        )
        if webhook.processed_at is not None:
            yield Entry(
                webhook.processed_at,
                Kind.PROCESSED,
                webhook.event_type,
                webhook.event_id,
                detail=_outcome(webhook),
            )
    for message in history.messages:
        kinds = (
            (message.written_at, Kind.WRITTEN),
            (message.published_at, Kind.PUBLISHED),
            (message.unrouted_at, Kind.UNROUTED),
        )
        for at, kind in kinds:
            if at is not None:
                yield Entry(
                    at,
                    kind,
                    message.type,
                    f"#{message.version}",
                    message.subscription_id,
                    _said(message) if kind is Kind.WRITTEN else None,
                )


def _outcome(webhook: WebhookRecord) -> str:
    parts = [webhook.state]
    if webhook.attempts:
        parts.append(f"after {webhook.attempts} failed attempts")
    if webhook.error:
        parts.append(redacted(webhook.error))
    return ", ".join(parts)


def _said(message: MessageRecord) -> str | None:
    """What a message says of the change, without who is concerned."""
    try:
        data: Mapping[str, Any] = msgspec.json.decode(message.body)["data"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
    if "newStatus" in data:
        return f"{data.get('oldStatus')} → {data['newStatus']}"
    told = ("status", "oldPlan", "newPlan", "plan", "amount", "cancelAt", "endDate", "trialEndDate")
    return ", ".join(f"{name} {data[name]}" for name in told if data.get(name)) or None


def _waiting(history: History, now: datetime) -> Iterator[Waiting]:
    for webhook in history.webhooks:
        reason = redacted(webhook.error or "no reason is kept")
        what = f"webhook {webhook.event_id} ({webhook.event_type})"
        due = webhook.next_attempt_at
        when = "as soon as a worker gets to it" if due is None else f"again at {_moment(due)}"
        match webhook.state:
            case State.DEAD:
                todo = f"mend the cause, then: payments events replay {webhook.event_id}"
                yield Waiting(what, f"was given up: {reason}", todo)
            case State.RETRYING | State.HELD if webhook.waiting_for is not None:
                yield Waiting(
                    what, f"{reason}; woken by what comes for {webhook.waiting_for}, {when}"
                )
            case State.RETRYING:
                yield Waiting(what, f"failed {webhook.attempts} times: {reason}; {when}")
            case State.PENDING | State.HELD:
                more = f"{reason}; {when}" if webhook.error else f"is worked off {when}"
                is_late = due is None and now - webhook.received_at >= _SOON
                yield Waiting(what, more, "see that a worker is running" if is_late else None)
    held_by: dict[UUID, int] = {}
    for message in history.messages:
        if message.published_at is not None or message.unrouted_at is not None:
            continue
        what = f"message #{message.version} ({message.type})"
        before = held_by.setdefault(message.subscription_id, message.version)
        if before != message.version:
            yield Waiting(what, f"leaves after message #{before} was confirmed")
        elif now - message.written_at < _SOON:
            yield Waiting(what, "is just about to be published")
        else:
            yield Waiting(
                what,
                f"was not published since {_moment(message.written_at)}: no worker runs, the"
                " broker is away, or no queue is bound for it",
                "payments doctor says which",
            )


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
