"""Every error is a problem document (RFC 9457) with a stable `type`."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from ports.inbox import Overloaded
from ports.unit_of_work import StorageUnavailable
from ports.webhooks import RejectedWebhook

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
# Seconds after which a sender that was turned away may try again.
RETRY_AFTER: Final = 5
# Names of our own: the standard library's phrases change from one Python to the next.
_REFUSALS: Final = {
    400: ("bad-request", "the request is malformed"),
    404: ("not-found", "nothing is found under this path"),
    405: ("method-not-allowed", "this path does not take this method"),
    413: ("body-too-large", "the body is larger than this endpoint takes"),
}


def problem(
    status: int,
    name: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **more: object,
) -> Response[dict[str, object]]:
    """A problem document. `name` makes its `type`: it never changes once published."""
    content: dict[str, object] = {
        "type": f"urn:payments:problem:{name}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers or {})


def rejected_webhook(_: Request[Any, Any, Any], error: RejectedWebhook) -> Response[Any]:
    """400: not a genuine event. The reason is a class of fault and holds nothing of the body."""
    name = str(error.reason).replace("_", "-")
    return problem(400, name, error.hint, reason=str(error.reason))


def try_again(_: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """503: nothing was taken; the sender keeps it and tries again."""
    log.warning("request_turned_away", error=str(error))
    return problem(
        503,
        "try-again",
        "nothing was recorded: send the same request again later",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """What the framework refuses: unknown paths and methods, bodies that are too large."""
    status = error.status_code
    if status >= 500:
        return unexpected(request, error)
    name, detail = _REFUSALS.get(status, ("request-refused", "this request cannot be answered"))
    headers = {
        name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"
    }
    return problem(status, name, detail, headers=headers)


def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """500: a trace id to find it by in the log, and nothing else."""
    trace_id = secrets.token_hex(16)
    log.error("request_failed", path=request.url.path, trace_id=trace_id, exc_info=error)
    return problem(
        500,
        "internal-error",
        "something went wrong here: report the trace id to the operators",
        traceId=trace_id,
    )


HANDLERS: Final[dict[type[Exception] | int, Any]] = {
    RejectedWebhook: rejected_webhook,
    Overloaded: try_again,
    StorageUnavailable: try_again,
    HTTPException: http_error,
    Exception: unexpected,
}
