"""Stripe's lists of events and subscriptions, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from adapters.stripe import answers
from adapters.stripe.answers import to_subscription
from adapters.stripe.api import StripeApi, any_failure_is_absence, as_shape
from adapters.stripe.translation import HANDLED_TYPES
from adapters.stripe.webhooks import read_event
from domain.plans import PriceList
from ports.inbox import ReceivedWebhook
from ports.payment_provider import ProviderUnavailable
from ports.purchases import ProviderSubscription
from ports.webhooks import RejectedWebhook

if TYPE_CHECKING:  # the SDK has these for type checkers alone
    import stripe
    from stripe.params import EventListParams, SubscriptionListParams

log = structlog.get_logger(__name__)

# The most that Stripe lists at once. (Stripe: Pagination)
_PAGE: Final = 100


class StripeRecords:
    """What one account has on record."""

    def __init__(self, api: StripeApi, prices: PriceList) -> None:
        self._api = api
        self._v1 = api.v1
        self._prices = prices

    async def events(
        self, since: datetime, until: datetime
    ) -> AsyncIterator[Sequence[ReceivedWebhook]]:
        """The events we act on, the newest first."""
        params: EventListParams = {
            "created": {"gte": int(since.timestamp()), "lt": int(until.timestamp())},
            # At most twenty may be named. (Stripe: List all events)
            "types": sorted(HANDLED_TYPES),
            "limit": _PAGE,
        }
        while True:
            with any_failure_is_absence():
                page = await self._api.call(self._v1.events.list_async, params)
            yield [event for found in page.data if (event := _read(found.to_dict())) is not None]
            if not page.has_more or not page.data:
                return
            params["starting_after"] = page.data[-1].id

    async def subscriptions(
        self, until: datetime | None = None
    ) -> AsyncIterator[Sequence[ProviderSubscription]]:
        """Every subscription that was created by then, the newest first."""
        params: SubscriptionListParams = {"status": "all", "limit": _PAGE}
        if until is not None:
            params["created"] = {"lte": int(until.timestamp())}
        while True:
            with any_failure_is_absence():
                page = await self._api.call(self._v1.subscriptions.list_async, params)
            yield [one for found in page.data if (one := self._understood(found)) is not None]
            if not page.has_more or not page.data:
                return
            params["starting_after"] = page.data[-1].id

    def _understood(self, found: stripe.Subscription) -> ProviderSubscription | None:
        try:
            return to_subscription(as_shape(answers.Subscription, found), self._prices)
        except ProviderUnavailable as error:  # one strange subscription must not hide the others
            log.warning("subscription_not_understood", subscription_ref=found.id, error=str(error))
            return None


def _read(event: dict[str, object]) -> ReceivedWebhook | None:
    try:
        return read_event(msgspec.json.encode(event), traceparent="")
    except RejectedWebhook as rejection:
        log.warning("event_not_understood", event_id=event.get("id"), reason=str(rejection.reason))
        return None
