"""The OpenAPI document: generated from the handlers, served at /schema, kept in contracts/."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from litestar import MediaType, Request
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Contact, Example, SecurityScheme, Tag

from adapters.http.problems import KINDS, MEDIA_TYPE, REJECTIONS, TYPE

BEARER: Final[list[dict[str, list[str]]]] = [{"bearerAuth": []}]


class Problem(msgspec.Struct, rename="camel", omit_defaults=True):
    """A problem document (RFC 9457). `type` names the kind of problem and never changes; more may
    come. `detail` is for people; `instead` is the request that leads on.
    """

    type: str
    title: str
    status: int
    detail: str
    instead: str | None = None
    code: str | None = None
    decline_code: str | None = None
    reason: str | None = None
    trace_id: str | None = None
    errors: list[dict[str, str]] | None = None


# status -> what it means here, and the example's name and detail.
_PROBLEMS: Final[Mapping[int, tuple[str, str, str]]] = {
    400: (
        "The request does not fit this document, or the payment provider does not accept it.",
        "bad-request",
        "the request is malformed",
    ),
    401: (
        "The bearer token is missing or was not accepted.",
        "unauthenticated",
        "the bearer token was not accepted: it has expired: sign in again",
    ),
    402: (
        "The card was declined; `declineCode` says why.",
        "card-declined",
        "the card was declined: use another one, or ask the bank that issued it",
    ),
    403: (
        "The user is known, but the token lacks a scope that this deployment requires.",
        "insufficient-scope",
        "the bearer token lacks a scope: sign in anew, and ask for payments",
    ),
    404: (
        "There is no such thing, or it is somebody else's.",
        "subscription-not-found",
        "you have no such subscription",
    ),
    408: (
        "The body did not arrive in time.",
        "body-too-slow",
        "the body did not arrive in time: send it at once",
    ),
    409: (
        "Not possible in the present state; the detail says what to do instead, and `instead` by "
        "which request.",
        "already-subscribed",
        "you have a subscription that runs: change its plan instead of buying a second one",
    ),
    413: (
        "The body is too large.",
        "body-too-large",
        "the body is larger than this endpoint takes",
    ),
    422: (
        "Well-formed, but not something that can be accepted.",
        "price-not-offered",
        "this price is not for sale: choose another one",
    ),
    429: (
        "Too many requests; Retry-After says when to go on.",
        "too-many-requests",
        "you make more requests than are allowed: slow down",
    ),
    500: (
        "Something went wrong here; operators find it by the trace id.",
        "internal-error",
        "something went wrong here: report the trace id to the operators",
    ),
    503: (
        "Somebody we depend on is away, or did not say what has become of a request "
        "(`outcome-unknown`: GET /api/payments/subscription shows what is, and repeating it does "
        "nothing twice); Retry-After says when to try again.",
        "payment-provider-unavailable",
        "the payment provider cannot be reached: try again later",
    ),
}
# The same where the webhook means something else by it.
_WEBHOOK_PROBLEMS: Final[Mapping[int, tuple[str, str, str]]] = {
    **_PROBLEMS,
    400: (
        "The request is malformed, or no genuine event of Stripe's; then `reason` says why.",
        "signature-mismatch",
        "no configured secret signed this body: check the endpoint's signing secret, and that "
        "nothing on the way changes the body",
    ),
    503: (
        "Nothing was recorded; Retry-After says when to try again.",
        "try-again",
        "nothing was recorded: send the same request again later",
    ),
}
# What the webhook may answer. What is wrong with an event nobody else is told.
_TOLD_STRIPE: Final = frozenset(
    {*REJECTIONS, "bad-request", "body-too-slow", "body-too-large", "internal-error", "try-again"}
)
_TOLD_OTHERS: Final = KINDS.keys() - set(REJECTIONS)
# name of an example -> what else it holds.
_EXTRAS: Final[Mapping[str, dict[str, str]]] = {
    "signature-mismatch": {"reason": "signature_mismatch"},
    "card-declined": {"code": "card_declined", "declineCode": "insufficient_funds"},
    "already-subscribed": {"instead": "PATCH /api/payments/subscriptions/{id}"},
    "price-not-offered": {"instead": "GET /api/payments/config"},
    "internal-error": {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736"},
}
# Values that there are now, of which none goes away; clients have to bear others.
EXTENSIBLE_ENUM: Final = "x-extensible-enum"
# Each of them -> the status it comes with, and no other.
STATUSES: Final = "x-statuses"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
IDEMPOTENT_REPLAYED: Final = "Idempotent-Replayed"
_ABOUT: Final = """\
Sells subscriptions through Stripe. Every error is a problem document (RFC 9457) whose `type` never
changes.

