"""Invoices and setup intents that wait for somebody, and how they are closed.

Closing asks for what Stripe refuses once the payment has succeeded, so that whichever comes
first wins and no money is taken for what was given up. (Stripe: Void an invoice; Cancel a
SetupIntent)
"""

from __future__ import annotations

from typing import Final

from adapters.stripe import answers
from adapters.stripe.api import StripeApi, as_shape
from ports.payment_provider import ProviderRefused
from ports.purchases import Closing

# The bank decides; until then Stripe cannot take it back. (Stripe: PaymentIntent status)
_IN_HAND: Final = "processing"
_AFTER_A_REFUSAL: Final = {
    "paid": Closing.FINISHED,  # an invoice
    "void": Closing.CLOSED,
    "succeeded": Closing.FINISHED,  # a setup intent
    "canceled": Closing.CLOSED,
    _IN_HAND: Closing.PROCESSING,
}


class OpenPayments:
    """What waits for a card or its holder."""

    def __init__(self, api: StripeApi) -> None:
        self._api = api
        self._v1 = api.v1

    async def intent_of(self, invoice_ref: str) -> answers.PaymentIntent | None:
        """The payment of an invoice; None where none is needed."""
        page = await self._api.call(
            self._v1.invoice_payments.list_async,
            {"invoice": invoice_ref, "expand": ["data.payment.payment_intent"]},
        )
        found = [as_shape(answers.InvoicePayment, one) for one in page.data]
        for one in sorted(found, key=lambda payment: not payment.is_default):
            if isinstance(one.payment.payment_intent, answers.PaymentIntent):
                return one.payment.payment_intent
        return None

    async def void(self, invoice_ref: str) -> Closing:
        """Have an invoice never be paid."""
        if await self._is_in_hand(invoice_ref):
            return Closing.PROCESSING
        try:
            await self._api.call(self._v1.invoices.void_invoice_async, invoice_ref)
        except ProviderRefused:
            found = await self._api.call(self._v1.invoices.retrieve_async, invoice_ref)
            closing = _AFTER_A_REFUSAL.get(as_shape(answers.Invoice, found).status or "")
            if closing is not None:
                return closing
            if await self._is_in_hand(invoice_ref):
                return Closing.PROCESSING
            raise
        return Closing.CLOSED

    async def cancel_setup(self, setup_ref: str) -> Closing:
        """Have a card never be set up."""
        try:
            await self._api.call(self._v1.setup_intents.cancel_async, setup_ref)
        except ProviderRefused:
            found = await self._api.call(self._v1.setup_intents.retrieve_async, setup_ref)
            closing = _AFTER_A_REFUSAL.get(as_shape(answers.SetupIntent, found).status or "")
            if closing is not None:
                return closing
            raise
        return Closing.CLOSED

    async def _is_in_hand(self, invoice_ref: str) -> bool:
        intent = await self.intent_of(invoice_ref)
        return intent is not None and intent.status == _IN_HAND
