"""What happens once only."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from adapters.memory.store import Transaction


class MemoryTrialLedger:
    """One trial per user, ever."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def redeem(self, user_ids: Collection[UUID]) -> None:
        """Note that these users have had their trial; noting it again changes nothing."""
        new = set(user_ids)
        self._transaction.write(lambda tables: tables.trials.update(new))

    async def redeemed(self, user_id: UUID) -> bool:
        """Whether this user has had a trial."""
        return user_id in self._transaction.read().trials


class MemoryPaidInvoices:
    """Which invoices were told of as paid."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def known(self, invoice_refs: Collection[str]) -> set[str]:
        """Those of these invoices that were told of already."""
        return self._transaction.read().paid_invoices & set(invoice_refs)

    async def add(self, invoice_refs: Collection[str]) -> None:
        """Note that these were told of; noting it again changes nothing."""
        new = set(invoice_refs)
        self._transaction.write(lambda tables: tables.paid_invoices.update(new))
