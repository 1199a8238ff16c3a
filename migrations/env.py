"""Runs migrations, for `payments migrate` and for the `alembic` command alike."""

from __future__ import annotations

import asyncio
import os

import sqlalchemy as sa
from alembic import context
from sqlalchemy import Connection

from adapters.postgres.engine import create_engine, storage_errors
from adapters.postgres.tables import SCHEMA, metadata

# Any number will do, as long as every release uses the same: it names the lock that keeps two
# migrations from running at once.
_LOCK = 724_561_903


def _database_url() -> str:
    given = context.config.attributes.get("database_url") or os.environ.get("DATABASE_URL")
    if not given:
        raise SystemExit(
            "DATABASE_URL is not set: PostgreSQL, as postgresql://user:password@host/db"
        )
    return str(given)


def _migrate(connection: Connection) -> None:
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    # Asked first, because creating one that exists takes the privilege all the same.
    if not sa.inspect(connection).has_schema(SCHEMA):
        connection.execute(sa.schema.CreateSchema(SCHEMA))
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        # Other services may keep schemas of their own in this database.
        include_name=lambda name, kind, _: kind != "schema" or name == SCHEMA,
        compare_server_default=True,
    )
    context.run_migrations()


async def _run() -> None:
    engine = create_engine(_database_url(), name="payments migrate", pool_size=1, patient=True)
    try:
        with storage_errors():
            async with engine.begin() as connection:
                await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("migrations run against a database only: --sql is not supported")
asyncio.run(_run())
