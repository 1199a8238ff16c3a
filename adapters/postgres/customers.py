"""`stripe_customers`: which user is which customer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from adapters.postgres.arrays import insert_arrays
from adapters.postgres.session import Session
from adapters.postgres.statements import Statement, Write
from adapters.postgres.tables import stripe_customers as t
from domain.customer import Customer


class PostgresCustomers:
    """The links, in the transaction of this session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def reference_of(self, user_id: UUID) -> str | None:
        """The customer reference the user is linked to now, or None."""
        reference: str | None = await self._session.scalar(
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
        rows = await self._session.rows(
            _FIND, {"references": list(customer_refs), "users": list(user_ids)}
        )
        return [Customer(*row) for row in rows]

    async def count_of(self, user_id: UUID) -> int:
        """How many customers the user was ever linked to, retired ones included."""
        return (
            await self._session.scalar(
                sa.select(sa.func.count()).select_from(t).where(t.c.user_id == user_id)
            )
            or 0
        )

    async def save(self, customers: Sequence[Customer]) -> None:
        """Insert or update by customer reference; concurrent savers both have their say."""
        if not customers:
            return
        # Retirements first: they free the user for the new customer in the same batch. Then by
        # reference, so that two workers lock the rows in one order.
        rows = sorted(customers, key=lambda c: (c.retired_at is None, c.customer_ref or ""))
        columns = {
            "user_id": [customer.user_id for customer in rows],
            "stripe_customer_id": [customer.customer_ref for customer in rows],
            "email": [customer.email for customer in rows],
            "name": [customer.name for customer in rows],
            "livemode": [customer.livemode for customer in rows],
            "stripe_created_at": [customer.provider_created_at for customer in rows],
            "contact_as_of": [customer.as_of for customer in rows],
            "retired_at": [customer.retired_at for customer in rows],
        }
        await self._session.later(_UPSERT, columns)


# In the order of Customer's fields.
_COLUMNS: Final = (
    "user_id",
    "stripe_customer_id",
    "email",
    "name",
    "livemode",
    "stripe_created_at",
    "contact_as_of",
    "retired_at",
)
_FIND: Final = Statement(
    sa.text(
        f"SELECT {', '.join(_COLUMNS)} FROM {t.fullname}"
        " WHERE stripe_customer_id = ANY(CAST(:references AS text[]))"
        " OR (user_id = ANY(CAST(:users AS uuid[])) AND retired_at IS NULL)"
    )
)
_IS_NEWEST: Final = (
    "coalesce(excluded.contact_as_of, '-infinity') >= coalesce(old.contact_as_of, '-infinity')"
)
_UPSERT: Final = Write(
    "saved_customers",
    insert_arrays(
        t,
        _COLUMNS,
        "ON CONFLICT (stripe_customer_id) DO UPDATE SET"
        " user_id = coalesce(old.user_id, excluded.user_id),"
        f" email = CASE WHEN {_IS_NEWEST} THEN excluded.email ELSE old.email END,"
        f" name = CASE WHEN {_IS_NEWEST} THEN excluded.name ELSE old.name END,"
        " contact_as_of = greatest(old.contact_as_of, excluded.contact_as_of),"
        " retired_at = least(old.retired_at, excluded.retired_at),"
        " stripe_created_at = coalesce(old.stripe_created_at, excluded.stripe_created_at),"
        " updated_at = now()",
    ),
)
