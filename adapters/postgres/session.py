"""A connection of the pool, used by the driver itself.

Running statements through SQLAlchemy as well takes two to three times as long as they do: of a
webhook that comes alone that would be most of the latency. What is asked seldom goes through it all
the same, on the same connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from time import monotonic
from typing import Any, Final, Self, TypeVar
from weakref import WeakKeyDictionary

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.engine import READ_ONLY, SINCE
from adapters.postgres.statements import Parameters, Statement, Write, together
from ports.unit_of_work import StorageUnavailable

Result = TypeVar("Result")

# SQLSTATE classes: the connection itself, and the operator's or the server's intervention, of which
# a cancelled statement is one (PostgreSQL: Appendix A).
_ENDS_A_SESSION: Final = ("08", "57")


class Session:
    """What is run on one connection, in whatever transaction it is in. Raises asyncpg's errors.

    What is written `later` is sent in one statement, before the next one or the commit. After an
    error that leaves the connection in doubt everything raises StorageUnavailable: nothing of what
    was begun can be gone on with.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        found = connection.sync_connection
        assert found is not None, "it is connected"
        # Public, and without a detour through a greenlet.
        driver: asyncpg.Connection | None = found.connection.driver_connection
        assert driver is not None, "it was just given out"
        self._driver = driver
        self._pool = found.engine.pool
        self._since: float = found.info[SINCE]
        self._pending: list[tuple[Write, Parameters]] = []

    @classmethod
    async def connect(cls, engine: AsyncEngine) -> Self:
        """One that is not known to be broken.

        Where one was found broken the others are likely to be, and each would cost somebody's
        webhooks: those that are as old are let go of.
        """
        while True:
            session = cls(await engine.connect())
            if not session._driver.is_closed() and session._since >= _doubted(session._pool):
                return session
            # It is idle, and a farewell would wait for an answer.
            session._driver.terminate()
            await session._connection.invalidate()
            await session.close()

    @property
    def driver(self) -> asyncpg.Connection:
        """The driver's own connection. Raises StorageUnavailable once it is in doubt."""
        self._refuse_if_lost()
        return self._driver

    async def rows(self, statement: Statement, parameters: Parameters) -> Sequence[asyncpg.Record]:
        """Run it; its rows."""
        await self.send()
        return await self._run(self.driver.fetch(statement.sql, *statement.values(parameters)))

    async def value(
        self, statement: Statement, parameters: Parameters, *, timeout: float | None = None
    ) -> Any:
        """Run it; the first column of its first row, None without one. `timeout` is in seconds."""
        await self.send()
        values = statement.values(parameters)
        return await self._run(self.driver.fetchval(statement.sql, *values, timeout=timeout))

    async def later(self, write: Write, parameters: Parameters) -> None:
        """Run it, before anything else but other writes."""
        if any(write is other for other, _ in self._pending):
            await self.send()
        self._pending.append((write, parameters))

    async def send(self) -> None:
        """Run what was to be run later."""
        if self._pending:
            pending, self._pending = self._pending, []
            values = [value for write, parameters in pending for value in write.values(parameters)]
            await self._run(self.driver.fetch(together(tuple(w for w, _ in pending)), *values))

    async def execute(
        self, statement: sa.Executable, *more: Any
    ) -> sa.CursorResult[*tuple[Any, ...]]:
        """Run it through SQLAlchemy."""
        return await (await self._through_sqlalchemy()).execute(statement, *more)

    async def scalar(self, statement: sa.Executable) -> Any:
        """Run it through SQLAlchemy; the first column of its first row, None without one."""
        return await (await self._through_sqlalchemy()).scalar(statement)

    async def scalars(self, statement: sa.Executable) -> sa.ScalarResult[Any]:
        """Run it through SQLAlchemy; the first column of its rows."""
        return await (await self._through_sqlalchemy()).scalars(statement)

    async def begin(self) -> None:
        """Begin a transaction, on a connection that autocommits for SQLAlchemy."""
        await self._run(self.driver.execute("BEGIN"))

    async def commit(self) -> None:
        """Make what was done in the transaction durable."""
        await self.send()
        ended = await self._run(self.driver.execute("COMMIT"))
        if ended != "COMMIT":  # PostgreSQL: COMMIT ends a transaction that has failed by ROLLBACK
            raise StorageUnavailable("the transaction had failed before it was to be committed")

    async def close(self) -> None:
        """Undo what was not committed, and give the connection back."""
        self._pending = []
        try:
            if not self._connection.invalidated and self._driver.is_in_transaction():
                await self._run(self._driver.execute("ROLLBACK"))
        finally:
            await self._connection.close()

    async def _through_sqlalchemy(self) -> AsyncConnection:
        await self.send()
        self._refuse_if_lost()  # or it would go on silently on another connection
        return self._connection

    def _refuse_if_lost(self) -> None:
        if self._connection.invalidated:
            raise StorageUnavailable("the connection was lost, and what was done on it is undone")

    async def _run(self, running: Awaitable[Result]) -> Result:
        try:
            return await running
        except BaseException as error:
            if not _is_an_answer(error):
                # What state it is in nobody knows: broken, or busy with what was broken off.
                if not isinstance(error, asyncio.CancelledError):
                    _DOUBTS[self._pool] = monotonic()
                await self._connection.invalidate(error)
            raise


# When a connection of a pool was last found broken.
_DOUBTS: Final[WeakKeyDictionary[sa.Pool, float]] = WeakKeyDictionary()


def _doubted(pool: sa.Pool) -> float:
    return _DOUBTS.get(pool, 0.0)


def _is_an_answer(error: BaseException) -> bool:
    """Whether the server has said no, and goes on listening."""
    if not isinstance(error, asyncpg.PostgresError):
        return False
    code = error.sqlstate or ""
    return code != READ_ONLY and code[:2] not in _ENDS_A_SESSION
