"""A user becomes a customer: once, however many requests ask for it at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from domain.customer import Customer
from ports.authentication import User
from ports.payment_provider import ProviderUnavailable, RecordedFailure
from ports.purchases import Purchases
from ports.unit_of_work import ConcurrentChange, UnitOfWork
from service.operation_names import nth
from service.refusals import Unacceptable

log = structlog.get_logger(__name__)


# Failures that the provider may have recorded before it is left alone.
_TRIES: Final = 5


class EnsureCustomer:
    """Finds the user's customer, or has one created.

    Two first requests name the same operation, so the provider creates one customer, and both
    write the same row. Where we die before writing it, the provider's own notice brings the row.
    """

    def __init__(
        self, unit_of_work: Callable[[], UnitOfWork], purchases: Purchases, *, livemode: bool
    ) -> None:
        self._unit_of_work = unit_of_work
        self._purchases = purchases
        self._livemode = livemode

    async def __call__(self, user: User) -> Customer:
        """The customer, with its reference.

        Raises Unacceptable where one has to be created and the token names no email,
        ProviderUnavailable and ProviderRefused.
        """
        async with self._unit_of_work() as uow:
            # Counted first: whoever commits between the two is then seen as the link.
            generation = await uow.customers.count_of(user.id)
            known = await _current(uow, user)
        if known is not None:
            return known
        if user.email is None:
            raise Unacceptable(
                "email-needed", "the token names no email address, which a customer needs"
            )
        reference = await self._create(user, user.email, f"customer:{user.id}:{generation}")
        customer = Customer(user.id, reference, user.email, user.name, self._livemode)
        try:
            async with self._unit_of_work() as uow:
                await uow.customers.save([customer])
                await uow.commit()
        except ConcurrentChange:
            async with self._unit_of_work() as uow:
                known = await _current(uow, user)
            if known is None:
                raise
            log.error("customer_created_twice", user_id=str(user.id), unused=reference)
            return known
        log.info("customer_linked", user_id=str(user.id))
        return customer

    async def _create(self, user: User, email: str, operation: str) -> str:
        for spoilt in range(_TRIES):
            with contextlib.suppress(RecordedFailure):
                return await self._purchases.create_customer(
                    user.id, email, user.name, operation=nth(operation, spoilt)
                )
        raise ProviderUnavailable("the provider keeps failing to create a customer")


async def _current(uow: UnitOfWork, user: User) -> Customer | None:
    found = await uow.customers.find((), {user.id})
    return found[0] if found else None
