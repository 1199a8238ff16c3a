"""Products and prices at Stripe, found by lookup key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.stripe import answers, shapes
from adapters.stripe.api import StripeApi, as_shape, once
from adapters.stripe.shapes import reference
from domain.plans import Offer, Plan
from ports.catalog import Publication, Published

if TYPE_CHECKING:  # the SDK has these for type checkers alone
    from stripe.params import PriceCreateParams

# What stands on invoices.
_NAMES: Final = {Plan.GENERAL: "General", Plan.EVENT_ORGANIZER: "Event Organizer"}


class StripeCatalog:
    """The catalog of one account."""

    def __init__(self, api: StripeApi) -> None:
        self._api = api
        self._v1 = api.v1

    async def publish(self, offer: Offer) -> Published:
        """Make sure that this offer is sold under its lookup key."""
        found = await self._find(offer)
        if found is not None and sells(found, offer):
            return Published(offer, found.id or "", Publication.UNCHANGED)
        product = reference(found.product) if found else None
        params: PriceCreateParams = {
            "product": product or await self._product(offer.plan),
            "currency": offer.price.currency,
            "unit_amount": offer.price.amount,
            "recurring": {"interval": offer.interval.value},
            "lookup_key": offer.lookup_key,
            # A price never changes its amount; whoever bought at the old one keeps it.
            "transfer_lookup_key": True,
        }
        key = (
            f"price:{offer.lookup_key}:{offer.price.amount}:{offer.price.currency}"
            f":{offer.interval}:after:{found.id if found else 'none'}"
        )
        created = await self._api.call(self._v1.prices.create_async, params, once(key))
        outcome = Publication.CREATED if found is None else Publication.REPLACED
        return Published(offer, as_shape(answers.Referred, created).id, outcome)

    async def _find(self, offer: Offer) -> shapes.Price | None:
        page = await self._api.call(
            self._v1.prices.list_async, {"lookup_keys": [offer.lookup_key], "limit": 1}
        )
        return as_shape(shapes.Price, page.data[0]) if page.data else None

    async def _product(self, plan: Plan) -> str:
        """The plan's product. Its id is ours to choose, so that there is never a second one."""
        product = f"payments_{plan}"
        if await self._api.find(self._v1.products.retrieve_async, product) is None:
            await self._api.call(
                self._v1.products.create_async,
                {"id": product, "name": _NAMES.get(plan, str(plan))},
                once(f"product:{product}"),
            )
        return product


def sells(price: shapes.Price, offer: Offer) -> bool:
    """Whether this is the price that the offer asks for."""
    if not (price.active and price.is_of_one_interval):
        return False
    interval = price.recurring.interval if price.recurring else None
    return (price.unit_amount, price.currency, interval) == (
        offer.price.amount,
        offer.price.currency,
        offer.interval.value,
    )
