"""Which of the provider's prices are ours, asked at the start and then from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

import structlog

from domain.plans import PriceList
from ports.payment_provider import PaymentProvider, ProviderUnavailable
from service.retry import RetryPolicy

log = structlog.get_logger(__name__)

# Prices change a few times a year; whoever buys at a new one has it looked up at once anyway.
REFRESH_SECONDS: Final = 600.0
# Seconds between two looks for prices that users name: made-up ones are no flood of requests.
SHORTEST_INTERVAL: Final = 5.0
_BACKOFF: Final = RetryPolicy(base=1.0, cap=60.0)


class LearnPrices:
    """Keeps the price list in step with the provider. `asked` is set after the first try."""

    def __init__(
        self,
        provider: PaymentProvider,
        prices: PriceList,
        *,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._provider = provider
        self._prices = prices
        self._monotonic = monotonic
        self._looking = asyncio.Lock()
        self._next_look = 0.0
        self._failure: ProviderUnavailable | None = None
        self.asked = asyncio.Event()

    async def run_once(self) -> None:
        """Ask once. Raises ProviderUnavailable."""
        found = await self._provider.fetch_prices(list(self._prices))
        self._prices.learn(found.by_ref, found.current)
        missing = [o.lookup_key for o in self._prices if o.lookup_key not in found.current]
        for offer, reference in self._prices.on_sale():
            if reference is not None and offer not in self._prices:
                log.warning(
                    "price_differs",
                    lookup_key=offer.lookup_key,
                    sold_at=f"{offer.price.amount} {offer.price.currency}",
                    hint="it is sold at this: run `payments catalog sync`, or correct the settings",
                )
        if missing:
            log.warning(
                "prices_missing",
                lookup_keys=missing,
                hint="create prices with these lookup keys at the payment provider",
            )

    async def look_again(self) -> None:
        """Ask because a price is not known, unless that was just done: one asks for all.

        Raises ProviderUnavailable, also where whoever asked just now got no answer.
        """
        async with self._looking:
            if self._monotonic() >= self._next_look:
                self._failure = None
                try:
                    await self.run_once()
                except ProviderUnavailable as error:
                    self._failure = error
                # A look that was broken off does not count: the next one takes it up.
                self._next_look = self._monotonic() + SHORTEST_INTERVAL
            if self._failure is not None:
                raise self._failure

    async def run(self) -> None:
        """Ask for ever: sooner while the provider is away, until cancelled."""
        failures = 0
        while True:
            try:
                await self.run_once()
                failures = 0
            except ProviderUnavailable as error:
                failures += 1
                log.warning("prices_unknown", error=str(error))
            except Exception:
                failures += 1
                log.exception("prices_unknown")
            self.asked.set()
            pause = _BACKOFF.delay(failures).total_seconds() if failures else REFRESH_SECONDS
            await asyncio.sleep(pause)
