"""One transaction of PostgreSQL over all repositories."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.customers import PostgresCustomers
from adapters.postgres.duplicates import PostgresDuplicates
from adapters.postgres.engine import autocommitting, storage_errors
from adapters.postgres.inbox import PostgresInbox
from adapters.postgres.ledgers import PostgresPaidInvoices, PostgresTrialLedger
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.session import Session
from adapters.postgres.subscriptions import PostgresSubscriptions
from ports.unit_of_work import StorageUnavailable


class PostgresUnitOfWork:
    """Rolls back unless committed. The transaction is the driver's: for SQLAlchemy, which shares
    its connection, every statement seems to be one of its own.

    One that is not `atomic` is no transaction: each of its statements is.
    """

    customers: PostgresCustomers
    subscriptions: PostgresSubscriptions
    trials: PostgresTrialLedger
    paid_invoices: PostgresPaidInvoices
    inbox: PostgresInbox
    outbox: PostgresOutbox
    duplicates: PostgresDuplicates

    def __init__(self, engine: AsyncEngine, *, atomic: bool = True) -> None:
        self._engine = autocommitting(engine)
        self._atomic = atomic
        self._session: Session | None = None

    async def __aenter__(self) -> Self:
        with storage_errors():
            session = await Session.connect(self._engine)
            if self._atomic:
                try:
                    await session.begin()
                except BaseException:
                    await session.close()
                    raise
        self._session = session
        self.customers = PostgresCustomers(session)
        self.subscriptions = PostgresSubscriptions(session)
        self.trials = PostgresTrialLedger(session)
        self.paid_invoices = PostgresPaidInvoices(session)
        self.inbox = PostgresInbox(session)
        self.outbox = PostgresOutbox(session)
        self.duplicates = PostgresDuplicates(session)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._session is not None, "the unit of work was not entered"
        session, self._session = self._session, None
        # A session that is gone was rolled back by that; what was raised inside matters more.
        with contextlib.suppress(StorageUnavailable), storage_errors():
            await session.close()
        with storage_errors():
            if exc is not None:
                raise exc

    async def commit(self) -> None:
        """Make it durable."""
        assert self._session is not None, "the unit of work was not entered"
        await (self._session.commit() if self._atomic else self._session.send())
        del self.customers, self.subscriptions, self.trials, self.paid_invoices
        del self.inbox, self.outbox, self.duplicates
