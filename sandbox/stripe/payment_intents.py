"""Payment intents. (Stripe: API reference, Payment Intents)

One that belongs to an invoice tells the invoice what became of it.
"""

from __future__ import annotations

from typing import Any

from sandbox.stripe import (
    charges,
    errors,
    events,
    intents,
    invoices,
    listing,
    metadata,
    payment_methods,
)
from sandbox.stripe.errors import CardError
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World

_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELABLE = (*_CONFIRMABLE, "requires_capture", "processing")


def create(world: World, call: Call) -> Json:
    params = call.params
    customer = None
    if "customer" in params:
        customer = world.store.living("customer", params["customer"], param="customer")
    intent = new(
        world,
        amount=params["amount"],
        currency=params["currency"],
        customer=customer,
        setup_future_usage=params.get("setup_future_usage"),
    )
    metadata.set_fields(intent, params, "description", "receipt_email", "statement_descriptor")
    metadata.update(intent, params)
    if "payment_method" in params:
        intent["payment_method"] = payment_methods.named(world, params["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
    if params.get("confirm"):
        _confirm(world, intent, params)
    return intent


def retrieve(world: World, call: Call, id_: str) -> Json:
    return intents.get(world, call, "payment_intent", id_)


def update(world: World, call: Call, id_: str) -> Json:
    intent = world.store.get("payment_intent", id_)
    metadata.set_fields(intent, call.params, "amount", "description", "receipt_email")
    metadata.update(intent, call.params)
    if "payment_method" in call.params:
        intent["payment_method"] = payment_methods.named(world, call.params["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
    return intent


def confirm(world: World, call: Call, id_: str) -> Json:
    intent = intents.get(world, call, "payment_intent", id_)
    if intent["status"] not in _CONFIRMABLE:
        raise intents.wrong_status(intent, "confirmed", _CONFIRMABLE)
    _confirm(world, intent, call.params)
    return intent


def cancel(world: World, call: Call, id_: str) -> Json:
    intent = world.store.get("payment_intent", id_)
    if intent["status"] not in _CANCELABLE:
        raise intents.wrong_status(intent, "canceled", _CANCELABLE)
    if "invoice" in world.store.note(intent):
        raise errors.ApiError("You cannot cancel a PaymentIntent that belongs to an invoice.")
    return abandon(world, intent, call.params.get("cancellation_reason"))


def list_(world: World, call: Call) -> Json:
    found = (
        intent
        for intent in world.store.all("payment_intent")
        if listing.matches(intent, call.params, "created", "customer")
    )
    return listing.page(world.store, found, call.params, "/v1/payment_intents")


def new(
    world: World,
    *,
    amount: int,
    currency: str,
    customer: Json | None,
    setup_future_usage: str | None = None,
    invoice: Json | None = None,
) -> Json:
    """A payment intent of so much, in the currency's smallest unit."""
    id_ = world.ids.new("payment_intent")
    intent = world.store.add(
        {
            "id": id_,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic",
            "client_secret": intents.client_secret(world, id_),
            "confirmation_method": "automatic",
            "created": world.now(),
            "currency": currency,
            "customer": customer["id"] if customer else None,
            "customer_account": None,
            "description": "Subscription creation" if invoice else None,
            "excluded_payment_method_types": None,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {
                "card": {
                    "installments": None,
                    "mandate_options": None,
                    "network": None,
                    "request_three_d_secure": "automatic",
                }
            },
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": setup_future_usage,
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
        }
    )
    if invoice is not None:
        world.store.note(intent)["invoice"] = invoice["id"]
    events.emit(world, "payment_intent.created", intent)
    return intent


def pay(
    world: World,
    intent: Json,
    method: Json,
    *,
    off_session: bool,
    return_url: str | None = None,
) -> None:
    """Try to take the money. Raises CardError where the bank refuses.

    Afterwards the intent has succeeded, or its card's holder must act.
    """
    intent["payment_method"] = method["id"]
    fate = payment_methods.fate_of_charge(world, method, off_session=off_session)
    if fate == "approved":
        _succeed(world, intent, method)
    elif fate == "declined":
        _decline(world, intent, method)
    elif off_session and "invoice" not in world.store.note(intent):
        _refuse(
            world,
            intent,
            method,
            CardError(
                "Your card was declined. This transaction requires authentication.",
                code="authentication_required",
                decline_code="authentication_required",
            ),
        )
    else:
        intent["status"] = "requires_action"
        intent["next_action"] = intents.challenge(world, intent, return_url)
        events.emit(world, "payment_intent.requires_action", intent)


def answer_challenge(world: World, intent: Json, *, passed: bool) -> None:
    """Go on once the card's holder has answered the bank, or refused to."""
    method = world.store.get("payment_method", intent["payment_method"])
    if passed:
        _succeed(world, intent, method)
    else:
        _refuse_quietly(
            world,
            intent,
            method,
            CardError(
                "We are unable to authenticate your payment method. Please choose a different "
                "payment method and try again.",
                code="payment_intent_authentication_failure",
            ),
        )


def abandon(world: World, intent: Json, reason: str | None) -> Json:
    """Cancel a payment intent."""
    intent["status"] = "canceled"
    intent["canceled_at"] = world.now()
    intent["cancellation_reason"] = reason
    intent["next_action"] = None
    events.emit(world, "payment_intent.canceled", intent)
    return intent


def _confirm(world: World, intent: Json, params: dict[str, Any]) -> None:
    if "payment_method" in params:
        method = payment_methods.named(world, params["payment_method"])
    elif intent["payment_method"] is not None:
        method = world.store.get("payment_method", intent["payment_method"])
    else:
        raise errors.ApiError(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=dict(intent),
        )
    off_session = params.get("off_session") is True
    pay(world, intent, method, off_session=off_session, return_url=params.get("return_url"))


def _succeed(world: World, intent: Json, method: Json) -> None:
    charge = charges.succeed(world, intent, method)
    payment_methods.authenticated(world, method)
    if intent["setup_future_usage"] and intent["customer"] and method["customer"] is None:
        customer = world.store.get("customer", intent["customer"])
        payment_methods.attach_to(world, method["id"], customer)
    intent.update(
        status="succeeded",
        amount_received=intent["amount"],
        latest_charge=charge["id"],
        next_action=None,
        last_payment_error=None,
    )
    events.emit(world, "payment_intent.succeeded", intent)
    invoice = _invoice(world, intent)
    if invoice is not None:
        invoices.paid_by(world, invoice, intent)


def _decline(world: World, intent: Json, method: Json) -> None:
    charge = charges.fail(world, intent, method)
    intent["latest_charge"] = charge["id"]
    card = payment_methods.card_of(world, method)
    _refuse(world, intent, method, payment_methods.declined(card, charge=charge["id"]))


def _refuse(world: World, intent: Json, method: Json, error: CardError) -> None:
    _refuse_quietly(world, intent, method, error)
    error.extra["payment_intent"] = dict(intent)
    raise error


def _refuse_quietly(world: World, intent: Json, method: Json, error: CardError) -> None:
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_payment_error=intents.problem(error, method),
    )
    events.emit(world, "payment_intent.payment_failed", intent)
    invoice = _invoice(world, intent)
    if invoice is not None:
        invoices.refused(world, invoice)


def _invoice(world: World, intent: Json) -> Json | None:
    id_ = world.store.note(intent).get("invoice")
    return None if id_ is None else world.store.get("invoice", id_)
