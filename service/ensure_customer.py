"""A user becomes a customer: once, however many requests ask for it at the same time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from domain.customer import Customer
from ports.authentication import User
from ports.payment_provider import ProviderUnavailable, RecordedFailure
from ports.purchases import OperationUnderWay, Purchases
from ports.unit_of_work import ConcurrentChange, UnitOfWork
from service.operation_names import nth, wait_a_moment
from service.refusals import Unacceptable, purchase_under_way

log = structlog.get_logger(__name__)


# How often it is asked for: failures that the provider may have recorded, and moments for which
# another request may have it in hand.
_TRIES: Final = 5


class EnsureCustomer:
    """Finds the user's customer, or has one created.

    Two first requests name the same operation, so the provider creates one customer, and both
    write the same row. Where we die before writing it, the provider's own notice brings the row;
    where that was before the customer bore an email, whoever comes next gives it one.
    """

    def __init__(
        self, unit_of_work: Callable[[], UnitOfWork], purchases: Purchases, *, livemode: bool
    ) -> None:
        self._unit_of_work = unit_of_work
        self._purchases = purchases
        self._livemode = livemode

    async def __call__(self, user: User) -> Customer:
        """The customer, with its reference.

        Raises Unacceptable where one has to be created and the token names no email, Conflict
        where another request has that in hand, ProviderUnavailable and ProviderRefused.
        """
        async with self._unit_of_work() as uow:
            # Counted first: whoever commits between the two is then seen as the link.
            generation = await uow.customers.count_of(user.id)
            known = await _current(uow, user)
        if known is not None:
            return await self._with_contact(known, user)
        if user.email is None:
            raise Unacceptable(
                "email-needed", "the token names no email address, which a customer needs"
            )
        reference = await self._create(user, f"customer:{user.id}:{generation}")
        await self._purchases.update_customer(reference, user.email, user.name)
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
            return await self._with_contact(known, user)
        log.info("customer_linked", user_id=str(user.id))
        return customer

    async def _with_contact(self, known: Customer, user: User) -> Customer:
        """The same, with an email."""
        if known.email is not None or known.customer_ref is None or user.email is None:
            return known
        await self._purchases.update_customer(known.customer_ref, user.email, user.name)
        given = replace(known, email=user.email, name=user.name or known.name)
        async with self._unit_of_work() as uow:
            await uow.customers.save([given])
            await uow.commit()
        return given

    async def _create(self, user: User, operation: str) -> str:
        spoilt = 0
        for attempt in range(_TRIES):
            try:
                return await self._purchases.create_customer(
                    user.id, operation=nth(operation, spoilt)
                )
            except RecordedFailure:
                spoilt += 1
            except OperationUnderWay:
                if attempt < _TRIES - 1:
                    await wait_a_moment()
        if spoilt < _TRIES:
            raise purchase_under_way()
        raise ProviderUnavailable("the provider keeps failing to create a customer")


async def _current(uow: UnitOfWork, user: User) -> Customer | None:
    found = await uow.customers.find((), {user.id})
    return found[0] if found else None
