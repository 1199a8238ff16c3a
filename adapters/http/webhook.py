"""POST /api/payments/webhook: where Stripe delivers. Continues in service/receive_webhook.py."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler

from adapters.http import examples
from adapters.http.bodies import Bodies
from adapters.http.openapi import WEBHOOK_PATH, responses
from service.receive_webhook import ReceiveWebhook

# Stripe's largest events are far below this; what is above is not from Stripe.
LARGEST_BODY: Final = 512 * 1024


class WebhookAnswer(msgspec.Struct):
    """`duplicate`: the event was known before, and nothing was done."""

    received: bool
    duplicate: bool


def webhook_route(
    receive_webhook: ReceiveWebhook, bodies: Bodies | None = None
) -> HTTPRouteHandler:
    """The route, bound to its use case."""
    held = bodies or Bodies()

    @post(
        WEBHOOK_PATH,
        status_code=200,
        request_max_body_size=LARGEST_BODY,
        summary="Take a webhook from Stripe",
        operation_id="receiveWebhook",
        responses=responses(WebhookAnswer, examples.RECEIVED, 400, 408, 413, 503),
    )
    async def webhook(request: Request[Any, Any, Any]) -> WebhookAnswer:
        async with held.read(request) as body:
            receipt = await receive_webhook(
                body,
                request.headers.get("stripe-signature"),
                request.headers.get("traceparent"),
            )
        return WebhookAnswer(receipt.received, receipt.duplicate)

    return webhook
