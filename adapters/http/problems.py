"""Every error is a problem document (RFC 9457) with a stable `type`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from structlog.contextvars import get_contextvars

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
from ports.purchases import OperationConflict, OperationUnderWay
from ports.unit_of_work import StorageUnavailable
from ports.webhooks import RejectedWebhook, RejectionReason
from service.refusals import SEE_SUBSCRIPTION, Refusal

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


@dataclass(frozen=True, slots=True)
class Kind:
    """What all problems of one type have in common."""

    status: int
    title: str


# What may be wrong with an event, by the names of its problems.
REJECTIONS: Final = tuple(str(reason).replace("_", "-") for reason in RejectionReason)
# Every type there is, by its name. A client may rely on each: none is ever removed, renamed or
# given another status, and more may come.
KINDS: Final[Mapping[str, Kind]] = {
    "bad-request": Kind(400, "The request is malformed"),
    "provider-refused": Kind(400, "The payment provider does not accept this"),
    **{name: Kind(400, "Not a genuine event") for name in REJECTIONS},
    "unauthenticated": Kind(401, "Nobody is signed in"),
    "card-declined": Kind(402, "The card was declined"),
    "insufficient-scope": Kind(403, "The token was not issued for this"),
    "not-found": Kind(404, "There is nothing here"),
    "subscription-not-found": Kind(404, "No such subscription"),
    "checkout-not-found": Kind(404, "No such checkout"),
    "no-customer": Kind(404, "Nothing was bought yet"),
    "method-not-allowed": Kind(405, "This path does not take this method"),
    "body-too-slow": Kind(408, "The body did not arrive in time"),
    "already-subscribed": Kind(409, "There is a subscription already"),
    "purchase-under-way": Kind(409, "Another purchase is being started"),
    "payment-processing": Kind(409, "The bank is processing a payment"),
    "changed-meanwhile": Kind(409, "Something changed at the same time"),
    "change-under-way": Kind(409, "Another change is being made"),
    "plan-unchanged": Kind(409, "This is the plan there is"),
    "preview-outdated": Kind(409, "This is not what was shown"),
    "card-needed": Kind(409, "There is no card to pay with"),
    "request-under-way": Kind(409, "This request is being worked on"),
    "customer-already-linked": Kind(409, "The user is another customer"),
    "invalid-period": Kind(409, "It would end before it began"),
    "no-active-subscription": Kind(409, "There is nothing to cancel"),
    "already-canceled": Kind(409, "It is canceled already"),
    "nothing-to-resume": Kind(409, "No cancellation is scheduled"),
    "plan-not-changeable": Kind(409, "The plan cannot be changed now"),
    "body-too-large": Kind(413, "The body is too large"),
    "price-not-offered": Kind(422, "This price is not for sale"),
    "email-needed": Kind(422, "The token names no email address"),
    "redirect-not-allowed": Kind(422, "This address is not one of ours"),
    "cursor-unknown": Kind(422, "This cursor leads nowhere"),
    "idempotency-key-reused": Kind(422, "This key stands for another request"),
    "too-many-requests": Kind(429, "Too many requests"),
    "internal-error": Kind(500, "Something went wrong here"),
    "payment-provider-unavailable": Kind(503, "The payment provider is away"),
    "identity-provider-unavailable": Kind(503, "The identity provider is away"),
    "outcome-unknown": Kind(503, "Nobody knows yet whether it was done"),
    "took-too-long": Kind(503, "This took too long"),
    "try-again": Kind(503, "Nothing was recorded"),
}
TYPE: Final = "urn:payments:problem:"


def problem(
    name: str, detail: str, *, headers: dict[str, str] | None = None, **more: object
) -> Response[dict[str, object]]:
    """A problem document of one of the KINDS."""
    kind = KINDS[name]
    content: dict[str, object] = {
        "type": f"{TYPE}{name}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        **more,
    }
    return Response(content, status_code=kind.status, media_type=MEDIA_TYPE, headers=headers or {})


def rejected_webhook(_: Request[Any, Any, Any], error: RejectedWebhook) -> Response[Any]:
    """400: not a genuine event. The reason is a class of fault and holds nothing of the body."""
    name = str(error.reason).replace("_", "-")
    return problem(name, error.hint, reason=str(error.reason))


def try_again(_: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """503: nothing was taken; the sender keeps it and tries again."""
    log.warning("request_turned_away", error=str(error))
    return problem(
        "try-again",
        "nothing was recorded: send the same request again later",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def too_slow(_: Request[Any, Any, Any], error: SlowBody) -> Response[Any]:
    """408: the body did not arrive; what is left of it is not waited for."""
    return problem(
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
        "unauthenticated",
        "there is no bearer token: send one as Authorization: Bearer <token>",
        headers={"WWW-Authenticate": "Bearer"},
    )


def unauthenticated(_: Request[Any, Any, Any], error: InvalidToken) -> Response[Any]:
    """401: the request cannot prove who is asking."""
    return problem(
        "unauthenticated",
        f"the bearer token was not accepted: {error.hint}",
        headers={
            "WWW-Authenticate": f'Bearer error="invalid_token", error_description="{error.hint}"'
        },
    )


def insufficient_scope(_: Request[Any, Any, Any], error: InsufficientScope) -> Response[Any]:
    """403: the user is known, but the token was not issued for this."""
    return problem(
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
        "took-too-long",
        "this took too long and was broken off, perhaps after it was done: look, then send the "
        "same request again, under the same Idempotency-Key if it had one",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def card_declined(_: Request[Any, Any, Any], error: CardDeclined) -> Response[Any]:
    """402: the bank said no, and why, as far as it may be told."""
    return problem(
        "card-declined",
        "the card was declined: use another one, or ask the bank that issued it",
        code=error.code,
        declineCode=error.decline_code,
    )


def provider_refused(_: Request[Any, Any, Any], error: ProviderRefused) -> Response[Any]:
    """400: the provider turned it down. Its words name ids, so only the reason's name is told."""
    return problem(
        "provider-refused",
        "the payment provider does not accept this request",
        code=error.code,
    )


