"""Have the payment provider do what a subscriber asks.

Every call goes over the network: never in a unit of work. Each may raise ProviderUnavailable,
ProviderRefused where the provider turns the request down, and OperationUnderWay where another one
has in hand what is to be changed; what charges also CardDeclined.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.money import Money
from ports.payment_provider import CardDeclined
from ports.purchases import Closing, ProviderSubscription


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
    """What a change of plan would come to. `due_now` is charged at once and never negative;
    `net_of_credit` is the same before it is cut off at nothing, so that it tells what is left over.
    """

    lines: Sequence[PreviewLine]
    due_now: Money
    net_of_credit: int

    def due_after(self, credit_returned: int) -> Money:
        """What is charged at once when so much credit, in minor units, has come back before."""
        if not credit_returned:
            return self.due_now
        return Money(max(0, self.net_of_credit - credit_returned), self.due_now.currency)

    @property
    def sum_of_lines(self) -> int:
        """All lines together, in minor units; negative where they are a credit."""
        return sum(line.amount.amount for line in self.lines)


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change of plan that takes effect when its invoice is paid.

    `declined` is why the last attempt to pay it failed; None where it waits for the card's holder.
    `lacks_card` says that it cannot be paid by anything that is on file.
    `credit_held` is the credit it has used up, in minor units; given up, it gives that back.
    """

    price_ref: str | None
    invoice_ref: str
    due: Money
    client_secret: str | None = None
    hosted_invoice_url: str | None = None
    declined: CardDeclined | None = None
    lacks_card: bool = False
    credit_held: int = 0


@dataclass(frozen=True, slots=True)
class PlanState:
    """A subscription as far as its plan goes. `invoice_ref` is its latest invoice, `invoiced` what
    that asked for. `has_card` says that there is a card to charge, its own or the customer's.
    """

    subscription: ProviderSubscription
    invoice_ref: str | None
    pending: PendingChange | None = None
    invoiced: Money | None = None
    has_card: bool = True


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

    async def plan_state(self, subscription_ref: str) -> PlanState | None:
        """The plan as it is now; None where the provider knows no such subscription."""
        ...

    async def change_plan(self, change: PlanChange, *, operation: str) -> None:
        """Ask for the change; `plan_state` tells what became of it.

        What charges is carried out once for an `operation`. Anything else charges nothing and
        comes to the same however often it is done.
        """
        ...

    async def give_up_payment(self, invoice_ref: str) -> Closing:
        """Have an open invoice never be paid; a change that waits for it is discarded."""
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
