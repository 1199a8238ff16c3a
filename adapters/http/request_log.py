"""One line for each request that a user makes, and a trace id for all that is logged meanwhile.

Webhooks have their own line, where more is known of them (service/receive_webhook.py); probes
and scrapes have none.
"""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

import structlog
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from adapters.http.openapi import WEBHOOK_PATH
from service.tracing import continue_trace, trace_id_of

log = structlog.get_logger(__name__)

_STARTED: Final = "request_started"
_NOT_LOGGED: Final = (WEBHOOK_PATH, "/health/", "/metrics")


class TraceRequests(ASGIMiddleware):
    """Has everything that is logged during a request carry its trace id."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Bind the caller's trace, or a new one."""
        if not scope["path"].startswith(_NOT_LOGGED):
            scope["state"][_STARTED] = monotonic()
            headers = ASGIConnection[Any, Any, Any, Any](scope).headers
            bind_contextvars(trace_id=trace_id_of(continue_trace(headers.get("traceparent"))))
        await next_app(scope, receive, send)


async def log_answer(message: Message, scope: Scope) -> None:
    """Log the request once its answer begins. The path is the route's: it names no user."""
    if scope["type"] != ScopeType.HTTP or message["type"] != "http.response.start":
        return
    if scope["path"].startswith(_NOT_LOGGED):
        return
    started = scope["state"].get(_STARTED)
    user = scope.get("user")
    subscription = scope.get("path_params", {}).get("subscription_id")
    log.info(
        "request",
        method=scope["method"],
        # Without a route it may hold anything.
        route=scope.get("path_template") or "unknown",
        status=message["status"],
        **({"ms": round((monotonic() - started) * 1000, 1)} if started is not None else {}),
        **({"user_id": str(user.id)} if user is not None else {}),
        **({"subscription_id": str(subscription)} if subscription is not None else {}),
    )