def changed_meanwhile(_: Request[Any, Any, Any], error: OperationConflict) -> Response[Any]:
    """409: the same was asked for at the same time, with other terms."""
    log.warning("operation_conflict", error=str(error))
    return problem(
        "changed-meanwhile",
        "something else changed this at the same time: look, then repeat",
        headers={"Retry-After": "1"} if isinstance(error, OperationUnderWay) else None,
    )


def refused(_: Request[Any, Any, Any], error: Refusal) -> Response[Any]:
    """404, 409 or 422: what the user can do about it is in the words."""
    headers = None if error.in_seconds is None else {"Retry-After": str(error.in_seconds)}
    instead = {} if error.instead is None else {"instead": error.instead}
    return problem(error.name, error.detail, headers=headers, **instead)


def against_the_rules(_: Request[Any, Any, Any], error: RuleViolation) -> Response[Any]:
    """409: a rule of the product forbids it in the present state."""
    name = re.sub(r"(?<!^)([A-Z])", r"-\1", type(error).__name__).lower()
    return problem(name, str(error))


def too_many_requests(_: Request[Any, Any, Any], error: TooManyRequests) -> Response[Any]:
    """429: later."""
    return problem(
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
        f"{whose}-provider-unavailable",
        f"the {whose} provider cannot be reached: try again later",
        headers={"Retry-After": str(max(1, ceil(getattr(error, "retry_after", RETRY_AFTER))))},
    )


def outcome_unknown(_: Request[Any, Any, Any], error: OutcomeUnknown) -> Response[Any]:
    """503: it may have been done. Where to see that, and that repeating it does nothing twice."""
    log.warning("outcome_unknown", error=str(error))
    return problem(
        "outcome-unknown",
        "the payment provider did not say whether this was done: look at your subscription; to "
        "repeat the request does nothing twice",
        instead=SEE_SUBSCRIPTION,
        headers={"Retry-After": str(max(1, ceil(error.retry_after)))},
    )


def http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """What the framework refuses: unknown paths and methods, bodies that are too large."""
    status = error.status_code
    if status >= 500:
        return unexpected(request, error)
    name, detail = _REFUSALS.get(status, _REFUSALS[400])
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
    return problem(name, detail, headers=headers, **more)


def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """500: a trace id to find it by in the log, and nothing else."""
    trace_id = get_contextvars().get("trace_id") or secrets.token_hex(16)
    log.error("request_failed", path=request.url.path, trace_id=trace_id, exc_info=error)
    return problem(
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
