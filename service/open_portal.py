"""A user manages cards and invoices on the provider's page."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ports.authentication import User
from ports.purchases import Purchases
from ports.unit_of_work import UnitOfWork
from service.redirects import RedirectOrigins
from service.refusals import NotFound


class PortalOpened(msgspec.Struct, rename="camel", frozen=True):
    """Send the user to `session_url`."""

    session_url: str


class OpenPortal:
    """Hands out the address of the portal."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        purchases: Purchases,
        origins: RedirectOrigins,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._purchases = purchases
        self._origins = origins

    async def __call__(self, user: User, return_url: str) -> PortalOpened:
        """Raises Unacceptable, NotFound, ProviderUnavailable and ProviderRefused."""
        self._origins.check("returnUrl", return_url)
        async with self._unit_of_work() as uow:
            customer_ref = await uow.customers.reference_of(user.id)
        if customer_ref is None:
            raise NotFound("no-customer", "you have not bought anything yet that could be managed")
        return PortalOpened(await self._purchases.open_portal(customer_ref, return_url))
