"""Runs migrations, for `payments migrate` and for the `alembic` command alike.

Each migration is a transaction of its own, so that one may leave it for what PostgreSQL does in no
transaction (`migrations/online.py`), and what is done stays done where a later one fails. None
makes the service wait: one that does not get its lock at once lets go of it and tries again.
"""

from __future__ import annotations

import asyncio
import os

import sqlalchemy as sa
import structlog
from alembic import context
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from adapters.postgres.engine import create_engine, sqlstate, storage_errors
from adapters.postgres.tables import SCHEMA, metadata

log = structlog.get_logger(__name__)

# Any number will do, as long as every release uses the same: it names the lock that keeps two
# migrations from running at once.
_LOCK = 724_561_903
# Seconds between looking whether the other migration is over. Asking the server to wait would be
# a statement under way, which CREATE INDEX CONCURRENTLY of the other one waits for in turn.
_LOOK_EVERY = 0.5
# Seconds that a statement waits for a table. Everybody else waits behind it meanwhile.
_LOCK_TIMEOUT = 5.0
# How often it is tried, with a pause as long as the wait: for a good minute and a half.
_TRIES = 10
_LOCK_NOT_AVAILABLE = "55P03"


def _database_url() -> str:
    given = context.config.attributes.get("database_url") or os.environ.get("DATABASE_URL")
    if not given:
        raise SystemExit(
            "DATABASE_URL is not set: PostgreSQL, as postgresql://user:password@host/db"
        )
    return str(given)


def _migrate(connection: Connection) -> None:
    # Asked first, because creating one that exists takes the privilege all the same.
    if not sa.inspect(connection).has_schema(SCHEMA):
        connection.execute(sa.schema.CreateSchema(SCHEMA))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        # Other services may keep schemas of their own in this database.
        include_name=lambda name, kind, _: kind != "schema" or name == SCHEMA,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _run() -> None:
    engine = create_engine(_database_url(), name="payments migrate", pool_size=1, patient=True)
    lock_timeout = context.config.attributes.get("lock_timeout", _LOCK_TIMEOUT)
    try:
        with storage_errors():
            async with engine.connect() as connection:
                while not await connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_LOCK))):
                    await connection.rollback()
                    await asyncio.sleep(_LOOK_EVERY)
                milliseconds = str(round(lock_timeout * 1000))
                await connection.execute(
                    sa.select(sa.func.set_config("lock_timeout", milliseconds, False))
                )
                await connection.commit()
                for attempt in range(1, _TRIES + 1):
                    try:
                        await connection.run_sync(_migrate)
                        break
                    except DBAPIError as error:
                        if sqlstate(error) != _LOCK_NOT_AVAILABLE or attempt == _TRIES:
                            raise
                        await connection.rollback()
                        log.warning("migration_waits", attempt=attempt, seconds=lock_timeout)
                        await asyncio.sleep(lock_timeout)
    finally:
        await engine.dispose()  # and with the connection the lock


if context.is_offline_mode():
    raise SystemExit("migrations run against a database only: --sql is not supported")
asyncio.run(_run())