**Repeating requests.** Operations that change something take an `Idempotency-Key`, 1 to 255
visible ASCII characters of the client's choice, each user's their own. Once a request had a
success, the same request with the same key gets the same answer for 24 hours, marked
`Idempotent-Replayed: true`; an address of Stripe's only while it surely opens: 10 minutes for a
Checkout, 2 for the portal. Nothing else is kept: after a refusal or a failure (401, 402, 403, 404,
409, 413, 422, 429, 500, 503) the key is free again, for the same request or another. While the
first of them is under way the others get a 409 with Retry-After; a key that stands for another
request is a 422.

**How often, how long.** A user may make so many requests in a minute (a setting, 120 unless
changed); more are a 429 with Retry-After. A request that takes longer than 20 seconds is broken
off with a 503 and can be repeated.
"""
WEBHOOK_PATH: Final = "/api/payments/webhook"
# It is signed as it is, so its handler takes bytes and tells the framework nothing of them.
_WEBHOOK: Final[Mapping[str, object]] = {
    "parameters": [
        {
            "name": "Stripe-Signature",
            "in": "header",
            "required": True,
            "description": "Signs the time and the body, as t=<seconds>,v1=<hex>.",
            "schema": {"type": "string"},
        }
    ],
    "requestBody": {
        "required": True,
        "description": "An event of Stripe's, as it was signed.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["id", "object", "type", "created", "livemode", "data"],
                    "properties": {
                        "id": {"type": "string", "minLength": 1, "maxLength": 255},
                        "object": {"const": "event"},
                        "type": {"type": "string", "minLength": 1, "maxLength": 100},
                        "created": {"type": "integer"},
                        "livemode": {"type": "boolean"},
                        "api_version": {"type": ["string", "null"]},
                        "data": {"type": "object"},
                    },
                },
                "example": {
                    "id": "evt_1RrExample",
                    "object": "event",
                    "type": "customer.subscription.updated",
                    "created": 1767225600,
                    "livemode": False,
                    "api_version": "2026-10-28.endive",
                    "data": {"object": {"id": "sub_1RrExample", "object": "subscription"}},
                },
            }
        },
    },
}
# Headers that go with a problem, wherever it occurs.
_HEADERS: Final[Mapping[str, tuple[str, str]]] = {
    "401": ("WWW-Authenticate", "How to authenticate, and what is wrong with the token."),
    "403": ("WWW-Authenticate", "Which scope the token lacks."),
    "429": ("Retry-After", "Seconds after which to try again."),
    "503": ("Retry-After", "Seconds after which to try again."),
}

# What to do next: operation -> the operations that take what its success names, and where it is;
# a field of its answer, or, from the mark on, of anything that OpenAPI can point to.
_LINKS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "startCheckout": {"syncCheckout": ("session_id", "sessionId")},
    "previewPlanChange": {"changePlan": ("subscription_id", "$request.path.subscription_id")},
    "cancelSubscription": {"resumeSubscription": ("subscription_id", "id")},
    "subscribe": {
        "previewPlanChange": ("subscription_id", "subscriptionId"),
        "cancelSubscription": ("subscription_id", "subscriptionId"),
    },
    "viewSubscription": {
        "previewPlanChange": ("subscription_id", "id"),
        "changePlan": ("subscription_id", "id"),
        "cancelSubscription": ("subscription_id", "id"),
        "resumeSubscription": ("subscription_id", "id"),
    },
    "listInvoices": {"listInvoices": ("cursor", "nextCursor")},
}
# What is to be sent with it, where that is known.
_LINK_BODIES: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("previewPlanChange", "changePlan"): {
        "priceId": "$request.body#/priceId",
        "prorationDate": "$response.body#/prorationDate",
    },
}
_FORMS: Final[Mapping[str, dict[str, object]]] = {
    "Retry-After": {"pattern": "^[1-9][0-9]*$"},
    IDEMPOTENT_REPLAYED: {"enum": ["true"]},
}
# Headers that answers to keyed requests may have besides.
_KEYED: Final[Mapping[str, tuple[str, str]]] = {
    "200": (IDEMPOTENT_REPLAYED, "true where this is the answer of an earlier request."),
    "409": ("Retry-After", "Seconds after which to try again, where it, or another, is under way."),
}


def responses(
    view: type[msgspec.Struct], example: object, *problems: int
) -> dict[int, ResponseSpec]:
    """What a handler may answer: a success with this example, and these problems."""
    return _responses(view, example, problems, _PROBLEMS, _TOLD_OTHERS)


def user_responses(
    view: type[msgspec.Struct], example: object, *problems: int
) -> dict[int, ResponseSpec]:
    """The same for what users do: it may be unauthenticated, too often, or turned away."""
    return responses(view, example, *sorted({400, 401, 403, 429, 503, *problems}))


def webhook_responses(
    view: type[msgspec.Struct], example: object, *problems: int
) -> dict[int, ResponseSpec]:
    """The same for the webhook, to which events are sent and nobody is signed in."""
    return _responses(view, example, problems, _WEBHOOK_PROBLEMS, _TOLD_STRIPE)


def _responses(
    view: type[msgspec.Struct],
    example: object,
    problems: Collection[int],
    explained: Mapping[int, tuple[str, str, str]],
    told: Collection[str],
) -> dict[int, ResponseSpec]:
    success = ResponseSpec(
        view,
        generate_examples=False,
        description="Done.",
        examples=[Example(summary="example", value=example)],
    )
    return {200: success} | {
        status: _problem(status, explained[status], told) for status in (*problems, 500)
    }


def _problem(status: int, explained: tuple[str, str, str], told: Collection[str]) -> ResponseSpec:
    description, name, detail = explained
    types = [f"`{one}`" for one, kind in KINDS.items() if kind.status == status and one in told]
    value = {
        "type": f"{TYPE}{name}",
        "title": KINDS[name].title,
        "status": status,
        "detail": detail,
        **_EXTRAS.get(name, {}),
    }
    return ResponseSpec(
        Problem,
        generate_examples=False,
        description=f"{description} Types: {', '.join(types)}.",
        media_type=MEDIA_TYPE,
        examples=[Example(summary=name, value=value)],
    )


class _Document(JsonRenderPlugin):
    """Serves the document as `refine` leaves it."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        return super().render(request, refine(openapi_schema))


