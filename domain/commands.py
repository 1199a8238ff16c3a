"""What the service is told to do, in the imperative. Translated from the provider's events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.events import PaymentFailure
from domain.money import Money
from domain.subscription import Snapshot


@dataclass(frozen=True, slots=True)
class Owner:
    """What an event says about whose it is.

    `user_id` comes from the metadata we put there; `ours` says that a price in it is one we
    sell, so that somebody must own it even where the event does not say who. `at` is when the
    event was created: what the provider says of the customer from then on is newer.
    """

    customer_ref: str | None
    user_id: UUID | None = None
    ours: bool = False
    livemode: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApplySubscriptionChange:
    """Take over a snapshot of a subscription.

    `trial_ending` marks the provider's notice that the trial is about to end, which is passed
    on even where the snapshot it carries is stale.
    """

    subscription_ref: str
    owner: Owner
    snapshot: Snapshot
    as_of: datetime
    trial_ending: bool = False


@dataclass(frozen=True, slots=True)
class RecordInvoicePaid:
    """Note that an invoice of a subscription was paid in full."""

    subscription_ref: str
    owner: Owner
    invoice_ref: str
    amount: Money
    at: datetime
    hosted_invoice_url: str | None = None
    invoice_pdf: str | None = None


@dataclass(frozen=True, slots=True)
class RecordPaymentFailure:
    """Note that an attempt to collect an invoice failed or waits for the payer."""

    subscription_ref: str
    owner: Owner
    invoice_ref: str
    amount: Money
    reason: PaymentFailure
    attempt_count: int
    next_attempt_at: datetime | None
    at: datetime
    hosted_invoice_url: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateCustomer:
    """Take over who a customer is: a new one is linked to the user its metadata names."""

    customer_ref: str
    user_id: UUID | None
    email: str | None
    name: str | None
    provider_created_at: datetime | None
    as_of: datetime
    livemode: bool


@dataclass(frozen=True, slots=True)
class RetireCustomer:
    """Note that the provider has deleted a customer, so that its user can buy again."""

    customer_ref: str
    at: datetime
    livemode: bool


@dataclass(frozen=True, slots=True)
class CompleteCheckout:
    """Note that a buyer finished a Checkout: the customer is now known to be this user's."""

    session_ref: str
    owner: Owner
    subscription_ref: str | None


@dataclass(frozen=True, slots=True)
class ExpireCheckout:
    """Note that a Checkout was left unfinished and can no longer be finished."""

    session_ref: str
    owner: Owner


Command = (
    ApplySubscriptionChange
    | RecordInvoicePaid
    | RecordPaymentFailure
    | UpdateCustomer
    | RetireCustomer
    | CompleteCheckout
    | ExpireCheckout
)
