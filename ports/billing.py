"""Have the payment provider do what a subscriber asks.

Every call goes over the network: never in a unit of work. Each may raise ProviderUnavailable,
and ProviderRefused where the provider turns the request down; what charges also CardDeclined.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.money import Money
from ports.purchases import ProviderSubscription


class Settlement(StrEnum):
    """How a change of plan is paid for."""

    AT_ONCE = "at_once"  # charged now, and in force only when paid
    CREDITED = "credited"  # what is left over counts towards the next invoice
    FREE = "free"  # within a trial nothing is charged


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A change of plan. `proration_date` is the moment up to which the old plan is charged."""

    subscription: ProviderSubscription
    new_price_ref: str
    proration_date: datetime
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """One line of what would be charged; a credit is negative."""

    description: str
    amount: Money


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """What a change of plan would come to. `due_now` is charged at once and never negative."""

    lines: Sequence[PreviewLine]
    due_now: Money


@dataclass(frozen=True, slots=True)
class ChangedPlan:
    """What a change came to. A `pending` one takes effect when its invoice is paid."""

    subscription: ProviderSubscription
    pending: bool
    client_secret: str | None = None
    hosted_invoice_url: str | None = None


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice, and where to see it."""

    invoice_ref: str
    number: str | None
    status: str
    created: datetime
    total: Money
    paid: Money
    due: Money
    period_start: datetime | None
    period_end: datetime | None
    hosted_invoice_url: str | None
    invoice_pdf: str | None


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """Invoices, the newest first; `next_cursor` is None on the last page."""

    invoices: Sequence[Invoice]
    next_cursor: str | None


class Billing(Protocol):
    """What subscribers do."""

    async def find_subscription(self, subscription_ref: str) -> ProviderSubscription | None:
        """The subscription as it is now; None where the provider knows none."""
        ...

    async def preview(self, change: PlanChange) -> ChangePreview:
        """What this change would come to, down to the minor unit."""
        ...

    async def change_plan(self, change: PlanChange) -> ChangedPlan:
        """Change the plan; the same change asked for again is carried out once."""
        ...

    async def schedule_cancellation(self, subscription_ref: str) -> ProviderSubscription:
        """Have it end with the current period."""
        ...

    async def withdraw_cancellation(self, subscription_ref: str) -> ProviderSubscription:
        """Take a scheduled end back."""
        ...

    async def cancel_now(self, subscription_ref: str) -> ProviderSubscription:
        """End it at once."""
        ...

    async def invoices(
        self, customer_ref: str, *, limit: int, after: str | None
    ) -> InvoicePage | None:
        """A page of invoices after this cursor; None where the cursor leads nowhere."""
        ...
