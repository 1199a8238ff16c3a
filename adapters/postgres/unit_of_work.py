"""One transaction of PostgreSQL over all repositories."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres import statements
from adapters.postgres.customers import PostgresCustomers
from adapters.postgres.duplicates import PostgresDuplicates
from adapters.postgres.engine import autocommitting, storage_errors
from adapters.postgres.inbox import PostgresInbox
from adapters.postgres.ledgers import PostgresPaidInvoices, PostgresTrialLedger
from adapters.postgres.outbox import PostgresOutbox
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
        self._connection: AsyncConnection | None = None

    async def __aenter__(self) -> Self:
        with storage_errors():
            connection = await statements.connect(self._engine)
            if self._atomic:
                try:
                    await statements.begin(connection)
                except BaseException:
                    await connection.close()
                    raise
        self._connection = connection
        self.customers = PostgresCustomers(connection)
        self.subscriptions = PostgresSubscriptions(connection)
        self.trials = PostgresTrialLedger(connection)
        self.paid_invoices = PostgresPaidInvoices(connection)
        self.inbox = PostgresInbox(connection)
        self.outbox = PostgresOutbox(connection)
        self.duplicates = PostgresDuplicates(connection)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._connection is not None, "the unit of work was not entered"
        connection, self._connection = self._connection, None
        # A session that is gone was rolled back by that; what was raised inside matters more.
        with contextlib.suppress(StorageUnavailable), storage_errors():
            try:
                await statements.roll_back(connection)
            finally:
                await connection.close()
        with storage_errors():
            if exc is not None:
                raise exc

    async def commit(self) -> None:
        """Make it durable."""
        assert self._connection is not None, "the unit of work was not entered"
        if self._atomic:
            await statements.commit(self._connection)
        del self.customers, self.subscriptions, self.trials, self.paid_invoices
        del self.inbox, self.outbox, self.duplicates
