"""A user manages cards and invoices on the provider's page."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ports.authentication import User
from ports.payment_provider import CustomerMissing
from ports.purchases import Purchases
from ports.unit_of_work import UnitOfWork
from service.ensure_customer import EnsureCustomer
from service.own_webhooks import OwnWebhooks
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
        ensure_customer: EnsureCustomer,
        own_webhooks: OwnWebhooks,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._purchases = purchases
        self._ensure_customer = ensure_customer
        self._own_webhooks = own_webhooks
        self._origins = origins

    async def __call__(self, user: User, return_url: str) -> PortalOpened:
        """Raises Unacceptable, NotFound, ProviderUnavailable and ProviderRefused."""
        self._origins.check("returnUrl", return_url)
        async with self._unit_of_work() as uow:
            customer_ref = await uow.customers.reference_of(user.id)
        if customer_ref is None:
            raise NotFound("no-customer", "you have not bought anything yet that could be managed")
        try:
            return PortalOpened(await self._purchases.open_portal(customer_ref, return_url))
        except CustomerMissing:
            if not await self._own_webhooks.let_go_of(customer_ref):
                raise
        customer = await self._ensure_customer(user)
        assert customer.customer_ref is not None, "an ensured customer has a reference"
        return PortalOpened(await self._purchases.open_portal(customer.customer_ref, return_url))
