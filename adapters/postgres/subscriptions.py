"""`subscriptions`: the aggregates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from adapters.postgres.arrays import insert_arrays
from adapters.postgres.session import Session
from adapters.postgres.statements import Statement, Write
from adapters.postgres.tables import subscriptions as t
from domain.events import SubscriptionSnapshot
from domain.subscription import Snapshot, Status, Subscription


class _Told(msgspec.Struct):
    """What the messages up to this version said."""

    version: int
    what: SubscriptionSnapshot


class PostgresSubscriptions:
    """The aggregates, in the transaction of this session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, subscription_refs: Collection[str]) -> Sequence[Subscription]:
        """The subscriptions with these references; unknown references are left out."""
        if not subscription_refs:
            return []
        rows = await self._session.rows(_FOUND, {"references": list(subscription_refs)})
        return [_read(*row) for row in rows]

    async def of_user(self, user_id: UUID) -> Sequence[Subscription]:
        """Every subscription the user ever had, the newest first."""
        rows = await self._session.execute(
            sa.select(*_READ)
            .where(t.c.user_id == user_id, t.c.stripe_subscription_id.is_not(None))
            .order_by(t.c.start_date.desc().nulls_last(), t.c.id)
        )
        return [_read(*row) for row in rows]

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
        return list(await self._session.scalars(wanted))

    async def unconfirmed(self, begun_before: datetime, after: str, *, limit: int) -> Sequence[str]:
        """The next references of what was begun before this and is still `incomplete`."""
        return list(
            await self._session.scalars(
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
        rows = await self._session.execute(
            _FIND.with_for_update(key_share=True, skip_locked=not wait),
            {"references": list(subscription_refs)},
        )
        return [_read(*row) for row in rows]

    async def save(self, subscriptions: Sequence[Subscription]) -> None:
        """Insert or update by reference. The caller holds the lease of their partitions."""
        if subscriptions:
            await self._session.later(_UPSERT, _write(subscriptions))


# In the order of the fields of Subscription, then of Snapshot. What was told goes past SQLAlchemy's
# own reading of JSON, which takes longer than all the rest of a row.
_READ: Final = (
    t.c.user_id,
    t.c.stripe_customer_id,
    t.c.stripe_subscription_id,
    t.c.livemode,
    t.c.activated,
    t.c.version,
    t.c.as_of,
    sa.cast(t.c.told, sa.Text),
    t.c.status,
    t.c.plan,
    t.c.billing_interval,
    t.c.stripe_price_id,
    t.c.start_date,
    t.c.end_date,
    t.c.trial_end_date,
    t.c.current_period_start,
    t.c.current_period_end,
    t.c.cancel_at,
)
_FIND: Final = sa.select(*_READ).where(
    t.c.stripe_subscription_id == sa.any_(sa.bindparam("references", type_=sa.ARRAY(sa.Text)))
)
_FOUND: Final = Statement(_FIND)


def _read(
    user_id: UUID,
    customer_ref: str | None,
    subscription_ref: str,
    livemode: bool,
    activated: bool,
    version: int,
    as_of: datetime | None,
    told: str | None,
    *facts: Any,
) -> Subscription:
    return Subscription(
        user_id,
        customer_ref,
        subscription_ref,
        livemode,
        Snapshot(*facts),
        activated,
        version,
        as_of,
        _read_told(told, version),
    )


_told: Final = msgspec.json.Decoder(_Told)


def _read_told(kept: str | None, version: int) -> SubscriptionSnapshot | None:
    told = None if kept is None else _told.decode(kept)
    return told.what if told is not None and told.version == version else None


def _write_told(subscription: Subscription) -> str | None:
    if subscription.told is None:
        return None
    return msgspec.json.encode(_Told(subscription.version, subscription.told)).decode()


def _write(subscriptions: Sequence[Subscription]) -> dict[str, list[Any]]:
    facts = [subscription.facts for subscription in subscriptions]
    return {
        "id": [subscription.id for subscription in subscriptions],
        "user_id": [subscription.user_id for subscription in subscriptions],
        "stripe_customer_id": [subscription.customer_ref for subscription in subscriptions],
        "stripe_subscription_id": [subscription.subscription_ref for subscription in subscriptions],
        "livemode": [subscription.livemode for subscription in subscriptions],
        "status": [str(fact.status) for fact in facts],
        "plan": [str(fact.plan) for fact in facts],
        "billing_interval": [fact.interval for fact in facts],
        "stripe_price_id": [fact.price_ref for fact in facts],
        "start_date": [fact.start for fact in facts],
        "end_date": [fact.end for fact in facts],
        "trial_end_date": [fact.trial_end for fact in facts],
        "current_period_start": [fact.current_period_start for fact in facts],
        "current_period_end": [fact.current_period_end for fact in facts],
        "cancel_at": [fact.cancel_at for fact in facts],
        "activated": [subscription.activated for subscription in subscriptions],
        "version": [subscription.version for subscription in subscriptions],
        "as_of": [subscription.as_of for subscription in subscriptions],
        "told": [_write_told(subscription) for subscription in subscriptions],
    }


_COLUMNS: Final = tuple(c.name for c in t.c if c.name not in ("created_at", "updated_at"))
_UPSERT: Final = Write(
    "saved_subscriptions",
    insert_arrays(
        t,
        _COLUMNS,
        "ON CONFLICT (stripe_subscription_id) WHERE stripe_subscription_id IS NOT NULL"
        " DO UPDATE SET updated_at = now(), "
        + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "id"),
    ),
)
