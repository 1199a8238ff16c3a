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


def _means(explanation: str) -> msgspec.Meta:
    return msgspec.Meta(description=explanation)


def _always(value: str) -> msgspec.Meta:
    return msgspec.Meta(description=f"Always {value}", extra_json_schema={"const": value})


class EventData(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """What every message carries. Times are RFC 3339 in UTC."""

    user_id: Annotated[UUID, _means("The user, as the identity provider knows them")]
    subscription_id: Annotated[UUID, _means("The subscription; a user may have had several")]
    email: Annotated[str | None, _means("The user's address; null where Stripe has none")]
    access_until: Annotated[
        Moment | None, _means("When access ends or has ended; null while no end is known")
    ]


_PLAN: Final = "general, event_organizer, or unknown for a price that is not sold (any more)"
_TOLD_PLAN: Final = f"{_PLAN} and where none was ever told"
_INTERVAL: Final = "How often the plan is billed: month or year; null where it is not known"
_STATUS: Final = (
    "incomplete, trialing, active, past_due, unpaid, paused, expired or canceled;"
    " one that is not listed may come and grants no access"
)
_TRIAL_END: Final = "When the trial ends or has ended; null without a trial"
_AMOUNT: Final = "In minor units of the currency: 1000 is $10.00"
_CURRENCY: Final = "ISO 4217, in lower case"
_INVOICE: Final = "Stripe's id of the invoice"
_INVOICE_PAGE: Final = "Stripe's page of the invoice; null where it has none"


class ActivatedData(EventData, kw_only=True, frozen=True):
    """payments.subscription.activated.v1"""

    status: Annotated[str, _means(_STATUS)]
    plan: Annotated[str, _means(_PLAN)]
    interval: Annotated[str | None, _means(_INTERVAL)]
    trial_end_date: Annotated[Moment | None, _means(_TRIAL_END)]


class StatusChangedData(EventData, kw_only=True, frozen=True):
    """payments.subscription.status_changed.v1"""

    old_status: Annotated[
        str, _means("The status until now; none where it was first heard of with this one")
    ]
    new_status: Annotated[str, _means(_STATUS)]


class CanceledData(EventData, kw_only=True, frozen=True):
    """payments.subscription.canceled.v1"""

    end_date: Annotated[Moment, _means("When the subscription ended")]


class TrialEndingData(EventData, kw_only=True, frozen=True):
    """payments.subscription.trial_ending.v1"""

    trial_end_date: Annotated[Moment | None, _means("When the trial ends")]


class CancellationScheduledData(EventData, kw_only=True, frozen=True):
    """payments.subscription.cancellation_scheduled.v1"""

    cancel_at: Annotated[Moment, _means("When the subscription will end")]


class CancellationWithdrawnData(EventData, kw_only=True, frozen=True):
    """payments.subscription.cancellation_withdrawn.v1"""


class PlanChangedData(EventData, kw_only=True, frozen=True):
    """payments.subscription.plan_changed.v1"""

    old_plan: Annotated[str, _means("The plan until now")]
    old_interval: Annotated[str | None, _means("How often it was billed")]
    new_plan: Annotated[str, _means(_PLAN)]
    new_interval: Annotated[str | None, _means(_INTERVAL)]


class PaymentSucceededData(EventData, kw_only=True, frozen=True):
    """payments.payment.succeeded.v1"""

    invoice_id: Annotated[str, _means(_INVOICE)]
    amount: Annotated[int, _means(_AMOUNT)]
    currency: Annotated[str, _means(_CURRENCY)]
    hosted_invoice_url: Annotated[str | None, _means(_INVOICE_PAGE)]
    invoice_pdf: Annotated[str | None, _means("The invoice as a PDF; null where there is none")]


class PaymentFailedData(EventData, kw_only=True, frozen=True):
    """payments.payment.failed.v1"""

    invoice_id: Annotated[str, _means(_INVOICE)]
    amount: Annotated[int, _means(f"What is owed. {_AMOUNT}")]
    currency: Annotated[str, _means(_CURRENCY)]
    reason: Annotated[
        str, _means("declined, or action_required where the payer has to authenticate")
    ]
    attempt_count: Annotated[int, _means("How many times it was tried")]
    next_attempt_at: Annotated[
        Moment | None, _means("When Stripe tries again; null where it does not")
    ]
    hosted_invoice_url: Annotated[str | None, _means(_INVOICE_PAGE)]


class SnapshotData(EventData, kw_only=True, frozen=True):
    """payments.subscription.snapshot.v1"""

    status: Annotated[str, _means(_STATUS)]
    plan: Annotated[str, _means(_TOLD_PLAN)]
    interval: Annotated[str | None, _means(_INTERVAL)]
    trial_end_date: Annotated[Moment | None, _means(_TRIAL_END)]
    cancel_at: Annotated[
        Moment | None, _means("When it will end; null where no cancellation is scheduled")
    ]
    end_date: Annotated[Moment | None, _means("When it ended; null while it has not")]


class CloudEvent(msgspec.Struct, kw_only=True, frozen=True):
    """The envelope."""

    id: Annotated[UUID, _means("The message's id; a repeat has the same")]
    type: Annotated[str, _means("The routing key")]
    source: Annotated[str, _always(SOURCE)]
    subject: Annotated[str, _means("The user's id")]
    time: Annotated[Moment, _means("When it happened at Stripe; of a snapshot, when it was taken")]
    sequence: Annotated[
        str,
        _means(
            "The version as a decimal number: 1, 2, 3 … per subscription;"
            " of a snapshot, that of the last message it stands for"
        ),
        msgspec.Meta(pattern=r"^[1-9][0-9]*$"),
    ]
    traceparent: Annotated[
        str,
        _means("W3C Trace Context of the webhook that caused it"),
        msgspec.Meta(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"),
    ]
    data: EventData
    specversion: Annotated[str, _always("1.0")] = "1.0"
    datacontenttype: Annotated[str, _always("application/json")] = "application/json"


@dataclass(frozen=True, slots=True)
class MessageType:
    """How one kind of event is published. The three that decide on access must find a queue.

    One that is not `numbered` takes no version: it carries the last that was taken.
    """

    routing_key: str
    data: type[EventData]
    own: Callable[[Any], Mapping[str, Any]]
    must_be_routed: bool = False
    numbered: bool = True


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
    events.SubscriptionSnapshot: MessageType(
        "payments.subscription.snapshot.v1",
        SnapshotData,
        lambda e: {
            "status": str(e.status),
            "plan": str(e.plan),
            "interval": e.interval,
            "trial_end_date": e.trial_end,
            "cancel_at": e.cancel_at,
            "end_date": e.end,
        },
        numbered=False,
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

    Its id is derived from the subscription and the version, and the moment where it takes no
    version: the same occurrence always has the same id, by which a consumer recognises a repeat.
    """
    kind = MESSAGE_TYPES[type(occurrence.event)]
    at = occurrence.at.astimezone(UTC)
    own_name = str(occurrence.version) if kind.numbered else f"{kind.routing_key} {at.isoformat()}"
    message_id = uuid5(subscription.id, own_name)
    body = _encoder.encode(
        CloudEvent(
            id=message_id,
            type=kind.routing_key,
            source=SOURCE,
            subject=str(subscription.user_id),
            time=at,
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
        version=occurrence.version if kind.numbered else 0,
        type=kind.routing_key,
        body=body,
        must_be_routed=kind.must_be_routed,
    )
