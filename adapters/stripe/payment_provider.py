"""Stripe's API through the official SDK."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
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
        with _readable():
            customer = msgspec.convert(found.to_dict(), shapes.Customer)
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
        if found is None:
            return None
        with _readable():
            subscription = msgspec.convert(found.to_dict(), shapes.Subscription)
            return to_snapshot(subscription, self._prices)

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
            keyed = [(_interval(p), by_key[p.lookup_key]) for p in sold if p.lookup_key in by_key]
            for price in sold:
                offers = {offer for interval, offer in keyed if interval == _interval(price)}
                if price.id and len(offers) == 1:  # of two plans in one product none is guessed
                    by_ref.setdefault(price.id, offers.pop())
        return Prices(by_ref, current)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the SDK's own

    async def _list_prices(self, params: PriceListParams) -> list[shapes.Price]:
        found: list[shapes.Price] = []
        params["limit"] = _PAGE
        while True:
            answer = await _call("prices.list", self._client.v1.prices.list_async(params))
            if answer is None:
                return found
            with _readable():
                page = msgspec.convert(answer.to_dict(), shapes.PricePage)
            found += page.data
            last = page.data[-1].id if page.data else None
            if not page.has_more or last is None:
                return found
            params["starting_after"] = last


async def _call(operation: str, call: Awaitable[T]) -> T | None:
    """The answer; None where Stripe knows no such object. Raises ProviderUnavailable."""
    try:
        return await call
    except stripe.StripeError as error:
        # Not by the 404 alone: a proxy or a wrong STRIPE_API_BASE answers with one, too.
        if error.code == "resource_missing":
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


def _interval(price: shapes.Price) -> str | None:
    return price.recurring.interval if price.recurring else None


@contextmanager
def _readable() -> Iterator[None]:
    """Raise ProviderUnavailable where an answer does not fit the shapes we know."""
    try:
        yield
    except ValueError as error:  # which msgspec's own is as well
        raise ProviderUnavailable(f"Stripe answered in a shape we do not know: {error}") from error
