"""A user looks at what was charged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from ports.authentication import User
from ports.billing import Billing, Invoice
from ports.unit_of_work import UnitOfWork
from service.refusals import Unacceptable


class InvoiceView(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """An invoice. Amounts are in minor currency units."""

    id: str
    number: str | None
    status: str
    created_at: datetime
    currency: str
    total: int
    amount_paid: int
    amount_due: int
    period_start: datetime | None
    period_end: datetime | None
    hosted_invoice_url: str | None
    invoice_pdf: str | None


class InvoiceList(msgspec.Struct, rename="camel", frozen=True):
    """Invoices, the newest first; ask again with `next_cursor` for what follows."""

    invoices: list[InvoiceView]
    next_cursor: str | None


class ListInvoices:
    """Shows a user's invoices, page by page."""

    def __init__(self, unit_of_work: Callable[[], UnitOfWork], billing: Billing) -> None:
        self._unit_of_work = unit_of_work
        self._billing = billing

    async def __call__(self, user: User, *, limit: int, cursor: str | None) -> InvoiceList:
        """Raises Unacceptable, ProviderUnavailable and ProviderRefused."""
        async with self._unit_of_work() as uow:
            customer_ref = await uow.customers.reference_of(user.id)
        if customer_ref is None:
            return InvoiceList([], None)
        page = await self._billing.invoices(customer_ref, limit=limit, after=cursor)
        if page is None:
            raise Unacceptable(
                "cursor-unknown", "this cursor leads nowhere: begin again without one"
            )
        return InvoiceList([_view(invoice) for invoice in page.invoices], page.next_cursor)


def _view(invoice: Invoice) -> InvoiceView:
    return InvoiceView(
        id=invoice.invoice_ref,
        number=invoice.number,
        status=invoice.status,
        created_at=invoice.created,
        currency=invoice.total.currency,
        total=invoice.total.amount,
        amount_paid=invoice.paid.amount,
        amount_due=invoice.due.amount,
        period_start=invoice.period_start,
        period_end=invoice.period_end,
        hosted_invoice_url=invoice.hosted_invoice_url,
        invoice_pdf=invoice.invoice_pdf,
    )
