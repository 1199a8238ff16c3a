"""Every error is a problem document (RFC 9457) with a stable `type`."""

from __future__ import annotations

import re
import secrets
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from adapters.http.bodies import SlowBody
from domain.errors import RuleViolation
from ports.authentication import InsufficientScope, InvalidToken, KeysUnavailable
from ports.inbox import Overloaded
from ports.payment_provider import (
    CardDeclined,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
)
from ports.purchases import OperationConflict
from ports.unit_of_work import StorageUnavailable
from ports.webhooks import RejectedWebhook
from service.refusals import Conflict, NotFound, Refusal, Unacceptable

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


def too_slow(_: Request[Any, Any, Any], error: SlowBody) -> Response[Any]:
    """408: the body did not arrive; what is left of it is not waited for."""
    return problem(
        408,
        "body-too-slow",
        "the body did not arrive in time: send it at once",
        headers={"Connection": "close"},
    )


class TooManyRequests(Exception):
    """A user asks more often than is good for the others."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"again in {retry_after} s")
        self.retry_after = retry_after


class NoToken(Exception):
    """A request without a bearer token."""


class TookTooLong(Exception):
    """A request was broken off; what it had begun may have been done."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"broken off after {seconds:.0f} s")


def no_token(_: Request[Any, Any, Any], __: NoToken) -> Response[Any]:
    """401: the request does not say who is asking. (RFC 6750: then no error is named)"""
    return problem(
        401,
        "unauthenticated",
        "there is no bearer token: send one as Authorization: Bearer <token>",
        headers={"WWW-Authenticate": "Bearer"},
    )


def unauthenticated(_: Request[Any, Any, Any], error: InvalidToken) -> Response[Any]:
    """401: the request cannot prove who is asking."""
    return problem(
        401,
        "unauthenticated",
        f"the bearer token was not accepted: {error.hint}",
        headers={
            "WWW-Authenticate": f'Bearer error="invalid_token", error_description="{error.hint}"'
        },
    )


def insufficient_scope(_: Request[Any, Any, Any], error: InsufficientScope) -> Response[Any]:
    """403: the user is known, but the token was not issued for this."""
    return problem(
        403,
        "insufficient-scope",
        f"the bearer token lacks a scope: sign in anew, and ask for {error.required}",
        headers={
            "WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{error.required}"'
        },
    )


def took_too_long(_: Request[Any, Any, Any], error: TookTooLong) -> Response[Any]:
    """503: nobody knows how far it came."""
    log.warning("request_broken_off", error=str(error))
    return problem(
        503,
        "took-too-long",
        "this took too long and was broken off, perhaps after it was done: look, then send the "
        "same request again, under the same Idempotency-Key if it had one",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def card_declined(_: Request[Any, Any, Any], error: CardDeclined) -> Response[Any]:
    """402: the bank said no, and why, as far as it may be told."""
    return problem(
        402,
        "card-declined",
        "the card was declined: use another one, or ask the bank that issued it",
        code=error.code,
        declineCode=error.decline_code,
    )


def provider_refused(_: Request[Any, Any, Any], error: ProviderRefused) -> Response[Any]:
    """400: the provider turned it down. Its words name ids, so only the reason's name is told."""
    return problem(
        400,
        "provider-refused",
        "the payment provider does not accept this request",
        code=error.code,
    )


def changed_meanwhile(_: Request[Any, Any, Any], error: OperationConflict) -> Response[Any]:
    """409: the same was asked for at the same time, with other terms."""
    log.warning("operation_conflict", error=str(error))
    return problem(
        409, "changed-meanwhile", "something else changed this at the same time: look, then repeat"
    )


def refused(_: Request[Any, Any, Any], error: Refusal) -> Response[Any]:
    """404, 409 or 422: what the user can do about it is in the words."""
    return problem(_STATUS_OF[type(error)], error.name, error.detail)


def against_the_rules(_: Request[Any, Any, Any], error: RuleViolation) -> Response[Any]:
    """409: a rule of the product forbids it in the present state."""
    name = re.sub(r"(?<!^)([A-Z])", r"-\1", type(error).__name__).lower()
    return problem(409, name, str(error))


def too_many_requests(_: Request[Any, Any, Any], error: TooManyRequests) -> Response[Any]:
    """429: later."""
    return problem(
        429,
        "too-many-requests",
        "you make more requests than are allowed: slow down",
        headers={"Retry-After": str(error.retry_after)},
    )


def provider_unavailable(
    _: Request[Any, Any, Any], error: ProviderUnavailable | KeysUnavailable
) -> Response[Any]:
    """503: somebody we depend on is away."""
    log.warning("request_turned_away", error=str(error))
    whose = "payment" if isinstance(error, ProviderUnavailable) else "identity"
    return problem(
        503,
        f"{whose}-provider-unavailable",
        f"the {whose} provider cannot be reached: try again later",
        headers={"Retry-After": str(max(1, ceil(getattr(error, "retry_after", RETRY_AFTER))))},
    )


def outcome_unknown(_: Request[Any, Any, Any], error: OutcomeUnknown) -> Response[Any]:
    """503: it may have been done. Where to see that, and that repeating it does nothing twice."""
    log.warning("outcome_unknown", error=str(error))
    return problem(
        503,
        "outcome-unknown",
        "the payment provider did not say whether this was done: GET /api/payments/subscription "
        "shows what is, and repeating the request does nothing twice",
        headers={"Retry-After": str(max(1, ceil(error.retry_after)))},
    )


_STATUS_OF: Final[dict[type[Refusal], int]] = {NotFound: 404, Conflict: 409, Unacceptable: 422}


def http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """What the framework refuses: unknown paths and methods, bodies that are too large."""
    status = error.status_code
    if status >= 500:
        return unexpected(request, error)
    name, detail = _REFUSALS.get(status, ("request-refused", "this request cannot be answered"))
    headers = {
        name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"
    }
    more: dict[str, object] = {}
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        detail = "the request does not fit the schema"
        more["errors"] = [
            {"field": str(one.get("key", "")), "message": str(one.get("message", ""))}
            for one in error.extra
            if isinstance(one, dict)
        ]
    return problem(status, name, detail, headers=headers, **more)


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
    NoToken: no_token,
    InvalidToken: unauthenticated,
    InsufficientScope: insufficient_scope,
    CardDeclined: card_declined,
    ProviderRefused: provider_refused,
    OperationConflict: changed_meanwhile,
    Refusal: refused,
    RuleViolation: against_the_rules,
    TooManyRequests: too_many_requests,
    OutcomeUnknown: outcome_unknown,
    TookTooLong: took_too_long,
    ProviderUnavailable: provider_unavailable,
    KeysUnavailable: provider_unavailable,
    Overloaded: try_again,
    SlowBody: too_slow,
    StorageUnavailable: try_again,
    HTTPException: http_error,
    Exception: unexpected,
}
