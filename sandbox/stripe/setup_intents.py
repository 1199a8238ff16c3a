"""Setup intents: saving a card without taking money. (Stripe: API reference, Setup Intents)"""

from __future__ import annotations

from typing import Any

from sandbox.stripe import errors, events, intents, listing, metadata, payment_methods
from sandbox.stripe.errors import CardError
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World

_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(world: World, call: Call) -> Json:
    params = call.params
    customer = None
    if "customer" in params:
        customer = world.store.living("customer", params["customer"], param="customer")
    intent = new(world, customer)
    metadata.set_fields(intent, params, "description", "usage")
    metadata.update(intent, params)
    if "payment_method" in params:
        intent["payment_method"] = payment_methods.named(world, params["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
    if params.get("confirm"):
        _confirm(world, intent, params)
    return intent


def retrieve(world: World, call: Call, id_: str) -> Json:
    return intents.get(world, call, "setup_intent", id_)


def update(world: World, call: Call, id_: str) -> Json:
    intent = world.store.get("setup_intent", id_)
    metadata.set_fields(intent, call.params, "description")
    metadata.update(intent, call.params)
    if "payment_method" in call.params:
        intent["payment_method"] = payment_methods.named(world, call.params["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
    return intent


def confirm(world: World, call: Call, id_: str) -> Json:
    intent = intents.get(world, call, "setup_intent", id_)
    if intent["status"] not in _CONFIRMABLE:
        raise intents.wrong_status(intent, "confirmed", _CONFIRMABLE)
    _confirm(world, intent, call.params)
    return intent


def cancel(world: World, call: Call, id_: str) -> Json:
    intent = world.store.get("setup_intent", id_)
    if intent["status"] not in _CONFIRMABLE:
        raise intents.wrong_status(intent, "canceled", _CONFIRMABLE)
    return abandon(world, intent, call.params.get("cancellation_reason"))


def list_(world: World, call: Call) -> Json:
    found = (
        intent
        for intent in world.store.all("setup_intent")
        if listing.matches(intent, call.params, "created", "customer", "payment_method")
    )
    return listing.page(world.store, found, call.params, "/v1/setup_intents")


def new(world: World, customer: Json | None, subscription: Json | None = None) -> Json:
    """A setup intent; one for a subscription gives it the card that it saves."""
    id_ = world.ids.new("setup_intent")
    intent = world.store.add(
        {
            "id": id_,
            "object": "setup_intent",
            "application": None,
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
            "cancellation_reason": None,
            "client_secret": intents.client_secret(world, id_),
            "created": world.now(),
            "customer": customer["id"] if customer else None,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "mandate": None,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {
                "card": {
                    "mandate_options": None,
                    "network": None,
                    "request_three_d_secure": "automatic",
                }
            },
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": "off_session",
        }
    )
    if subscription is not None:
        world.store.note(intent)["subscription"] = subscription["id"]
    events.emit(world, "setup_intent.created", intent)
    return intent


def save(world: World, intent: Json, method: Json, return_url: str | None = None) -> None:
    """Try to save a card. Raises CardError where the bank refuses."""
    intent["payment_method"] = method["id"]
    fate = payment_methods.fate_of_setup(world, method)
    if fate == "approved":
        _succeed(world, intent, method)
    elif fate == "declined":
        error = payment_methods.declined(payment_methods.card_of(world, method))
        _refuse(world, intent, method, error)
        error.extra["setup_intent"] = dict(intent)
        raise error
    else:
        intent["status"] = "requires_action"
        intent["next_action"] = intents.challenge(world, intent, return_url)
        events.emit(world, "setup_intent.requires_action", intent)


def answer_challenge(world: World, intent: Json, *, passed: bool) -> None:
    """Go on once the card's holder has answered the bank, or refused to."""
    method = world.store.get("payment_method", intent["payment_method"])
    if passed:
        _succeed(world, intent, method)
    else:
        error = CardError(
            "We are unable to authenticate your payment method. Please choose a different payment "
            "method and try again.",
            code="setup_intent_authentication_failure",
        )
        _refuse(world, intent, method, error)


def abandon(world: World, intent: Json, reason: str | None) -> Json:
    """Cancel a setup intent."""
    intent.update(status="canceled", cancellation_reason=reason, next_action=None)
    events.emit(world, "setup_intent.canceled", intent)
    return intent


def _confirm(world: World, intent: Json, params: dict[str, Any]) -> None:
    if "payment_method" in params:
        method = payment_methods.named(world, params["payment_method"])
    elif intent["payment_method"] is not None:
        method = world.store.get("payment_method", intent["payment_method"])
    else:
        raise errors.ApiError(
            "You cannot confirm this SetupIntent because it's missing a payment method. Update the "
            "SetupIntent with a payment method and then confirm it again.",
            code="setup_intent_unexpected_state",
            setup_intent=dict(intent),
        )
    save(world, intent, method, params.get("return_url"))


def _succeed(world: World, intent: Json, method: Json) -> None:
    payment_methods.authenticated(world, method)
    if intent["customer"] is not None and method["customer"] is None:
        customer = world.store.get("customer", intent["customer"])
        payment_methods.attach_to(world, method["id"], customer)
    intent.update(status="succeeded", next_action=None, last_setup_error=None)
    events.emit(world, "setup_intent.succeeded", intent)
    _give_to_subscription(world, intent, method)


def _give_to_subscription(world: World, intent: Json, method: Json) -> None:
    id_ = world.store.note(intent).get("subscription")
    subscription = world.store.find(id_) if id_ else None
    if subscription is None or subscription["pending_setup_intent"] != intent["id"]:
        return
    with events.change(world, subscription, "customer.subscription.updated"):
        subscription["pending_setup_intent"] = None
        subscription["default_payment_method"] = method["id"]


def _refuse(world: World, intent: Json, method: Json, error: CardError) -> None:
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error=intents.problem(error, method),
    )
    events.emit(world, "setup_intent.setup_failed", intent)
