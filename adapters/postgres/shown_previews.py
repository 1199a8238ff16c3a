"""`plan_change_previews`: what users were shown of changes of plan."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from adapters.postgres.tables import plan_change_previews as t
from ports.shown_previews import ShownPreview

# Far longer than one can be confirmed; an operator may want to see what was shown yesterday.
_KEPT_FOR: Final = timedelta(days=1)
# Old ones go a few at a time with the new ones, so nothing else has to remove them.
_REMOVED_AT_ONCE: Final = 100


class PostgresShownPreviews:
    """The previews of all subscriptions."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def remember(self, preview: ShownPreview) -> bool:
        """Keep it; False where another amount was shown for this price and date before."""
        statement = insert(t).values(
            subscription_id=preview.subscription_id,
            price_ref=preview.price_ref,
            proration_date=preview.proration_date,
            old_price_ref=preview.old_price_ref,
            due_now=preview.due_now,
            sum_of_lines=preview.sum_of_lines,
            currency=preview.currency,
            created_at=preview.shown_at,
        )
        new = statement.excluded
        shown = (t.c.old_price_ref, t.c.due_now, t.c.sum_of_lines, t.c.currency)
        with storage_errors():
            async with self._engine.begin() as connection:
                kept = await connection.scalar(
                    statement.on_conflict_do_update(
                        index_elements=[t.c.subscription_id, t.c.price_ref, t.c.proration_date],
                        set_={"created_at": new.created_at},
                        where=sa.and_(*(column == new[column.name] for column in shown)),
                    ).returning(t.c.subscription_id)
                )
                await connection.execute(_remove_old(preview.shown_at - _KEPT_FOR))
        return kept is not None

    async def find(
        self, subscription_id: UUID, price_ref: str, proration_date: datetime
    ) -> ShownPreview | None:
        """What was shown for exactly this, if anything."""
        with storage_errors():
            async with self._engine.connect() as connection:
                found = (
                    await connection.execute(
                        sa.select(t).where(
                            t.c.subscription_id == subscription_id,
                            t.c.price_ref == price_ref,
                            t.c.proration_date == proration_date,
                        )
                    )
                ).one_or_none()
        if found is None:
            return None
        return ShownPreview(
            subscription_id=found.subscription_id,
            price_ref=found.price_ref,
            proration_date=found.proration_date,
            old_price_ref=found.old_price_ref,
            due_now=found.due_now,
            sum_of_lines=found.sum_of_lines,
            currency=found.currency,
            shown_at=found.created_at,
        )


def _remove_old(before: datetime) -> sa.Delete:
    key = (t.c.subscription_id, t.c.price_ref, t.c.proration_date)
    old = (
        sa.select(*key)
        .where(t.c.created_at < before)
        .limit(_REMOVED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    return sa.delete(t).where(sa.tuple_(*key).in_(old))
