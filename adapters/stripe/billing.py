"""Changes of plan, cancellations and invoices of running subscriptions.

Only what charges has an idempotency key. Everything else sets a state, so that doing it twice is
the same as once; and a key would replay the answer of yesterday's cancellation to today's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import stripe

from adapters.stripe import answers
from adapters.stripe.answers import to_subscription
from adapters.stripe.api import StripeApi, as_shape, declined, done, once, readable
from adapters.stripe.open_payments import OpenPayments
from adapters.stripe.translation import moment
from domain.money import Money
from domain.plans import PriceList
from ports.billing import (
    ChangePreview,
    Invoice,
    InvoicePage,
    PendingChange,
    PlanChange,
    PlanState,
    PreviewLine,
    Settlement,
)
from ports.payment_provider import ProviderRefused
from ports.purchases import Closing, ProviderSubscription

if TYPE_CHECKING:  # the SDK has these for type checkers alone
    from stripe.params import InvoiceListParams, SubscriptionUpdateParams

# always_invoice charges at once. For a credit the customer pays nothing now, so it may wait for
# the next invoice. (Stripe: Prorations)
_PRORATION: Final = {
    Settlement.AT_ONCE: "always_invoice",
    Settlement.CREDITED: "create_prorations",
    Settlement.FREE: "none",
}
# The most that Stripe lists at once. (Stripe: Pagination)
_PAGE: Final = 100
# Not the payer's business until it is final.
_DRAFT: Final = "draft"


class StripeBilling:
    """What subscribers do."""

    def __init__(self, api: StripeApi, prices: PriceList) -> None:
        self._api = api
        self._v1 = api.v1
        self._prices = prices
        self._open_payments = OpenPayments(api)

    async def find_subscription(self, subscription_ref: str) -> ProviderSubscription | None:
        """The subscription as it is now; None where Stripe knows none."""
        found = await self._api.find(self._v1.subscriptions.retrieve_async, subscription_ref)
        return None if found is None else self._subscription(found)

    async def preview(self, change: PlanChange) -> ChangePreview:
        """What this change would come to.

        Unless it is charged at once, Stripe previews the next regular invoice: of that only the
        prorations belong to the change, and nothing is due now.
        """
        preview = as_shape(
            answers.Preview,
            await self._api.call(
                self._v1.invoices.create_preview_async,
                {
                    "subscription": change.subscription.subscription_ref,
                    "subscription_details": {
                        "items": [_new_item(change)],
                        "proration_behavior": _PRORATION[change.settlement],
                        "proration_date": int(change.proration_date.timestamp()),
                    },
                },
            ),
        )
        at_once = change.settlement is Settlement.AT_ONCE
        return ChangePreview(
            lines=[
                PreviewLine(line.description or "", Money(line.amount, line.currency.lower()))
                for line in await self._lines_of(preview)
                if at_once or line.is_proration
            ],
            due_now=Money(max(0, preview.amount_due) if at_once else 0, preview.currency.lower()),
            net_of_credit=(preview.total + preview.starting_balance) if at_once else 0,
        )

    async def _lines_of(self, preview: answers.Preview) -> list[answers.PreviewLine]:
        """All of them: the first few come with the invoice. (Stripe: Invoice line items)"""
        lines, page = list(preview.lines.data), preview.lines
        while page.has_more and page.data:
            listed = await self._api.call(
                self._v1.invoices.line_items.list_async,
                preview.id,
                {"limit": _PAGE, "starting_after": page.data[-1].id},
            )
            page = as_shape(answers.PreviewLines, listed)
            lines += page.data
        return lines

    async def plan_state(self, subscription_ref: str) -> PlanState | None:
        """The plan as it is now; None where Stripe knows no such subscription."""
        found = await self._api.find(
            self._v1.subscriptions.retrieve_async,
            subscription_ref,
            {"expand": ["latest_invoice.confirmation_secret", "customer"]},
        )
        if found is None:
            return None
        seen = as_shape(answers.Subscription, found)
        return PlanState(
            to_subscription(seen, self._prices),
            answers.latest_invoice_of(seen),
            await self._pending_change(seen),
            _invoiced(seen),
            has_card=seen.can_be_charged,
        )

    async def change_plan(self, change: PlanChange, *, operation: str) -> None:
        """Ask for the change."""
        params: SubscriptionUpdateParams = {
            "items": [_new_item(change)],
            "proration_behavior": _PRORATION[change.settlement],
        }
        if change.settlement is not Settlement.FREE:
            params["proration_date"] = int(change.proration_date.timestamp())
        reference = change.subscription.subscription_ref
        if change.settlement is Settlement.AT_ONCE:
            params["payment_behavior"] = "pending_if_incomplete"
            key = once(operation)
            await self._api.call(self._v1.subscriptions.update_async, reference, params, key)
        else:
            await self._api.call(self._v1.subscriptions.update_async, reference, params)

    async def give_up_payment(self, invoice_ref: str) -> Closing:
        """Void it; a change that waits for it is discarded. (Stripe: Pending updates)"""
        return await self._open_payments.void(invoice_ref)

    async def schedule_cancellation(self, subscription_ref: str) -> ProviderSubscription:
        """Have it end with the current period."""
        return await self._update(subscription_ref, {"cancel_at_period_end": True})

    async def withdraw_cancellation(self, subscription_ref: str) -> ProviderSubscription:
        """Take a scheduled end back, whichever of its two forms it has."""
        found = await self._api.call(self._v1.subscriptions.retrieve_async, subscription_ref)
        by_flag = as_shape(answers.Subscription, found).cancel_at_period_end
        return await self._update(
            subscription_ref, {"cancel_at_period_end": False} if by_flag else {"cancel_at": ""}
        )

    async def cancel_now(self, subscription_ref: str) -> ProviderSubscription:
        """End it at once."""
        canceled = await self._api.call(self._v1.subscriptions.cancel_async, subscription_ref)
        with done():
            return self._subscription(canceled)

    async def invoices(
        self, customer_ref: str, *, limit: int, after: str | None
    ) -> InvoicePage | None:
        """A page of invoices; the cursor is the last one's id. None where that is unknown."""
        params: InvoiceListParams = {"customer": customer_ref, "limit": limit}
        if after is not None:
            params["starting_after"] = after
        try:
            page = await self._api.call(self._v1.invoices.list_async, params)
        except ProviderRefused:
            if after is None:
                raise
            return None
        found = [as_shape(answers.Invoice, one) for one in page.data]
        with readable():
            shown = [_invoice(one) for one in found if one.status != _DRAFT]
        return InvoicePage(shown, found[-1].id if found and page.has_more else None)

    async def _update(
        self, subscription_ref: str, params: SubscriptionUpdateParams
    ) -> ProviderSubscription:
        updated = await self._api.call(
            self._v1.subscriptions.update_async, subscription_ref, params
        )
        with done():
            return self._subscription(updated)

    async def _pending_change(self, seen: answers.Subscription) -> PendingChange | None:
        """The change that waits; its invoice is the latest one. (Stripe: Pending updates)"""
        pending, invoice = seen.pending_update, seen.latest_invoice
        if pending is None or not isinstance(invoice, answers.LatestInvoice):
            return None
        intent = await self._open_payments.intent_of(invoice.id)
        error = intent.last_payment_error if intent else None
        waits_for_a_card = intent is not None and intent.status == "requires_payment_method"
        secret = invoice.confirmation_secret
        with readable():
            return PendingChange(
                price_ref=pending.price_ref,
                invoice_ref=invoice.id,
                due=Money(invoice.amount_due, invoice.currency.lower()),
                credit_held=max(0, (invoice.ending_balance or 0) - invoice.starting_balance),
                client_secret=secret.client_secret if secret else None,
                hosted_invoice_url=invoice.hosted_invoice_url,
                declined=declined(error.code, error.decline_code)
                if error and waits_for_a_card
                else None,
                lacks_card=waits_for_a_card and error is None and not seen.can_be_charged,
            )

    def _subscription(self, found: stripe.Subscription) -> ProviderSubscription:
        return to_subscription(as_shape(answers.Subscription, found), self._prices)


def _new_item(change: PlanChange) -> Any:
    """The item that bears the old price, with the new one: otherwise both would be charged."""
    return {"id": change.subscription.item_ref, "price": change.new_price_ref}


def _invoiced(seen: answers.Subscription) -> Money | None:
    invoice = seen.latest_invoice
    if not isinstance(invoice, answers.LatestInvoice) or not invoice.currency:
        return None
    with readable():
        return Money(invoice.amount_due, invoice.currency.lower())


def _invoice(found: answers.Invoice) -> Invoice:
    currency = found.currency.lower()
    created = moment(found.created)
    assert created is not None, "created is required"
    return Invoice(
        invoice_ref=found.id,
        number=found.number,
        status=found.status or "unknown",
        created=created,
        total=Money(found.total, currency),
        paid=Money(found.amount_paid, currency),
        due=Money(found.amount_remaining, currency),
        period_start=moment(found.period_start),
        period_end=moment(found.period_end),
        hosted_invoice_url=found.hosted_invoice_url,
        invoice_pdf=found.invoice_pdf,
    )
