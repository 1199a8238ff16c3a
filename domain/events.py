"""What became of a subscription, in the past tense.

Each of these but the snapshot becomes one message with a version of its own, 1, 2, 3 … per
subscription. The email of the user is not here: it belongs to the customer and is added when the
message is written.

`access_until` is the moment access ends or has ended; None while no end is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.money import Money


@dataclass(frozen=True, slots=True)
class SubscriptionActivated:
    """Access is granted for the first time."""

    user_id: UUID
    status: str
    plan: str
    interval: str | None
    trial_end: datetime | None
    access_until: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionStatusChanged:
    """The status moved. Said at every change after activation, and when an attempt ends."""

    user_id: UUID
    old_status: str
    new_status: str
    access_until: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionCanceled:
    """The subscription has ended for good. Comes right after the status change that ended it."""

    user_id: UUID
    end: datetime
    access_until: datetime


@dataclass(frozen=True, slots=True)
class SubscriptionTrialEnding:
    """The provider's notice that a trial is about to end."""

    user_id: UUID
    trial_end: datetime | None
    access_until: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionCancellationScheduled:
    """The subscription will end at `cancel_at` unless this is taken back."""

    user_id: UUID
    cancel_at: datetime
    access_until: datetime


@dataclass(frozen=True, slots=True)
class SubscriptionCancellationWithdrawn:
    """A scheduled cancellation was taken back."""

    user_id: UUID
    access_until: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionPlanChanged:
    """The plan, or how often it is billed, changed."""

    user_id: UUID
    old_plan: str
    old_interval: str | None
    new_plan: str
    new_interval: str | None
    access_until: datetime | None


@dataclass(frozen=True, slots=True)
class PaymentSucceeded:
    """An invoice above zero was paid; said once per invoice."""

    user_id: UUID
    invoice_ref: str
    amount: Money
    hosted_invoice_url: str | None
    invoice_pdf: str | None
    access_until: datetime | None


class PaymentFailure(StrEnum):
    """Why a payment did not go through."""

    DECLINED = "declined"
    ACTION_REQUIRED = "action_required"


@dataclass(frozen=True, slots=True)
class PaymentFailed:
    """An attempt to collect an invoice failed, or waits for the payer to authenticate."""

    user_id: UUID
    invoice_ref: str
    amount: Money
    reason: PaymentFailure
    attempt_count: int
    next_attempt_at: datetime | None
    hosted_invoice_url: str | None
    access_until: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionSnapshot:
    """What was said of the subscription so far. Sent on request, and takes no version of its own:
    it carries that of the last message said, which it stands for together with all before it.
    """

    user_id: UUID
    status: str
    plan: str
    interval: str | None
    trial_end: datetime | None
    cancel_at: datetime | None
    end: datetime | None
    access_until: datetime | None


Event = (
    SubscriptionActivated
    | SubscriptionStatusChanged
    | SubscriptionCanceled
    | SubscriptionTrialEnding
    | SubscriptionCancellationScheduled
    | SubscriptionCancellationWithdrawn
    | SubscriptionPlanChanged
    | PaymentSucceeded
    | PaymentFailed
    | SubscriptionSnapshot
)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event of one subscription, numbered, with the moment it happened at the provider."""

    version: int
    at: datetime
    event: Event
