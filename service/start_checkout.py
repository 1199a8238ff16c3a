"""A user buys on the provider's page."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from ports.authentication import User
from ports.clock import Clock
from ports.purchases import Checkout, CheckoutStatus, Terms
from service.purchasing import Purchasing, Situation
from service.redirects import RedirectOrigins

# The provider puts the session's id here, so that the page can ask for a sync.
SESSION_ID: Final = "{CHECKOUT_SESSION_ID}"
# A page that is handed out again should leave enough time to fill it in.
_TIME_TO_BUY: Final = timedelta(minutes=15)


class CheckoutStarted(msgspec.Struct, rename="camel", frozen=True):
    """Send the buyer to `session_url`."""

    session_id: str
    session_url: str


class StartCheckout:
    """Hands out a page on which to buy: the one that is open already, if it sells the same."""

    def __init__(self, purchasing: Purchasing, origins: RedirectOrigins, clock: Clock) -> None:
        self._purchasing = purchasing
        self._origins = origins
        self._clock = clock

    async def __call__(
        self, user: User, price_ref: str, success_url: str, cancel_url: str
    ) -> CheckoutStarted:
        """Raises what Purchasing.begin does."""
        self._origins.check("successUrl", success_url)
        self._origins.check("cancelUrl", cancel_url)
        success_url = with_session_id(success_url)

        async def attempt(situation: Situation) -> CheckoutStarted | None:
            terms = Terms(price_ref, situation.trial_days, success_url, cancel_url)
            reusable = self._reusable(situation, terms)
            keep = reusable.session_ref if reusable else None
            if not await self._purchasing.close_unfinished(situation):
                return None
            if not await self._purchasing.close_checkouts(situation.history, keep=keep):
                return None
            checkout = reusable or await self._purchasing.start_checkout(user, situation, terms)
            if checkout.status is not CheckoutStatus.OPEN or checkout.url is None:
                return None
            return CheckoutStarted(checkout.session_ref, checkout.url)

        return await self._purchasing.begin(user, price_ref, attempt)

    def _reusable(self, situation: Situation, terms: Terms) -> Checkout | None:
        until = self._clock.now() + _TIME_TO_BUY
        for checkout in situation.history.checkouts:
            if (
                checkout.status is CheckoutStatus.OPEN
                and checkout.fingerprint == terms.fingerprint
                and checkout.url is not None
                and (checkout.expires_at is None or checkout.expires_at > until)
            ):
                return checkout
        return None


def with_session_id(success_url: str) -> str:
    """The address with the place for the session's id: where it is asked for, else as a query."""
    address, hash_, fragment = success_url.partition("#")
    for written in ("%7BCHECKOUT_SESSION_ID%7D", "%7bCHECKOUT_SESSION_ID%7d"):
        address = address.replace(written, SESSION_ID)
    if SESSION_ID not in address + fragment:
        address += f"{'&' if '?' in address else '?'}session_id={SESSION_ID}"
    return address + hash_ + fragment
