"""A provider that knows what it was told."""

from __future__ import annotations

from collections.abc import Iterable

from domain.plans import Offer
from domain.subscription import Snapshot
from ports.payment_provider import Prices, ProviderCustomer, ProviderUnavailable


class MemoryPaymentProvider:
    """Answers from `customers`, `subscriptions` and `prices`, and notes in `asked` what about.

    Prices that were not set have references made from their lookup keys. Not `available`: it is
    away.
    """

    def __init__(self) -> None:
        self.available = True
        self.customers: dict[str, ProviderCustomer] = {}
        self.subscriptions: dict[str, Snapshot] = {}
        self.prices: Prices | None = None
        self.asked: list[str] = []

    async def fetch_customer(self, customer_ref: str) -> ProviderCustomer | None:
        """The customer as it was set; None where none was."""
        self._answer(customer_ref)
        return self.customers.get(customer_ref)

    async def fetch_subscription(self, subscription_ref: str) -> Snapshot | None:
        """The subscription as it was set; None where none was."""
        self._answer(subscription_ref)
        return self.subscriptions.get(subscription_ref)

    async def fetch_prices(self, offers: Iterable[Offer]) -> Prices:
        """The prices as they were set, else one per offer."""
        self._answer("prices")
        if self.prices is not None:
            return self.prices
        by_key = {offer.lookup_key: offer for offer in offers}
        return Prices(
            by_ref={f"price_{key}": offer for key, offer in by_key.items()},
            current={key: f"price_{key}" for key in by_key},
        )

    async def close(self) -> None:
        """There is no connection."""

    def _answer(self, about: str) -> None:
        self.asked.append(about)
        if not self.available:
            raise ProviderUnavailable("the provider was made unavailable")
