"""One transaction over all repositories."""

from types import TracebackType
from typing import Protocol, Self

from ports.customers import Customers
from ports.duplicates import Duplicates
from ports.inbox import Inbox
from ports.ledgers import PaidInvoices, TrialLedger
from ports.outbox import Outbox
from ports.subscriptions import Subscriptions


class StorageUnavailable(Exception):
    """The database cannot be reached, or gave up on this transaction: trying again may help."""


class ConcurrentChange(Exception):
    """Somebody else changed the same row first: read again and repeat.

    No StorageUnavailable: what comes again and again is wrong with the data, and must not be
    waited for.
    """


class UnitOfWork(Protocol):
    """Everything done in it is committed together or not at all.

    Leaving the context without `commit` rolls back. No network call other than the database's
    belongs inside. Any method, and leaving it, may raise StorageUnavailable.
    """

    @property
    def customers(self) -> Customers: ...
    @property
    def subscriptions(self) -> Subscriptions: ...
    @property
    def trials(self) -> TrialLedger: ...
    @property
    def paid_invoices(self) -> PaidInvoices: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def duplicates(self) -> Duplicates: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def commit(self) -> None:
        """Make it durable. It is over by that: its repositories are gone."""
        ...
