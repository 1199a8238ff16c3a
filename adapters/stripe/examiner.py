"""Looks at Stripe: is the key accepted, are the prices there, what may the endpoint hear?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import stripe

from adapters.stripe import shapes
from adapters.stripe.api import StripeApi, as_shape
from adapters.stripe.catalog import sells
from adapters.stripe.translation import HANDLED_TYPES
from domain.plans import Offer, PriceList
from ports.diagnosis import Finding, fail, ok, warn
from ports.payment_provider import ProviderUnavailable

# A signature is refused when its time is further from ours. (Stripe: Webhooks, 300 s)
_TOLERANCE: Final = timedelta(seconds=300)
_SKEW: Final = timedelta(seconds=30)
_PATIENCE: Final = 40.0  # seconds
_VERSION: Final = stripe.api_version
_SYNC: Final = "run payments catalog sync"


class StripeExaminer:
    """One account, by way of one key."""

    def __init__(self, api: StripeApi, prices: PriceList) -> None:
        self._v1 = api.v1
        self._prices = prices

    async def examine(self) -> list[Finding]:
        """What was found."""
        found: list[Finding] = []
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._prices_of(found)
                await self._endpoints(found)
        except (stripe.StripeError, ProviderUnavailable, TimeoutError) as error:
            found.append(_failure(error))
        return found

    async def _prices_of(self, found: list[Finding]) -> None:
        offers = {offer.lookup_key: offer for offer in self._prices}
        page = await self._v1.prices.list_async({"lookup_keys": list(offers), "limit": 100})
        found.append(ok("stripe", "answers and accepts STRIPE_SECRET_KEY"))
        found.append(_clock(page))
        sold = {
            price.lookup_key: price
            for price in (as_shape(shapes.Price, one) for one in page.data)
            if price.lookup_key
        }
        found += [_price(offer, sold.get(key)) for key, offer in offers.items()]

    async def _endpoints(self, found: list[Finding]) -> None:
        try:
            page = await self._v1.webhook_endpoints.list_async({"limit": 100})
        except stripe.PermissionError:
            found.append(
                warn(
                    "endpoints",
                    "this key may not list them",
                    "see in Stripe's dashboard that the endpoint sends every event we act on",
                )
            )
            return
        enabled = [one for one in page.data if one.status == "enabled"]
        heard = {type_ for one in enabled for type_ in one.enabled_events}
        deaf = sorted(HANDLED_TYPES - heard) if "*" not in heard else []
        if not enabled:
            found.append(
                warn("endpoints", "none is enabled", "add one for /api/payments/webhook at Stripe")
            )
        elif deaf:
            found.append(
                warn("endpoints", f"none sends {', '.join(deaf)}", "add these events to ours")
            )
        else:
            found.append(ok("endpoints", f"{len(enabled)} enabled, every event we act on is sent"))
        others = sorted({str(one.api_version) for one in enabled if one.api_version} - {_VERSION})
        if others:
            found.append(
                warn(
                    "API version",
                    f"endpoints send {', '.join(others)}; this release was made for {_VERSION}",
                    f"pin the endpoint to {_VERSION}",
                )
            )


def _price(offer: Offer, price: shapes.Price | None) -> Finding:
    subject = f"price {offer.lookup_key}"
    if price is None:
        return fail(subject, "Stripe has none with this lookup key", _SYNC)
    if not sells(price, offer):
        amount = f"{price.unit_amount} {price.currency}"
        return fail(
            subject,
            f"Stripe has {amount}, the settings {offer.price.amount} {offer.price.currency}, per"
            f" {offer.interval}" + ("" if price.active else "; it is not active"),
            f"correct the settings, or {_SYNC}",
        )
    return ok(subject, f"{offer.price.amount} {offer.price.currency} per {offer.interval}")


def _clock(answer: Any) -> Finding:
    headers = {name.lower(): value for name, value in (answer.last_response.headers or {}).items()}
    try:
        skew = abs(datetime.now(UTC) - parsedate_to_datetime(headers["date"]))
    except (KeyError, ValueError, TypeError):
        return warn("clock", "Stripe's answer has no date to compare with", "see that NTP runs")
    said = f"Stripe's differs from this host's by {skew.total_seconds():.0f} s"
    todo = "have this host keep time with NTP: signatures are refused after 300 s"
    if skew > _TOLERANCE:
        return fail("clock", said, todo)
    return warn("clock", said, todo) if skew > _SKEW else ok("clock", said)


def _failure(error: Exception) -> Finding:
    match error:
        case stripe.AuthenticationError():
            return fail("stripe", "refuses STRIPE_SECRET_KEY", "take a key that is not revoked")
        case stripe.PermissionError():
            return fail(
                "stripe",
                "does not let this restricted key read prices",
                "give the key the rights to read and write what is sold, customers, Checkout,"
                " subscriptions, invoices and the portal, and to read events",
            )
        case ProviderUnavailable():
            return fail("stripe", "answers in a shape we do not know", "see STRIPE_API_BASE")
        case _:
            status = getattr(error, "http_status", None)
            kind = f"HTTP {status}" if status else type(error).__name__
            return fail(
                "stripe",
                f"cannot be asked ({kind})",
                "see that this host reaches Stripe, or STRIPE_API_BASE; and status.stripe.com",
            )
