"""Webhook endpoints at Stripe. (Stripe: API reference, Webhook endpoints)

The API version of an endpoint cannot be changed, so that a new version means a new endpoint, with
a secret of its own, beside the old one. Both send the same event ids: what comes twice is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import msgspec

from adapters.stripe.api import API_VERSION, StripeApi, as_shape, once
from adapters.stripe.translation import HANDLED_TYPES
from ports.webhook_endpoints import Subscribed, SyncedEndpoint
from service.operation_names import nth

if TYPE_CHECKING:  # the SDK has these for type checkers alone
    from stripe.params import WebhookEndpointCreateParams, WebhookEndpointUpdateParams

# Stripe allows sixteen endpoints of an account (Stripe: Webhooks / limits), one page holds them.
_PAGE: Final = 100
# Any: the SDK lists every value in its types, and a checker cannot see that ours are among them.
_EVENTS: Final[Any] = sorted(HANDLED_TYPES)
_VERSION: Final[Any] = API_VERSION


class _Endpoint(msgspec.Struct):
    id: str
    url: str
    status: str
    enabled_events: list[str]
    api_version: str | None = None
    secret: str | None = None


class StripeWebhookEndpoints:
    """The endpoints of one account, in the mode of its key."""

    def __init__(self, api: StripeApi) -> None:
        self._api = api
        self._v1 = api.v1

    async def sync(self, url: str) -> SyncedEndpoint:
        """Make sure that this address is sent what we act on, as the API version we speak."""
        page = await self._api.call(self._v1.webhook_endpoints.list_async, {"limit": _PAGE})
        found = [as_shape(_Endpoint, one) for one in page.data]
        here = [one for one in found if one.url == url]
        others = [
            one.id for one in here if one.api_version != API_VERSION and one.status == "enabled"
        ]
        ours = next((one for one in here if one.api_version == API_VERSION), None)
        if ours is None:
            created = await self._create(url, here)
            return SyncedEndpoint(created.id, Subscribed.CREATED, created.secret, others)
        if set(ours.enabled_events) == HANDLED_TYPES and ours.status == "enabled":
            return SyncedEndpoint(ours.id, Subscribed.UNCHANGED, others=others)
        params: WebhookEndpointUpdateParams = {
            "enabled_events": _EVENTS,
            "disabled": False,
        }
        await self._api.call(self._v1.webhook_endpoints.update_async, ours.id, params)
        return SyncedEndpoint(ours.id, Subscribed.UPDATED, others=others)

    async def retire(self, endpoints: Sequence[str]) -> None:
        """Send nothing to these any more."""
        for ref in endpoints:
            await self._api.call(self._v1.webhook_endpoints.update_async, ref, {"disabled": True})

    async def _create(self, url: str, here: Sequence[_Endpoint]) -> _Endpoint:
        params: WebhookEndpointCreateParams = {
            "url": url,
            "api_version": _VERSION,
            "enabled_events": _EVENTS,
            "description": "Payments",
        }
        # A lost answer is asked for again, with its secret. For a day Stripe answers so for an
        # endpoint that was deleted meanwhile, too; then it is asked for under another name.
        state = sha256(" ".join([url, API_VERSION, *sorted(one.id for one in here)]).encode())
        for deleted in count():
            key = nth(f"webhook-endpoint:{state.hexdigest()}", deleted)
            created = as_shape(
                _Endpoint,
                await self._api.call(self._v1.webhook_endpoints.create_async, params, once(key)),
            )
            if await self._api.find(self._v1.webhook_endpoints.retrieve_async, created.id):
                return created
        raise AssertionError("counting does not end")
