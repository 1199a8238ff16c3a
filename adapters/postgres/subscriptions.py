"""`subscriptions`: the aggregates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.arrays import as_arrays, insert_arrays
from adapters.postgres.tables import subscriptions as t
from domain.events import SubscriptionSnapshot
from domain.subscription import Snapshot, Status, Subscription


class _Told(msgspec.Struct):
    """What the messages up to this version said."""

    version: int
    what: SubscriptionSnapshot


class PostgresSubscriptions:
    """The aggregates, in the transaction of this connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, subscription_refs: Collection[str]) -> Sequence[Subscription]:
        """The subscriptions with these references; unknown references are left out."""
        if not subscription_refs:
            return []
        wanted = sa.literal(list(subscription_refs), sa.ARRAY(sa.Text))
        rows = await self._connection.execute(
            sa.select(t).where(t.c.stripe_subscription_id == sa.any_(wanted))
        )
        return [_read(row) for row in rows]

    async def of_user(self, user_id: UUID) -> Sequence[Subscription]:
        """Every subscription the user ever had, the newest first."""
        rows = await self._connection.execute(
            sa.select(t)
            .where(t.c.user_id == user_id, t.c.stripe_subscription_id.is_not(None))
            .order_by(t.c.start_date.desc().nulls_last(), t.c.id)
        )
        return [_read(row) for row in rows]

    async def references(
        self,
        after: str,
        *,
        limit: int,
        user_id: UUID | None = None,
        subscription_id: UUID | None = None,
    ) -> Sequence[str]:
        """The next references of what messages were sent about, in their own order."""
        wanted = (
            sa.select(t.c.stripe_subscription_id)
            .where(t.c.stripe_subscription_id > after, t.c.version > 0)
            .order_by(t.c.stripe_subscription_id)
            .limit(limit)
        )
        if user_id is not None:
            wanted = wanted.where(t.c.user_id == user_id)
        if subscription_id is not None:
            wanted = wanted.where(t.c.id == subscription_id)
        return list(await self._connection.scalars(wanted))

    async def unconfirmed(self, begun_before: datetime, after: str, *, limit: int) -> Sequence[str]:
        """The next references of what was begun before this and is still `incomplete`."""
        return list(
            await self._connection.scalars(
                sa.select(t.c.stripe_subscription_id)
                .where(
                    t.c.status == str(Status.INCOMPLETE),
                    t.c.start_date < begun_before,
                    t.c.stripe_subscription_id > after,
                )
                .order_by(t.c.stripe_subscription_id)
                .limit(limit)
            )
        )

    async def hold(
        self, subscription_refs: Collection[str], *, wait: bool
    ) -> Sequence[Subscription]:
        """Lock these rows until the end of the transaction.

        Whoever writes messages about a subscription saves it first, in the same transaction, and
        so waits here: what it writes is numbered after what the holder wrote.
        """
        wanted = sa.literal(list(subscription_refs), sa.ARRAY(sa.Text))
        rows = await self._connection.execute(
            sa.select(t)
            .where(t.c.stripe_subscription_id == sa.any_(wanted))
            .with_for_update(key_share=True, skip_locked=not wait)
        )
        return [_read(row) for row in rows]

    async def save(self, subscriptions: Sequence[Subscription]) -> None:
        """Insert or update by reference. The caller holds the lease of their partitions."""
        if subscriptions:
            rows = [_write(subscription) for subscription in subscriptions]
            await self._connection.execute(_UPSERT, as_arrays(rows, _COLUMNS))


def _read(row: sa.Row[Any]) -> Subscription:
    return Subscription(
        user_id=row.user_id,
        customer_ref=row.stripe_customer_id,
        subscription_ref=row.stripe_subscription_id,
        livemode=row.livemode,
        facts=Snapshot(
            status=row.status,
            plan=row.plan,
            interval=row.billing_interval,
            price_ref=row.stripe_price_id,
            start=row.start_date,
            end=row.end_date,
            trial_end=row.trial_end_date,
            current_period_start=row.current_period_start,
            current_period_end=row.current_period_end,
            cancel_at=row.cancel_at,
        ),
        activated=row.activated,
        version=row.version,
        as_of=row.as_of,
        told=_read_told(row.told, row.version),
    )


def _read_told(kept: Any, version: int) -> SubscriptionSnapshot | None:
    told = None if kept is None else msgspec.convert(kept, _Told)
    return told.what if told is not None and told.version == version else None


def _write_told(subscription: Subscription) -> str | None:
    if subscription.told is None:
        return None
    return msgspec.json.encode(_Told(subscription.version, subscription.told)).decode()


def _write(subscription: Subscription) -> dict[str, object]:
    facts = subscription.facts
    return {
        "id": subscription.id,
        "user_id": subscription.user_id,
        "stripe_customer_id": subscription.customer_ref,
        "stripe_subscription_id": subscription.subscription_ref,
        "livemode": subscription.livemode,
        "status": str(facts.status),
        "plan": str(facts.plan),
        "billing_interval": facts.interval,
        "stripe_price_id": facts.price_ref,
        "start_date": facts.start,
        "end_date": facts.end,
        "trial_end_date": facts.trial_end,
        "current_period_start": facts.current_period_start,
        "current_period_end": facts.current_period_end,
        "cancel_at": facts.cancel_at,
        "activated": subscription.activated,
        "version": subscription.version,
        "as_of": subscription.as_of,
        "told": _write_told(subscription),
    }


_COLUMNS: Final = tuple(c.name for c in t.c if c.name not in ("created_at", "updated_at"))
_UPSERT: Final = insert_arrays(
    t,
    _COLUMNS,
    "ON CONFLICT (stripe_subscription_id) WHERE stripe_subscription_id IS NOT NULL"
    " DO UPDATE SET updated_at = now(), "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "id"),
)
