"""The messages others build on: CloudEvents 1.0 in structured JSON mode.

The names, fields and types here are the contract. Adding an optional field is fine; anything
else is a new version, with a routing key of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID, uuid5

import msgspec

from domain import events
from domain.subscription import Subscription
from ports.outbox import Message

SOURCE: Final = "/payments"

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class EventData(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """What every message carries. Times are RFC 3339 in UTC."""

    user_id: UUID
    subscription_id: UUID
    email: str | None
    access_until: Moment | None


class ActivatedData(EventData, kw_only=True, frozen=True):
    """payments.subscription.activated.v1"""

    status: str
    plan: str
    interval: str | None
    trial_end_date: Moment | None


class StatusChangedData(EventData, kw_only=True, frozen=True):
    """payments.subscription.status_changed.v1"""

    old_status: str
    new_status: str


class CanceledData(EventData, kw_only=True, frozen=True):
    """payments.subscription.canceled.v1"""

    end_date: Moment


class TrialEndingData(EventData, kw_only=True, frozen=True):
    """payments.subscription.trial_ending.v1"""

    trial_end_date: Moment | None


class CancellationScheduledData(EventData, kw_only=True, frozen=True):
    """payments.subscription.cancellation_scheduled.v1"""

    cancel_at: Moment


class CancellationWithdrawnData(EventData, kw_only=True, frozen=True):
    """payments.subscription.cancellation_withdrawn.v1"""


class PlanChangedData(EventData, kw_only=True, frozen=True):
    """payments.subscription.plan_changed.v1"""

    old_plan: str
    old_interval: str | None
    new_plan: str
    new_interval: str | None


class PaymentSucceededData(EventData, kw_only=True, frozen=True):
    """payments.payment.succeeded.v1. `amount` is in minor currency units."""

    invoice_id: str
    amount: int
    currency: str
    hosted_invoice_url: str | None
    invoice_pdf: str | None


class PaymentFailedData(EventData, kw_only=True, frozen=True):
    """payments.payment.failed.v1. `amount` is what is owed, in minor currency units."""

    invoice_id: str
    amount: int
    currency: str
    reason: str
    attempt_count: int
    next_attempt_at: Moment | None
    hosted_invoice_url: str | None


class CloudEvent(msgspec.Struct, kw_only=True, frozen=True):
    """The envelope. `sequence` is the message's version, as a decimal string."""

    id: UUID
    type: str
    source: str
    subject: str
    time: Moment
    sequence: str
    traceparent: str
    data: EventData
    specversion: str = "1.0"
    datacontenttype: str = "application/json"


@dataclass(frozen=True, slots=True)
class MessageType:
    """How one kind of event is published. The three that decide on access must find a queue."""

    routing_key: str
    data: type[EventData]
    own: Callable[[Any], Mapping[str, Any]]
    must_be_routed: bool = False


MESSAGE_TYPES: Final[Mapping[type[events.Event], MessageType]] = {
    events.SubscriptionActivated: MessageType(
        "payments.subscription.activated.v1",
        ActivatedData,
        lambda e: {
            "status": str(e.status),
            "plan": str(e.plan),
            "interval": e.interval,
            "trial_end_date": e.trial_end,
        },
        must_be_routed=True,
    ),
    events.SubscriptionStatusChanged: MessageType(
        "payments.subscription.status_changed.v1",
        StatusChangedData,
        lambda e: {"old_status": str(e.old_status), "new_status": str(e.new_status)},
        must_be_routed=True,
    ),
    events.SubscriptionCanceled: MessageType(
        "payments.subscription.canceled.v1",
        CanceledData,
        lambda e: {"end_date": e.end},
        must_be_routed=True,
    ),
    events.SubscriptionTrialEnding: MessageType(
        "payments.subscription.trial_ending.v1",
        TrialEndingData,
        lambda e: {"trial_end_date": e.trial_end},
    ),
    events.SubscriptionCancellationScheduled: MessageType(
        "payments.subscription.cancellation_scheduled.v1",
        CancellationScheduledData,
        lambda e: {"cancel_at": e.cancel_at},
    ),
    events.SubscriptionCancellationWithdrawn: MessageType(
        "payments.subscription.cancellation_withdrawn.v1",
        CancellationWithdrawnData,
        lambda _: {},
    ),
    events.SubscriptionPlanChanged: MessageType(
        "payments.subscription.plan_changed.v1",
        PlanChangedData,
        lambda e: {
            "old_plan": str(e.old_plan),
            "old_interval": e.old_interval,
            "new_plan": str(e.new_plan),
            "new_interval": e.new_interval,
        },
    ),
    events.PaymentSucceeded: MessageType(
        "payments.payment.succeeded.v1",
        PaymentSucceededData,
        lambda e: {
            "invoice_id": e.invoice_ref,
            "amount": e.amount.amount,
            "currency": e.amount.currency,
            "hosted_invoice_url": e.hosted_invoice_url,
            "invoice_pdf": e.invoice_pdf,
        },
    ),
    events.PaymentFailed: MessageType(
        "payments.payment.failed.v1",
        PaymentFailedData,
        lambda e: {
            "invoice_id": e.invoice_ref,
            "amount": e.amount.amount,
            "currency": e.amount.currency,
            "reason": str(e.reason),
            "attempt_count": e.attempt_count,
            "next_attempt_at": e.next_attempt_at,
            "hosted_invoice_url": e.hosted_invoice_url,
        },
    ),
}


class Origin(msgspec.Struct, frozen=True):
    """Where a message comes from: when it happened, and the trace it belongs to."""

    time: datetime
    traceparent: str


_encoder = msgspec.json.Encoder()
_origin = msgspec.json.Decoder(Origin)


def origin_of(message: Message) -> Origin:
    """What a message that was written says of where it comes from."""
    return _origin.decode(message.body)


def write_message(
    occurrence: events.Occurrence, subscription: Subscription, email: str | None, traceparent: str
) -> Message:
    """The message that tells of this occurrence.

    Its id is derived from the subscription and the version: the same occurrence always has the
    same id, by which a consumer recognises a repeat.
    """
    kind = MESSAGE_TYPES[type(occurrence.event)]
    message_id = uuid5(subscription.id, str(occurrence.version))
    body = _encoder.encode(
        CloudEvent(
            id=message_id,
            type=kind.routing_key,
            source=SOURCE,
            subject=str(subscription.user_id),
            time=occurrence.at.astimezone(UTC),
            sequence=str(occurrence.version),
            traceparent=traceparent,
            data=kind.data(
                user_id=subscription.user_id,
                subscription_id=subscription.id,
                email=email,
                access_until=occurrence.event.access_until,
                **kind.own(occurrence.event),
            ),
        )
    )
    return Message(
        id=message_id,
        subscription_id=subscription.id,
        ordering_key=subscription.subscription_ref,
        version=occurrence.version,
        type=kind.routing_key,
        body=body,
        must_be_routed=kind.must_be_routed,
    )
