"""What happens once only, remembered for ever."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID


class TrialLedger(Protocol):
    """One trial per user, ever; inside a unit of work."""

    async def redeem(self, user_ids: Collection[UUID]) -> None:
        """Note that these users have had their trial; noting it again changes nothing."""
        ...

    async def redeemed(self, user_id: UUID) -> bool:
        """Whether this user has had a trial."""
        ...


class PaidInvoices(Protocol):
    """Which invoices were told of as paid; inside a unit of work."""

    async def known(self, invoice_refs: Collection[str]) -> set[str]:
        """Those of these invoices that were told of already."""
        ...

    async def add(self, invoice_refs: Collection[str]) -> None:
        """Note that these were told of; noting it again changes nothing."""
        ...
