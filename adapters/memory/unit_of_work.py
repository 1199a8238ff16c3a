"""One transaction over all repositories."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from adapters.memory.customers import MemoryCustomers
from adapters.memory.duplicates import MemoryDuplicates
from adapters.memory.inbox import MemoryInbox
from adapters.memory.ledgers import MemoryPaidInvoices, MemoryTrialLedger
from adapters.memory.outbox import MemoryOutbox
from adapters.memory.store import MemoryStore, Transaction
from adapters.memory.subscriptions import MemorySubscriptions


class MemoryUnitOfWork:
    """Rolls back unless committed."""

    customers: MemoryCustomers
    subscriptions: MemorySubscriptions
    trials: MemoryTrialLedger
    paid_invoices: MemoryPaidInvoices
    inbox: MemoryInbox
    outbox: MemoryOutbox
    duplicates: MemoryDuplicates

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._transaction: Transaction | None = None

    async def __aenter__(self) -> Self:
        transaction = self._transaction = Transaction(self._store)
        self.customers = MemoryCustomers(transaction)
        self.subscriptions = MemorySubscriptions(transaction)
        self.trials = MemoryTrialLedger(transaction)
        self.paid_invoices = MemoryPaidInvoices(transaction)
        self.inbox = MemoryInbox(transaction)
        self.outbox = MemoryOutbox(transaction)
        self.duplicates = MemoryDuplicates(transaction)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._transaction is not None, "the unit of work was not entered"
        self._transaction.end()
        self._transaction = None

    async def commit(self) -> None:
        """Make it visible to others; it lasts as long as the store."""
        assert self._transaction is not None, "the unit of work was not entered"
        self._transaction.commit()
        del self.customers, self.subscriptions, self.trials, self.paid_invoices
        del self.inbox, self.outbox, self.duplicates