def openapi_config() -> OpenAPIConfig:
    """Where and how the document is served."""
    return OpenAPIConfig(
        title="Payments",
        version="1",
        description=_ABOUT,
        contact=Contact(name="The operators of this service"),
        tags=[
            Tag("users", "What users do, each with the bearer token of the platform."),
            Tag("public", "For anyone."),
            Tag("stripe", "For Stripe alone."),
            Tag("operators", "For whoever runs the service."),
        ],
        components=Components(
            security_schemes={
                "bearerAuth": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="A token of the platform's identity provider; sub is a UUID.",
                )
            }
        ),
        path="/schema",
        render_plugins=[_Document(path=["/", "/openapi.json"], media_type=MediaType.JSON)],
        use_handler_docstrings=True,
    )


def refine(document: dict[str, Any]) -> dict[str, Any]:
    """Add what Litestar cannot be told: headers of answers, the types of problems, and the
    webhook's raw body.
    """
    type_ = document["components"]["schemas"]["Problem"]["properties"]["type"]
    type_[EXTENSIBLE_ENUM] = [f"{TYPE}{name}" for name in KINDS]
    type_[STATUSES] = {f"{TYPE}{name}": kind.status for name, kind in KINDS.items()}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation.setdefault("security", [])  # said of those that need none, too
            for target, (parameter, field) in _LINKS.get(operation["operationId"], {}).items():
                link: dict[str, Any] = {
                    "operationId": target,
                    "parameters": {
                        parameter: field if field[0] == "$" else f"$response.body#/{field}"
                    },
                }
                body = _LINK_BODIES.get((operation["operationId"], target))
                if body is not None:
                    link["requestBody"] = body
                operation["responses"]["200"].setdefault("links", {})[target] = link
            parameters = {one["name"] for one in operation.get("parameters", ())}
            for status, response in operation["responses"].items():
                if status in _HEADERS and MEDIA_TYPE in response["content"]:
                    _add_header(response, *_HEADERS[status], required=True)
                if status in _KEYED and IDEMPOTENCY_KEY in parameters:
                    _add_header(response, *_KEYED[status], required=False)
            for parameter in operation.get("parameters", ()):
                _drop_null(parameter["schema"])
            if path == WEBHOOK_PATH:
                operation.update(_WEBHOOK)
    return document


def _add_header(response: dict[str, Any], name: str, description: str, *, required: bool) -> None:
    schema = {"type": "string", **_FORMS.get(name, {})}
    response.setdefault("headers", {})[name] = {
        "description": description,
        "required": required,
        "schema": schema,
    }


def _drop_null(schema: dict[str, Any]) -> None:
    """A parameter is there or not; in a header or a query there is no null."""
    choices = [one for one in schema.pop("oneOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        schema |= choices[0]
    elif choices:
        schema["oneOf"] = choices
