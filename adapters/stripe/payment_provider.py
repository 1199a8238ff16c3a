"""Stripe's API through the official SDK."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import stripe
import structlog

from adapters.stripe import shapes
from adapters.stripe.shapes import reference
from adapters.stripe.translation import clean, email_of, moment, to_snapshot, user_of
from domain.plans import Offer, PriceList
from domain.subscription import Snapshot
from ports.payment_provider import Prices, ProviderCustomer, ProviderUnavailable

if TYPE_CHECKING:  # the SDK has these for type checkers alone
    from stripe.params import PriceListParams

log = structlog.get_logger(__name__)

T = TypeVar("T")
Shape = TypeVar("Shape")

# Seconds for one attempt. The SDK's own 80 would hold a subscription up for minutes.
TIMEOUT: Final = 10.0
# The SDK repeats connection errors, 409 and 5xx with jitter, under one idempotency key.
RETRIES: Final = 2
# The most that Stripe lists at once. (Stripe: Pagination)
_PAGE: Final = 100

# It would write a file under the home directory of the user.
stripe.enable_telemetry = False


class StripePaymentProvider:
    """What Stripe says now; or what `api_base` says, where one is given."""

    def __init__(self, secret_key: str, api_base: str | None, prices: PriceList) -> None:
        self._http = stripe.HTTPXClient(timeout=TIMEOUT)
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base} if api_base else {},
            http_client=self._http,
            max_network_retries=RETRIES,
        )
        self._prices = prices

    async def fetch_customer(self, customer_ref: str) -> ProviderCustomer | None:
        """The customer as it is now; None where Stripe knows none."""
        found = await _call(
            "customers.retrieve", self._client.v1.customers.retrieve_async(customer_ref)
        )
        if found is None:
            return None
        customer = _as(shapes.Customer, found)
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
        found = await _call(
            "subscriptions.retrieve",
            self._client.v1.subscriptions.retrieve_async(subscription_ref),
        )
        return None if found is None else to_snapshot(_as(shapes.Subscription, found), self._prices)

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
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the SDK's own

    async def _list_prices(self, params: PriceListParams) -> list[shapes.Price]:
        params["limit"] = _PAGE
        page = await _call("prices.list", self._client.v1.prices.list_async(params))
        if page is None:
            return []
        return [_as(shapes.Price, price) async for price in page.auto_paging_iter()]


async def _call(operation: str, call: Awaitable[T]) -> T | None:
    """The answer; None where Stripe knows no such object. Raises ProviderUnavailable."""
    try:
        return await call
    except stripe.StripeError as error:
        if error.http_status == 404 or error.code == "resource_missing":
            return None
        log.warning(
            "stripe_call_failed",
            operation=operation,
            error=type(error).__name__,
            http_status=error.http_status,
            request_id=error.request_id,
        )
        raise ProviderUnavailable(
            f"Stripe did not answer {operation}: {type(error).__name__}"
            + (f" (HTTP {error.http_status})" if error.http_status else "")
        ) from error


def _as(shape: type[Shape], found: stripe.StripeObject) -> Shape:
    """An SDK object as one of our shapes. Raises ProviderUnavailable where it does not fit."""
    try:
        return msgspec.convert(found.to_dict(), shape)
    except msgspec.ValidationError as error:
        raise ProviderUnavailable(f"Stripe answered in a shape we do not know: {error}") from error
