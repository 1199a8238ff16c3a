"""Whose a database is: one sandbox's at a time, and nobody's who did not mean to give it.

What is given by DATABASE_URL may be exported for something else: a sandbox would work off that
service's webhooks and publish its messages to a broker nobody listens to. So it takes a database
whose schema `payments` has no rows or is absent, or that a sandbox has marked before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg

from adapters.postgres.tables import SCHEMA
from sandbox.servers import ServerError

PATIENCE: Final = 60.0  # seconds for a database to let us in, and out
# Of one database; any number will do that nobody else takes: "sandbox" in ASCII.
_LOCK: Final = 0x73616E64626F78
_HOLDER: Final = (
    "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (classid::bigint << 32) + objid::bigint = $1"
)
# The service's processes and commands give names that begin like this.
_OTHERS: Final = (
    "SELECT DISTINCT application_name FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND application_name LIKE 'payments%' ORDER BY 1"
)
_MARK: Final = "Made by payments sandbox "
# Seconds that the connections of a process which was just killed may take to go.
_LINGERING: Final = 5.0
_PAUSE: Final = 0.1  # seconds until it is looked again: nobody says when they have gone


class AlreadyRunning(Exception):
    """Another sandbox works on the same data, or on the same database."""


class NotOurs(ServerError):
    """A database is in use by something that is no sandbox."""


@asynccontextmanager
async def owned(database_url: str, data: Path, *, given: bool) -> AsyncIterator[str]:
    """Hold a database for this sandbox, whose data is in a folder; the id it is marked with.

    The id is that of the first sandbox that had this database, and of all later ones. Nothing is
    looked for in one that was not `given`. Raises AlreadyRunning, NotOurs, and ServerError where
    the database cannot be used.
    """
    who = f"payments sandbox, pid {os.getpid()} on {socket.gethostname()}, {data}"
    try:
        connection = await asyncpg.connect(
            database_url.replace("+asyncpg", ""),
            timeout=PATIENCE,
            # PostgreSQL keeps so many bytes of a name.
            server_settings={"application_name": who.encode("ascii", "replace")[:63].decode()},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise _unusable(error) from None
    try:
        try:
            mark = await _take(connection, given=given)
        except asyncpg.PostgresError as error:
            raise _unusable(error) from None
        yield mark
    finally:
        # Gone already where the server is, and the lock with it.
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=PATIENCE)


async def _take(connection: asyncpg.Connection[Any], *, given: bool) -> str:
    deadline = time.monotonic() + _LINGERING
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        if time.monotonic() > deadline:
            holder = await connection.fetchval(_HOLDER, _LOCK)
            raise AlreadyRunning(
                f"another sandbox works on this database ({holder}): stop it, or set DATABASE_URL "
                "to another one"
            )
        await asyncio.sleep(_PAUSE)
    while given and (others := await connection.fetch(_OTHERS)):
        if time.monotonic() > deadline:
            raise _not_ours(f"connected to it is {', '.join(row[0] for row in others)}")
        await asyncio.sleep(_PAUSE)
    mark: str | None = await connection.fetchval(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1", SCHEMA
    )
    id_ = mark.removeprefix(_MARK) if mark is not None and mark.startswith(_MARK) else None
    if given and (why := await _whose(connection, marked=id_ is not None)) is not None:
        raise _not_ours(why)
    if id_ is not None:
        return id_
    id_ = secrets.token_hex(6)
    async with connection.transaction():
        if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", SCHEMA):
            await connection.execute(f"CREATE SCHEMA {SCHEMA}")
        await connection.execute(f"COMMENT ON SCHEMA {SCHEMA} IS '{_MARK}{id_}'")
    return id_


async def _whose(connection: asyncpg.Connection[Any], *, marked: bool) -> str | None:
    """What in it is somebody else's; None where nothing is."""
    tables = await connection.fetch(
        "SELECT format('%I.%I', table_schema, table_name) AS name,"
        " bool_or(column_name = 'livemode') AS has_mode"
        " FROM information_schema.columns WHERE table_schema = $1"
        " AND table_name <> 'alembic_version' GROUP BY 1",
        SCHEMA,
    )
    for name, has_mode in tables:
        # The names are the catalogue's, quoted by the server.
        rows = f"SELECT EXISTS (SELECT 1 FROM {name}"  # noqa: S608
        if has_mode and await connection.fetchval(f"{rows} WHERE livemode)"):
            return f"{name} holds what has happened in live mode"
        if not marked and await connection.fetchval(f"{rows})"):
            return f"{name} has rows, and no sandbox has marked the schema as its own"
    return None


def _not_ours(why: str) -> NotOurs:
    return NotOurs(
        f"the database of DATABASE_URL is not for a sandbox: {why}. Set DATABASE_URL to an empty "
        "database, or unset it for a private one"
    )


def _unusable(error: BaseException) -> ServerError:
    return ServerError(
        f"the database cannot be used: {error!r}. Set DATABASE_URL to one that can, or unset it "
        "for a private one"
    )
