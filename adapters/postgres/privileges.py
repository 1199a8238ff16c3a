"""The least that the service needs of the database, for a role that owns nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from adapters.postgres.engine import create_engine, storage_errors
from adapters.postgres.tables import SCHEMA

_READ: Final = "SELECT"
_ADD: Final = "SELECT, INSERT"
_CHANGE: Final = "SELECT, INSERT, UPDATE"
_REMOVE: Final = "SELECT, INSERT, UPDATE, DELETE"

# What may be removed is what is removed by design: rows past their time, workers that are gone.
PRIVILEGES: Final[Mapping[str, str]] = {
    "stripe_customers": _CHANGE,
    "stripe_webhook_events": _REMOVE,
    "subscriptions": _CHANGE,
    "outbox_events": _REMOVE,
    "trial_redemptions": _ADD,
    "paid_invoices": _ADD,
    "duplicate_subscriptions": _ADD,
    "workers": _REMOVE,
    "worker_partitions": _CHANGE,
    "idempotency_keys": _REMOVE,
    "scheduled_jobs": _CHANGE,
    "plan_change_previews": _REMOVE,
    "purchase_terms": _REMOVE,
    "claims": _REMOVE,
    "alembic_version": _READ,
}


def statements(role: str) -> list[str]:
    """What has to be run so that this role has these privileges in the schema and no others."""
    to = PGDialect().identifier_preparer.quote_identifier(role)  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    return [
        f"REVOKE ALL ON SCHEMA {SCHEMA} FROM {to}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {SCHEMA} FROM {to}",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {to}",
        *(
            f"GRANT {privileges} ON {SCHEMA}.{table} TO {to}"
            for table, privileges in PRIVILEGES.items()
        ),
    ]


def grant_to(database_url: str, role: str) -> None:
    """Grant them, as the owner of the schema. Raises StorageUnavailable."""

    async def grant() -> None:
        engine = create_engine(database_url, name="payments migrate", pool_size=1, patient=True)
        try:
            with storage_errors():
                async with engine.begin() as connection:
                    for statement in statements(role):
                        await connection.execute(sa.text(statement))
        finally:
            await engine.dispose()

    asyncio.run(grant())
