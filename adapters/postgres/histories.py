"""Everything that is kept about a subscription or a user.

No index serves this: one on the ordering key would cost every webhook, and here a person asks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.customers import PostgresCustomers
from adapters.postgres.engine import storage_errors
from adapters.postgres.inbox import STATE
from adapters.postgres.session import Session
from adapters.postgres.subscriptions import PostgresSubscriptions
from adapters.postgres.tables import (
    outbox_events,
    stripe_customers,
    stripe_webhook_events,
    subscriptions,
)
from domain.customer import Customer
from domain.subscription import Subscription
from ports.histories import History, MessageRecord, WebhookRecord

_TEXTS: Final = sa.ARRAY(sa.Text)
_UUIDS: Final = sa.ARRAY(sa.Uuid)


class PostgresHistories:
    """The histories of all subscriptions. Its engine should be a patient one."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def about(self, name: str) -> History:
        """What is kept about this."""
        with storage_errors():
            async with self._engine.connect() as connection:
                found = await _subscriptions(connection, name)
                refs = {name} | {one.subscription_ref for one in found}
                refs |= {one.customer_ref for one in found if one.customer_ref}
                customers = await _customers(connection, name, refs, {one.user_id for one in found})
                refs |= {one.customer_ref for one in customers if one.customer_ref}
                return History(
                    subscriptions=found,
                    customers=customers,
                    webhooks=await _webhooks(connection, refs),
                    messages=await _messages(connection, {one.id for one in found}),
                )


async def _subscriptions(connection: AsyncConnection, name: str) -> Sequence[Subscription]:
    t, id_ = subscriptions, _uuid(name)
    condition = (
        sa.or_(t.c.stripe_subscription_id == name, t.c.stripe_customer_id == name)
        if id_ is None
        else sa.or_(t.c.id == id_, t.c.user_id == id_)
    )
    refs = await connection.scalars(
        sa.select(t.c.stripe_subscription_id).where(condition).order_by(t.c.created_at)
    )
    wanted = [ref for ref in refs if ref]
    found = {one.subscription_ref: one for one in await _read(connection, wanted)}
    return [found[ref] for ref in wanted]


async def _read(connection: AsyncConnection, refs: Sequence[str]) -> Sequence[Subscription]:
    return await PostgresSubscriptions(Session(connection)).find(refs)


async def _customers(
    connection: AsyncConnection, name: str, refs: Collection[str], users: Collection[UUID]
) -> Sequence[Customer]:
    """Also those the user was linked to once."""
    t, id_ = stripe_customers, _uuid(name)
    mine = {*users, *([id_] if id_ else [])}
    linked = await connection.scalars(
        sa.select(t.c.stripe_customer_id).where(
            t.c.user_id == sa.any_(sa.literal(list(mine), _UUIDS))
        )
    )
    return await PostgresCustomers(Session(connection)).find({*refs, *linked}, set())


async def _webhooks(connection: AsyncConnection, keys: Collection[str]) -> Sequence[WebhookRecord]:
    t = stripe_webhook_events
    rows = await connection.execute(
        sa.select(t, STATE.label("state"))
        .where(t.c.ordering_key == sa.any_(sa.literal(list(keys), _TEXTS)))
        .order_by(t.c.seq)
    )
    return [
        WebhookRecord(
            event_id=row.event_id,
            event_type=row.event_type,
            ordering_key=row.ordering_key,
            state=row.state,
            created=row.stripe_created_at,
            received_at=row.created_at,
            processed_at=row.processed_at,
            attempts=row.attempt_count,
            next_attempt_at=row.next_attempt_at,
            waiting_for=row.waiting_for,
            error=row.error_message,
        )
        for row in rows
    ]


async def _messages(connection: AsyncConnection, ids: Collection[UUID]) -> Sequence[MessageRecord]:
    t = outbox_events
    rows = await connection.execute(
        sa.select(t)
        .where(t.c.subscription_id == sa.any_(sa.literal(list(ids), _UUIDS)))
        .order_by(t.c.seq)
    )
    return [
        MessageRecord(
            id=row.id,
            subscription_id=row.subscription_id,
            version=row.version,
            type=row.type,
            body=row.body,
            written_at=row.created_at,
            published_at=row.published_at,
            unrouted_at=row.unrouted_at,
        )
        for row in rows
    ]


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
