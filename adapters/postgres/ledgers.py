"""`trial_redemptions` and `paid_invoices`: what happens once only."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from adapters.postgres.arrays import insert_arrays
from adapters.postgres.session import Session
from adapters.postgres.statements import Statement, Write
from adapters.postgres.tables import paid_invoices, trial_redemptions

_REDEEM: Final = Write(
    "redeemed", insert_arrays(trial_redemptions, ["user_id"], "ON CONFLICT DO NOTHING")
)
_KNOWN: Final = Statement(
    sa.text(
        f"SELECT stripe_invoice_id FROM {paid_invoices.fullname}"
        " WHERE stripe_invoice_id = ANY(CAST(:references AS text[]))"
    )
)
_ADD: Final = Write(
    "told_invoices", insert_arrays(paid_invoices, ["stripe_invoice_id"], "ON CONFLICT DO NOTHING")
)


class PostgresTrialLedger:
    """One trial per user, ever."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def redeem(self, user_ids: Collection[UUID]) -> None:
        """Note that these users have had their trial; noting it again changes nothing."""
        if user_ids:
            # Sorted, so that two workers lock the rows in one order.
            await self._session.later(_REDEEM, {"user_id": sorted(user_ids)})

    async def redeemed(self, user_id: UUID) -> bool:
        """Whether this user has had a trial."""
        found = await self._session.scalar(
            sa.select(trial_redemptions.c.user_id).where(trial_redemptions.c.user_id == user_id)
        )
        return found is not None


class PostgresPaidInvoices:
    """Which invoices were told of as paid."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def known(self, invoice_refs: Collection[str]) -> set[str]:
        """Those of these invoices that were told of already."""
        if not invoice_refs:
            return set()
        rows = await self._session.rows(_KNOWN, {"references": list(invoice_refs)})
        return {row[0] for row in rows}

    async def add(self, invoice_refs: Collection[str]) -> None:
        """Note that these were told of; noting it again changes nothing."""
        if invoice_refs:
            await self._session.later(_ADD, {"stripe_invoice_id": sorted(invoice_refs)})
