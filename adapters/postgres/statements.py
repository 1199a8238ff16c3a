"""Statements that the driver runs itself.

SQLAlchemy writes them, knows their parameters and keeps the connections. Running them through it
as well takes three times as long as the statement does: of a webhook that comes alone, whose way is
ten of them, that would be most of the latency. Whatever is asked seldom goes through SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.engine import READ_ONLY
from ports.unit_of_work import StorageUnavailable

Result = TypeVar("Result")

_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own


class Statement:
    """A statement of SQLAlchemy's, made ready for the driver.

    It is part of whatever transaction its session is in; without one it is a transaction itself.
    """

    def __init__(self, statement: sa.Executable) -> None:
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        self.sql = str(compiled)
        # The parameters, in the order of $1, $2 and so on.
        self.names: Sequence[str] = compiled.positiontup or ()

    async def rows(
        self, connection: AsyncConnection, parameters: Mapping[str, Any]
    ) -> Sequence[asyncpg.Record]:
        """Run it; its rows. Raises asyncpg's errors."""
        values = [parameters[name] for name in self.names]
        return await _run(connection, _driver(connection).fetch(self.sql, *values))

    async def value(self, connection: AsyncConnection, parameters: Mapping[str, Any]) -> Any:
        """Run it; the first column of its first row, None without one."""
        values = [parameters[name] for name in self.names]
        return await _run(connection, _driver(connection).fetchval(self.sql, *values))


async def connect(engine: AsyncEngine) -> AsyncConnection:
    """A connection of the pool that the server has not closed meanwhile, as far as is known here.

    SQLAlchemy finds that out by the first statement that fails, which is somebody's webhook.
    """
    connection = await engine.connect()
    while _driver(connection).is_closed():
        await connection.invalidate()
        await connection.close()
        connection = await engine.connect()
    return connection


async def begin(connection: AsyncConnection) -> None:
    """Begin a transaction on a connection that autocommits for SQLAlchemy."""
    await _run(connection, _driver(connection).execute("BEGIN"))


async def commit(connection: AsyncConnection) -> None:
    """Make what was done in the transaction durable."""
    ended = await _run(connection, _driver(connection).execute("COMMIT"))
    if ended != "COMMIT":  # PostgreSQL: COMMIT ends a transaction that has failed by ROLLBACK
        raise StorageUnavailable("the transaction had failed before it was to be committed")


async def roll_back(connection: AsyncConnection) -> None:
    """Undo what was done in the transaction, if there is one yet."""
    if not connection.invalidated and _driver(connection).is_in_transaction():
        await _run(connection, _driver(connection).execute("ROLLBACK"))


def _driver(connection: AsyncConnection) -> asyncpg.Connection:
    # Public, and without a detour through a greenlet since there is a connection already.
    session: asyncpg.Connection | None = connection.sync_connection.connection.driver_connection  # type: ignore[union-attr]
    assert session is not None, "the connection was invalidated, and its user told by an error"
    return session


async def _run(connection: AsyncConnection, running: Awaitable[Result]) -> Result:
    try:
        return await running
    except BaseException as error:
        if not _is_an_answer(error):
            # What state it is in nobody knows: it may be broken, or busy with what was broken off.
            await connection.invalidate(error)
        raise


def _is_an_answer(error: BaseException) -> bool:
    """Whether the server has said no, and goes on listening."""
    if not isinstance(error, asyncpg.PostgresError):
        return False
    return error.sqlstate != READ_ONLY and error.sqlstate[:2] not in _ENDS_A_SESSION


# SQLSTATE classes: the connection itself, and the operator's or the server's intervention, of which
# a cancelled statement is one (PostgreSQL: Appendix A).
_ENDS_A_SESSION: Final = ("08", "57")
