"""Stripe's API through the official SDK."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from adapters.stripe import shapes
from adapters.stripe.api import StripeApi, any_failure_is_absence, as_shape, readable
from adapters.stripe.shapes import needed, reference
from adapters.stripe.translation import clean, email_of, moment, to_snapshot, user_of
from domain.money import Money
from domain.plans import Offer, PriceList
from domain.subscription import Snapshot
from ports.payment_provider import Prices, ProviderCustomer

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
        with any_failure_is_absence():
            found = await self._api.find(self._v1.customers.retrieve_async, customer_ref)
        if found is None:
            return None
        with readable():
            customer = as_shape(shapes.Customer, found)
            if customer.deleted:  # all that is left is its id
                return ProviderCustomer(customer_ref, deleted=True)
            return ProviderCustomer(
                customer_ref=customer_ref,
                user_id=user_of(needed(customer.metadata, "metadata")),
                email=email_of(customer),
                name=clean(needed(customer.name, "name")),
                created=moment(needed(customer.created, "created")),
            )

    async def fetch_subscription(self, subscription_ref: str) -> Snapshot | None:
        """The subscription as it is now; None where Stripe knows none."""
        with any_failure_is_absence():
            found = await self._api.find(self._v1.subscriptions.retrieve_async, subscription_ref)
        if found is None:
            return None
        with readable():
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
            if price.lookup_key in by_key:
                with readable():
                    by_ref[price.id] = _as_sold(by_key[price.lookup_key], price)
                if price.active:  # an archived one keeps its key, and nobody can buy at it
                    current[price.lookup_key] = price.id
                products |= {reference(price.product) or ""} - {""}
        for product in sorted(products):
            sold = await self._list_prices({"product": product})
            keyed = [(_interval(p), by_key[p.lookup_key]) for p in sold if p.lookup_key in by_key]
            for price in sold:
                offers = {offer for interval, offer in keyed if interval == _interval(price)}
                if len(offers) == 1:  # of two plans in one product none is guessed
                    with readable():
                        by_ref.setdefault(price.id, _as_sold(offers.pop(), price))
        return Prices(by_ref, current)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._api.close()

    async def _list_prices(self, params: PriceListParams) -> list[shapes.Price]:
        found: list[shapes.Price] = []
        params["limit"] = _PAGE
        while True:
            with any_failure_is_absence():
                answer = await self._api.find(self._v1.prices.list_async, params)
            if answer is None:
                return found
            page = as_shape(shapes.PricePage, answer)
            found += [price for price in page.data if price.is_of_one_interval]
            last = page.data[-1].id if page.data else None
            if not page.has_more or last is None:
                return found
            params["starting_after"] = last


def _as_sold(offer: Offer, price: shapes.Price) -> Offer:
    """The offer at what Stripe charges for it, which the settings may be ahead of or behind."""
    if price.unit_amount is None or price.currency is None:
        return offer
    return replace(offer, price=Money(price.unit_amount, price.currency.lower()))


def _interval(price: shapes.Price) -> str | None:
    return price.recurring.interval if price.recurring else None
