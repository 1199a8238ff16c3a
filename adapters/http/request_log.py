"""One line for each request that a user makes, and a trace id for all that is logged meanwhile.

Webhooks have their own line, where more is known of them (service/receive_webhook.py), and one here
where they were not even looked at; probes and scrapes have none.
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
from ports.metrics import Metrics
from service.tracing import continue_trace, trace_id_of

log = structlog.get_logger(__name__)

_STARTED: Final = "request_started"
_FOR_OPERATORS: Final = ("/health/", "/metrics")
# A webhook's trace is made with it, and timing it would take longer than counting it.
_NOT_TRACED: Final = (WEBHOOK_PATH, *_FOR_OPERATORS)
# What a webhook is answered that has a line of its own, or is no fault of anybody's.
_TOLD_ELSEWHERE: Final = frozenset({200, 400})


class TraceRequests(ASGIMiddleware):
    """Has everything that is logged during a request carry its trace id."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Bind the caller's trace, or a new one."""
        if not scope["path"].startswith(_NOT_TRACED):
            scope["state"][_STARTED] = monotonic()
            headers = ASGIConnection[Any, Any, Any, Any](scope).headers
            bind_contextvars(trace_id=trace_id_of(continue_trace(headers.get("traceparent"))))
        await next_app(scope, receive, send)


class Answers:
    """Counts and logs every request once its answer begins. The path is the route's: it names no
    user.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, message: Message, scope: Scope) -> None:
        """Look at a message that is about to be sent."""
        if message["type"] != "http.response.start" or scope["type"] != ScopeType.HTTP:
            return
        if scope["path"].startswith(_FOR_OPERATORS):
            return
        started = scope["state"].get(_STARTED)
        seconds = None if started is None else monotonic() - started
        # Without a route it may hold anything.
        route = scope.get("path_template") or "unknown"
        status = message["status"]
        self._metrics.request_answered(route, scope["method"], status, seconds)
        if route == WEBHOOK_PATH and status in _TOLD_ELSEWHERE:
            return
        user = scope.get("user")
        subscription = scope.get("path_params", {}).get("subscription_id")
        log.info(
            "request",
            method=scope["method"],
            route=route,
            status=status,
            **({"ms": round(seconds * 1000, 1)} if seconds is not None else {}),
            **({"user_id": str(user.id)} if user is not None else {}),
            **({"subscription_id": str(subscription)} if subscription is not None else {}),
        )
