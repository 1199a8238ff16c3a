"""Connections to PostgreSQL, and which of their failures are worth a retry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from ports.unit_of_work import ConcurrentChange, StorageUnavailable

# A worker that stalls inside a transaction holds its share against those who would take over;
# after this many milliseconds the server ends it. A healthy one is idle for less than a few.
_IDLE_IN_TRANSACTION_MS: Final = 10_000
# A host that dies while it is sent what it asked for would leave the server waiting, with the share
# held, for as long as TCP is patient: a quarter of an hour. Milliseconds, as above.
_UNACKNOWLEDGED_MS: Final = 10_000
# Seconds for one statement. A batch of 500 takes tens of milliseconds.
_COMMAND_TIMEOUT: Final = 20.0
_CONNECT_TIMEOUT: Final = 5.0

# SQLSTATE classes that say that the data is at fault, so that repeating cannot help: cardinality,
# data, integrity, a limit of the server's, and what a trigger refuses (PostgreSQL: Appendix A).
# Everything else is the server's or the operator's to mend.
_THE_DATA_IS_AT_FAULT: Final = ("21", "22", "23", "54", "P0")
READ_ONLY: Final = "25006"
# What a connection says of when it was made, by a clock that nobody sets.
SINCE: Final = "since"
_ONE_CUSTOMER_PER_USER: Final = "ix_stripe_customers_user_id"
_TAKES_NO_WRITES: Final = (
    "the database takes no writes: does DATABASE_URL lead to a standby, or is its disk full?"
)


def async_url(database_url: str) -> URL:
    """`postgresql://…` as SQLAlchemy and asyncpg want it. Raises ArgumentError for no URL."""
    url = make_url(database_url)
    query = dict(url.query)
    if "sslmode" in query:  # libpq's name; asyncpg calls it ssl
        query["ssl"] = query.pop("sslmode")
    for ours in ("application_name", "connect_timeout"):  # create_engine sets them itself
        query.pop(ours, None)
    return url.set(drivername="postgresql+asyncpg", query=query)


def create_engine(
    database_url: str, *, name: str, pool_size: int, patient: bool = False
) -> AsyncEngine:
    """An engine that connects when it is first used. `name` shows in pg_stat_activity.

    A `patient` one waits for as long as a statement takes: a migration may build an index. The
    others leave a server that takes no writes, however they got there, and look for one that does.
    """
    impatient = {
        "command_timeout": _COMMAND_TIMEOUT,
        "target_session_attrs": "read-write",
    }
    engine = create_async_engine(
        async_url(database_url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_CONNECT_TIMEOUT,
        hide_parameters=True,  # they are people's data, and errors are logged and kept
        pool_pre_ping=False,  # a dead connection fails its transaction, which is retried anyway
        connect_args={
            "timeout": _CONNECT_TIMEOUT,
            **({} if patient else impatient),
            "server_settings": {
                "application_name": name,
                "idle_in_transaction_session_timeout": str(
                    0 if patient else _IDLE_IN_TRANSACTION_MS
                ),
                "tcp_user_timeout": str(_UNACKNOWLEDGED_MS),
                "jit": "off",  # compiling costs more than our short statements take
                # What is worked on is in memory: the default is for disks that turn, and makes
                # reading a whole table look cheaper than looking up a batch of ids.
                "random_page_cost": "1.1",
            },
        },
    )
    event.listen(engine.sync_engine, "handle_error", _leave_what_takes_no_writes)
    event.listen(engine.sync_engine, "connect", _note_when)
    return engine


def _note_when(_: object, connection: ConnectionPoolEntry) -> None:
    connection.info[SINCE] = monotonic()


def _leave_what_takes_no_writes(context: ExceptionContext) -> None:
    """After a failover a connection may lead to what has become a standby, and would for ever."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


def autocommitting(engine: AsyncEngine) -> AsyncEngine:
    """The same connections, on which SQLAlchemy begins no transactions."""
    if engine.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return engine
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what repeating may mend into StorageUnavailable; leave what is wrong with the data."""
    try:
        yield
    except (StorageUnavailable, ConcurrentChange, asyncio.CancelledError):
        raise
    except DBAPIError as error:  # what went through SQLAlchemy; what did not is the driver's own
        if ours := _as_ours(error.orig and error.orig.__cause__):
            raise ours from error
        raise
    except asyncpg.PostgresError as error:
        if ours := _as_ours(error):
            raise ours from error
        raise
    except (
        *(OSError, TimeoutError, PoolTimeout, asyncpg.InterfaceError),
        # A session that the server has ended, as long as only its last words have arrived.
        asyncpg.exceptions.InternalClientError,
    ) as e:
        raise StorageUnavailable(_unreachable(e)) from e


def sqlstate(error: DBAPIError) -> str:
    """The five-character code of the server's error, or an empty string."""
    return getattr(error.orig, "sqlstate", None) or ""


def _as_ours(error: BaseException | None) -> StorageUnavailable | ConcurrentChange | None:
    """What the driver's error means to whoever asked; None where the data is at fault."""
    if not isinstance(error, asyncpg.PostgresError):
        return StorageUnavailable(_unreachable(error))
    if getattr(error, "constraint_name", None) == _ONE_CUSTOMER_PER_USER:
        return ConcurrentChange("the user was linked to another customer meanwhile")
    # One that was refused before it was sent has the class of its kind.
    code = error.sqlstate or ""
    if code[:2] in _THE_DATA_IS_AT_FAULT:
        return None
    return StorageUnavailable(_explain(error, code))


def _explain(error: asyncpg.PostgresError, code: str) -> str:
    match code:
        case "42P01" | "42703" | "3F000":
            return "the schema is missing or older than this release: run `payments migrate`"
        case "42501":
            return "the role of DATABASE_URL lacks a privilege on the schema payments: grant it"
        case code if code == READ_ONLY:
            return _TAKES_NO_WRITES
        case "3D000":
            return "the database that DATABASE_URL names does not exist: create it"
        case "42704":
            return "the role to grant to does not exist: create it first (CREATE ROLE … LOGIN)"
        case "55P03":
            return "somebody holds a table: look into pg_stat_activity, end it, and try again"
        case "28000" | "28P01":
            return "the server refuses the user or the password of DATABASE_URL: correct them"
        case "":
            return _unreachable(error)
        case _:
            return f"the database refused with SQLSTATE {code}"


def _unreachable(error: BaseException | None) -> str:
    if isinstance(error, asyncpg.exceptions.TargetServerAttributeNotMatched):
        return _TAKES_NO_WRITES
    kind = type(error).__name__
    return f"the database of DATABASE_URL cannot be reached ({kind}): is it up, is the host right?"
