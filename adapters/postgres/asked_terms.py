"""`purchase_terms`: on which terms purchases were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from adapters.postgres.tables import purchase_terms as t
from ports.purchases import Terms

# Stripe keeps a key for a day at least. (Stripe: Idempotent requests) An hour less leaves time for
# clocks that differ, and for the call itself.
_REMEMBERED_FOR: Final = timedelta(hours=23)
# Whatever is older can be asked for anew.
_KEPT_FOR: Final = timedelta(hours=25)
# Old ones go a few at a time with the new ones, so nothing else has to remove them.
_REMOVED_AT_ONCE: Final = 100


class PostgresAskedTerms:
    """The terms of all users."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def note(self, operation: str, terms: Terms, now: datetime) -> None:
        """Keep that this operation is being asked for on these terms."""
        with storage_errors():
            async with self._engine.begin() as connection:
                await connection.execute(_remove_old(now - _KEPT_FOR))
                await connection.execute(
                    insert(t)
                    .values(
                        operation=operation,
                        fingerprint=terms.fingerprint,
                        price_ref=terms.price_ref,
                        trial_days=terms.trial_days,
                        success_url=terms.success_url,
                        cancel_url=terms.cancel_url,
                        created_at=now,
                    )
                    .on_conflict_do_nothing()
                )

    async def of(self, operation: str, now: datetime) -> Sequence[Terms]:
        """The terms on which it was asked for, the first ones first; none once those are old."""
        with storage_errors():
            async with self._engine.connect() as connection:
                found = (
                    await connection.execute(
                        sa.select(t).where(t.c.operation == operation).order_by(t.c.created_at)
                    )
                ).all()
        if not found or found[0].created_at < now - _REMEMBERED_FOR:
            return []
        return [
            Terms(one.price_ref, one.trial_days, one.success_url, one.cancel_url) for one in found
        ]


def _remove_old(before: datetime) -> sa.Delete:
    key = (t.c.operation, t.c.fingerprint)
    old = (
        sa.select(*key)
        .where(t.c.created_at < before)
        .limit(_REMOVED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    return sa.delete(t).where(sa.tuple_(*key).in_(old))
