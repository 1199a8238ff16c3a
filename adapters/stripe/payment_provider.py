"""Stripe's API through the official SDK."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from stripe import StripeError

from adapters.stripe import shapes
from adapters.stripe.api import StripeApi, as_shape
from adapters.stripe.shapes import reference
from adapters.stripe.translation import clean, email_of, moment, to_snapshot, user_of
from domain.plans import Offer, PriceList
from domain.subscription import Snapshot
from ports.payment_provider import (
    Prices,
    ProviderCustomer,
    ProviderRefused,
    ProviderUnavailable,
)

if TYPE_CHECKING:  # the SDK has these for type checkers alone
    from stripe.params import PriceListParams

# The most that Stripe lists at once. (Stripe: Pagination)
_PAGE: Final = 100


class StripePaymentProvider:
    """What Stripe says now."""

    def __init__(self, api: StripeApi, prices: PriceList) -> None:
        self._api = api
        self._v1 = api.v1
        self._prices = prices

    async def fetch_customer(self, customer_ref: str) -> ProviderCustomer | None:
        """The customer as it is now; None where Stripe knows none."""
        with _any_failure_is_absence():
            found = await self._api.find(self._v1.customers.retrieve_async, customer_ref)
        if found is None:
            return None
        customer = as_shape(shapes.Customer, found)
        return ProviderCustomer(
            customer_ref=customer_ref,
            user_id=user_of(customer.metadata),
            email=email_of(customer),
            name=clean(customer.name),
            created=moment(customer.created),
            deleted=customer.deleted,
        )

    async def fetch_subscription(self, subscription_ref: str) -> Snapshot | None:
        """The subscription as it is now; None where Stripe knows none."""
        with _any_failure_is_absence():
            found = await self._api.find(self._v1.subscriptions.retrieve_async, subscription_ref)
        if found is None:
            return None
        return to_snapshot(as_shape(shapes.Subscription, found), self._prices)

    async def fetch_prices(self, offers: Iterable[Offer]) -> Prices:
        """The prices behind these offers.

        What was sold before under a lookup key is found through its product, since a price that
        lost its key keeps its product.
        """
        by_key = {offer.lookup_key: offer for offer in offers}
        by_ref: dict[str, Offer] = {}
        current: dict[str, str] = {}
        products: set[str] = set()
        for price in await self._list_prices({"lookup_keys": list(by_key)}):
            if price.id and price.lookup_key in by_key:
                by_ref[price.id] = by_key[price.lookup_key]
                current[price.lookup_key] = price.id
                products |= {reference(price.product) or ""} - {""}
        for product in sorted(products):
            sold = await self._list_prices({"product": product})
            keyed = {
                p.recurring.interval: by_ref[p.id] for p in sold if p.id in by_ref and p.recurring
            }
            for price in sold:
                if price.id and price.recurring and price.recurring.interval in keyed:
                    by_ref.setdefault(price.id, keyed[price.recurring.interval])
        return Prices(by_ref, current)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._api.close()

    async def _list_prices(self, params: PriceListParams) -> list[shapes.Price]:
        params["limit"] = _PAGE
        with _any_failure_is_absence():
            page = await self._api.call(self._v1.prices.list_async, params)
            return [as_shape(shapes.Price, price) async for price in page.auto_paging_iter()]


@contextmanager
def _any_failure_is_absence() -> Iterator[None]:
    """Whoever asks for the truth gets it or tries again later; nothing can be refused to them."""
    try:
        yield
    except ProviderRefused as refusal:
        raise ProviderUnavailable(str(refusal)) from refusal
    except StripeError as error:
        raise ProviderUnavailable(f"Stripe did not answer: {type(error).__name__}") from error
