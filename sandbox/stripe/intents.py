"""What payment intents and setup intents share: client secrets and 3-D Secure.

(Stripe: Payment Intents lifecycle; Authenticate with 3D Secure)
"""

from __future__ import annotations

from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.errors import ApiError
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World

NOUNS = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}


def get(world: World, call: Call, kind: str, id_: str) -> Json:
    """The intent; a browser must know its client secret."""
    intent = world.store.find(id_)
    secret = call.params.get("client_secret")
    if intent is None or intent["object"] != kind:
        raise errors.no_such(kind, id_, param="intent", in_path=True)
    if (call.publishable or secret is not None) and secret != intent["client_secret"]:
        noun = kind.replace("_", " ")
        raise ApiError(
            f"The client_secret provided does not match any associated {noun} on this account.",
            status=404,
            code="resource_missing",
            param="intent",
        )
    return intent


def client_secret(world: World, id_: str) -> str:
    return f"{id_}_secret_{world.ids.secret(25)}"


def challenge(world: World, intent: Json, return_url: str | None) -> Json:
    """The next action of an intent whose card wants its holder."""
    url = f"{world.url}/3d-secure/{intent['id']}"
    world.store.note(intent)["return_url"] = return_url
    if return_url is not None:
        return {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": return_url, "url": url},
        }
    return {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url},
    }


def problem(error: ApiError, method: Json | None) -> dict[str, Any]:
    """An error as an intent remembers it."""
    members = {
        "code": error.code,
        "decline_code": error.extra.get("decline_code"),
        "doc_url": f"https://stripe.com/docs/error-codes/{(error.code or '').replace('_', '-')}",
        "message": error.message,
        "payment_method": None if method is None else dict(method),
        "type": error.kind,
    }
    return {name: value for name, value in members.items() if value is not None}


def wrong_status(intent: Json, verb: str, allowed: tuple[str, ...]) -> ApiError:
    """The error of an intent that is past what is asked of it."""
    kind = intent["object"]
    error = ApiError(
        f"This {NOUNS[kind]} could not be {verb} because it has a status of {intent['status']}. "
        f"Only a {NOUNS[kind]} with one of the following statuses may be {verb}: "
        f"{', '.join(allowed)}.",
        code=f"{kind}_unexpected_state",
    )
    error.extra[kind] = dict(intent)
    return error
