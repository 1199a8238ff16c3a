"""Which user is which customer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from adapters.memory.store import Tables, Transaction
from domain.customer import Customer
from ports.unit_of_work import ConcurrentChange


class MemoryCustomers:
    """The links, in this transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def reference_of(self, user_id: UUID) -> str | None:
        """The customer reference the user is linked to now, or None."""
        link = _link_of(user_id, self._transaction.read())
        return None if link is None else link.customer_ref

    async def exists(self, user_id: UUID) -> bool:
        """Whether the user is linked to a customer now."""
        return await self.reference_of(user_id) is not None

    async def find(
        self, customer_refs: Collection[str], user_ids: Collection[UUID]
    ) -> Sequence[Customer]:
        """Every link with one of these references, and every current link of these users."""
        return [
            replace(customer)
            for reference, customer in self._transaction.read().customers.items()
            if reference in customer_refs
            or (customer.user_id in user_ids and customer.retired_at is None)
        ]

    async def count_of(self, user_id: UUID) -> int:
        """How many customers the user was ever linked to, retired ones included."""
        customers = self._transaction.read().customers.values()
        return sum(customer.user_id == user_id for customer in customers)

    async def save(self, customers: Sequence[Customer]) -> None:
        """Insert or update by customer reference; concurrent savers both have their say."""
        # Retirements first: they free the user for the new customer in the same batch.
        saved = [replace(c) for c in sorted(customers, key=lambda c: c.retired_at is None)]

        def write(tables: Tables) -> None:
            for customer in saved:
                _save(customer, tables)

        self._transaction.write(write)


def _save(new: Customer, tables: Tables) -> None:
    assert new.customer_ref is not None, "only linked customers are kept"
    known = tables.customers.get(new.customer_ref)
    merged = new if known is None else _merge(known, new)
    assert merged.user_id or merged.retired_at, "only a retired customer has no user"
    if merged.user_id is not None and merged.retired_at is None:
        link = _link_of(merged.user_id, tables)
        if link is not None and link.customer_ref != merged.customer_ref:
            raise ConcurrentChange("the user was linked to another customer meanwhile")
    tables.customers[new.customer_ref] = merged


def _merge(known: Customer, new: Customer) -> Customer:
    newest = new if (new.as_of or _LONG_AGO) >= (known.as_of or _LONG_AGO) else known
    retirements = [at for at in (known.retired_at, new.retired_at) if at is not None]
    return replace(
        known,
        user_id=known.user_id or new.user_id,
        email=newest.email,
        name=newest.name,
        as_of=newest.as_of,
        retired_at=min(retirements, default=None),
        provider_created_at=known.provider_created_at or new.provider_created_at,
    )


def _link_of(user_id: UUID, tables: Tables) -> Customer | None:
    for customer in tables.customers.values():
        if customer.user_id == user_id and customer.retired_at is None:
            return customer
    return None


_LONG_AGO = datetime.min.replace(tzinfo=UTC)
