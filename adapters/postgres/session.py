"""A connection of the pool, used by the driver itself.

Running statements through SQLAlchemy as well takes three times as long as they do: of a webhook
that comes alone, whose way is ten of them, that would be most of the latency. What is asked seldom
goes through it all the same, on the same connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Final, Self, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.engine import READ_ONLY
from adapters.postgres.statements import Parameters, Statement, Write, together
from ports.unit_of_work import StorageUnavailable

Result = TypeVar("Result")

# SQLSTATE classes: the connection itself, and the operator's or the server's intervention, of which
# a cancelled statement is one (PostgreSQL: Appendix A).
_ENDS_A_SESSION: Final = ("08", "57")


class Session:
    """What is run on one connection, in whatever transaction it is in. Raises asyncpg's errors.

    What is written `later` is sent in one statement, before the next one or the commit.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._pending: list[tuple[Write, Parameters]] = []

    @classmethod
    async def connect(cls, engine: AsyncEngine) -> Self:
        """One that the server has not ended meanwhile, as far as is known here.

        SQLAlchemy finds that out by the first statement that fails, which is somebody's webhook.
        """
        while True:
            session = cls(await engine.connect())
            if not session.driver.is_closed():
                return session
            await session._connection.invalidate()
            await session.close()

    @property
    def driver(self) -> asyncpg.Connection:
        """The driver's own connection."""
        # Public, and without a detour through a greenlet since there is a connection already.
        connection = self._connection.sync_connection
        assert connection is not None, "it is connected"
        found: asyncpg.Connection | None = connection.connection.driver_connection
        assert found is not None, "it was invalidated, and its user told by an error"
        return found

    async def rows(self, statement: Statement, parameters: Parameters) -> Sequence[asyncpg.Record]:
        """Run it; its rows."""
        await self.send()
        return await self._run(self.driver.fetch(statement.sql, *statement.values(parameters)))

    async def value(self, statement: Statement, parameters: Parameters) -> Any:
        """Run it; the first column of its first row, None without one."""
        await self.send()
        return await self._run(self.driver.fetchval(statement.sql, *statement.values(parameters)))

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
        await self.send()
        return await self._connection.execute(statement, *more)

    async def scalar(self, statement: sa.Executable) -> Any:
        """Run it through SQLAlchemy; the first column of its first row, None without one."""
        await self.send()
        return await self._connection.scalar(statement)

    async def scalars(self, statement: sa.Executable) -> sa.ScalarResult[Any]:
        """Run it through SQLAlchemy; the first column of its rows."""
        await self.send()
        return await self._connection.scalars(statement)

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
            if not self._connection.invalidated and self.driver.is_in_transaction():
                await self._run(self.driver.execute("ROLLBACK"))
        finally:
            await self._connection.close()

    async def _run(self, running: Awaitable[Result]) -> Result:
        try:
            return await running
        except BaseException as error:
            if not _is_an_answer(error):
                # What state it is in nobody knows: broken, or busy with what was broken off.
                await self._connection.invalidate(error)
            raise


def _is_an_answer(error: BaseException) -> bool:
    """Whether the server has said no, and goes on listening."""
    if not isinstance(error, asyncpg.PostgresError):
        return False
    code = error.sqlstate or ""
    return code != READ_ONLY and code[:2] not in _ENDS_A_SESSION
