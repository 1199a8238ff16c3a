"""POST /api/payments/webhook: where Stripe delivers. Continues in service/receive_webhook.py.

It is answered from a middleware: what the framework does for a handler (parameters, a response
object, its headers) would take as long as everything else that is done for a webhook. Routing,
the document and the answers to failures are the framework's, as for any other route.
"""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import post
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from adapters.http import examples
from adapters.http.bodies import Bodies
from adapters.http.openapi import WEBHOOK_PATH, webhook_responses
from service.receive_webhook import ReceiveWebhook


class WebhookAnswer(msgspec.Struct):
    """`duplicate`: the event was known before, and nothing was done."""

    received: bool
    duplicate: bool


def webhook_route(
    receive_webhook: ReceiveWebhook, bodies: Bodies | None = None
) -> HTTPRouteHandler:
    """The route, bound to its use case."""
    held = bodies or Bodies()

    def answering(app: ASGIApp) -> ASGIApp:
        async def webhook(scope: Scope, receive: Receive, send: Send) -> None:
            headers = dict(scope["headers"])
            async with held.read(receive, _announced(headers)) as body:
                if body is None:  # the sender went away
                    return
                receipt = await receive_webhook(
                    body, _text(headers, b"stripe-signature"), _text(headers, b"traceparent")
                )
            answer = _encoder.encode(WebhookAnswer(receipt.received, receipt.duplicate))
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [
                        (b"content-type", b"application/json"),
                        (b"content-length", b"%d" % len(answer)),
                    ],
                }
            )
            await send({"type": "http.response.body", "body": answer, "more_body": False})

        return webhook

    @post(
        WEBHOOK_PATH,
        status_code=200,
        middleware=[answering],
        summary="Take a webhook from Stripe",
        operation_id="receiveWebhook",
        tags=["stripe"],
        responses=webhook_responses(WebhookAnswer, examples.RECEIVED, 400, 408, 413, 503),
    )
    async def documented() -> WebhookAnswer:
        """Answered 200 once it is stored for good; anything else asks Stripe to send it again."""
        raise AssertionError("the middleware has answered")

    return documented


_encoder: Final = msgspec.json.Encoder()


def _announced(headers: dict[bytes, bytes]) -> int:
    try:
        return int(headers.get(b"content-length", b"0"))
    except ValueError:
        raise ClientException("the Content-Length is no number") from None


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
