"""An operator has the provider sell what the settings say."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from domain.plans import PriceList
from ports.catalog import Catalog, Published

log = structlog.get_logger(__name__)


class SyncCatalog:
    """Creates what is missing and replaces what has changed; a second run changes nothing."""

    def __init__(self, catalog: Catalog, prices: PriceList) -> None:
        self._catalog = catalog
        self._prices = prices

    async def __call__(self) -> Sequence[Published]:
        """Every offer and its price. Raises ProviderUnavailable and ProviderRefused."""
        published = []
        for offer in self._prices:
            found = await self._catalog.publish(offer)
            log.info(
                "offer_published",
                lookup_key=offer.lookup_key,
                price=found.price_ref,
                outcome=str(found.outcome),
            )
            published.append(found)
        return published
