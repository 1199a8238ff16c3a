"""`stripe_customers`: which user is which customer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.tables import stripe_customers as t
from domain.customer import Customer


class PostgresCustomers:
    """The links, in the transaction of this connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def reference_of(self, user_id: UUID) -> str | None:
        """The customer reference the user is linked to now, or None."""
        reference: str | None = await self._connection.scalar(
            sa.select(t.c.stripe_customer_id).where(
                t.c.user_id == user_id, t.c.retired_at.is_(None)
            )
        )
        return reference

    async def exists(self, user_id: UUID) -> bool:
        """Whether the user is linked to a customer now."""
        return await self.reference_of(user_id) is not None

    async def find(
        self, customer_refs: Collection[str], user_ids: Collection[UUID]
    ) -> Sequence[Customer]:
        """Every link with one of these references, and every current link of these users."""
        if not customer_refs and not user_ids:
            return []
        rows = await self._connection.execute(
            sa.select(t).where(
                sa.or_(
                    t.c.stripe_customer_id == sa.any_(sa.literal(list(customer_refs), _TEXTS)),
                    sa.and_(
                        t.c.user_id == sa.any_(sa.literal(list(user_ids), _UUIDS)),
                        t.c.retired_at.is_(None),
                    ),
                )
            )
        )
        return [
            Customer(
                user_id=row.user_id,
                customer_ref=row.stripe_customer_id,
                email=row.email,
                name=row.name,
                livemode=row.livemode,
                provider_created_at=row.stripe_created_at,
                as_of=row.contact_as_of,
                retired_at=row.retired_at,
            )
            for row in rows
        ]

    async def count_of(self, user_id: UUID) -> int:
        """How many customers the user was ever linked to, retired ones included."""
        return (
            await self._connection.scalar(
                sa.select(sa.func.count()).select_from(t).where(t.c.user_id == user_id)
            )
            or 0
        )

    async def save(self, customers: Sequence[Customer]) -> None:
        """Insert or update by customer reference; concurrent savers both have their say."""
        if not customers:
            return
        statement = insert(t)
        new = statement.excluded
        newest = sa.func.coalesce(new.contact_as_of, _LONG_AGO) >= sa.func.coalesce(
            t.c.contact_as_of, _LONG_AGO
        )
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[t.c.stripe_customer_id],
                set_={
                    "user_id": sa.func.coalesce(t.c.user_id, new.user_id),
                    "email": sa.case((newest, new.email), else_=t.c.email),
                    "name": sa.case((newest, new.name), else_=t.c.name),
                    "contact_as_of": sa.func.greatest(t.c.contact_as_of, new.contact_as_of),
                    "retired_at": sa.func.least(t.c.retired_at, new.retired_at),
                    "stripe_created_at": sa.func.coalesce(
                        t.c.stripe_created_at, new.stripe_created_at
                    ),
                    "updated_at": sa.func.now(),
                },
            ),
            # Retirements first: they free the user for the new customer in the same batch. Then
            # by reference, so that two workers lock the rows in one order.
            [
                {
                    "user_id": customer.user_id,
                    "stripe_customer_id": customer.customer_ref,
                    "email": customer.email,
                    "name": customer.name,
                    "livemode": customer.livemode,
                    "stripe_created_at": customer.provider_created_at,
                    "contact_as_of": customer.as_of,
                    "retired_at": customer.retired_at,
                }
                for customer in sorted(
                    customers, key=lambda c: (c.retired_at is None, c.customer_ref or "")
                )
            ],
        )


_TEXTS = sa.ARRAY(sa.Text)
_UUIDS = sa.ARRAY(sa.Uuid)
_LONG_AGO: sa.ColumnClause[datetime] = sa.literal_column("'-infinity'::timestamptz")
