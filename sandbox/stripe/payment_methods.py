"""Payment methods: test cards, saved for a customer or not.

(Stripe: API reference, Payment Methods; Testing)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sandbox.stripe import cards, errors, events, listing, metadata
from sandbox.stripe.cards import Card, Fate
from sandbox.stripe.errors import CardError
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World


def create(world: World, call: Call) -> Json:
    params = call.params
    if params.get("type") != "card":
        raise errors.invalid_parameter("The sandbox plays cards only", "type")
    method = _new(world, _card(params.get("card", {})), params.get("card", {}))
    metadata.update(method, params)
    for name, value in params.get("billing_details", {}).items():
        method["billing_details"][name] = value or None
    return method


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("payment_method", id_)


def update(world: World, call: Call, id_: str) -> Json:
    method = world.store.get("payment_method", id_)
    with events.change(world, method, "payment_method.updated"):
        metadata.update(method, call.params)
        for name, value in call.params.get("billing_details", {}).items():
            method["billing_details"][name] = value or None
        method["card"].update(call.params.get("card", {}))
    return method


def attach(world: World, call: Call, id_: str) -> Json:
    if "customer" not in call.params:
        raise errors.missing_parameter("customer")
    customer = world.store.living("customer", call.params["customer"], param="customer")
    return attach_to(world, id_, customer)


def detach(world: World, call: Call, id_: str) -> Json:
    method = world.store.get("payment_method", id_)
    if method["customer"] is None:
        raise errors.ApiError(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    return detach_from_customer(world, method)


def list_(world: World, call: Call) -> Json:
    if "customer" in call.params:
        world.store.get("customer", call.params["customer"], param="customer")
    found = (
        method
        for method in world.store.all("payment_method")
        if method["customer"] is not None
        and listing.matches(method, call.params, "customer", "type")
    )
    return listing.page(world.store, found, call.params, "/v1/payment_methods")


def list_of_customer(world: World, call: Call, customer_id: str) -> Json:
    customer = world.store.living("customer", customer_id)
    url = f"/v1/customers/{customer_id}/payment_methods"
    return listing.page(world.store, of(world, customer), call.params, url)


def retrieve_of_customer(world: World, call: Call, customer_id: str, id_: str) -> Json:
    return of_customer(world, id_, world.store.living("customer", customer_id), param=None)


def of(world: World, customer: Json) -> Iterator[Json]:
    """What a customer has saved."""
    return (
        method
        for method in world.store.all("payment_method")
        if method["customer"] == customer["id"]
    )


def named(world: World, name: str, *, param: str | None = "payment_method") -> Json:
    """The payment method with this id; a test card's name makes a new one of that card."""
    card = cards.by_name(name)
    if card is not None:
        return _new(world, card, {})
    found = world.store.find(name)
    if found is None or found["object"] != "payment_method":
        raise errors.ApiError(
            f"No such PaymentMethod: '{name}'",
            code="resource_missing",
            param=param or "id",
            status=400 if param else 404,
        )
    return found


def of_customer(world: World, name: str, customer: Json, *, param: str | None) -> Json:
    """The payment method with this id, which must be the customer's; test cards are attached."""
    method = named(world, name, param=param)
    if name != method["id"]:
        return attach_to(world, method["id"], customer)
    if method["customer"] != customer["id"]:
        raise errors.ApiError(
            "The customer does not have a payment method with the ID "
            f"{name}. The payment method must be attached to the customer.",
            code="resource_missing",
            param=param,
        )
    return method


def attach_to(world: World, name: str, customer: Json) -> Json:
    """Save a payment method for a customer. Raises CardError where the card is declined at once."""
    method = named(world, name, param=None)
    if method["customer"] == customer["id"]:
        return method
    if method["customer"] is not None or world.store.note(method).get("detached"):
        raise errors.ApiError(
            "This PaymentMethod was previously used without being attached to a Customer or was "
            "detached from a Customer, and may not be used again."
        )
    card = card_of(world, method)
    if card.on_setup == "declined":
        raise declined(card)
    method["customer"] = customer["id"]
    events.emit(world, "payment_method.attached", method)
    return method


def detach_from_customer(world: World, method: Json) -> Json:
    """Take a payment method from its customer, for good."""
    customer = world.store.find(method["customer"])
    previous = {"customer": method["customer"]}
    method["customer"] = None
    world.store.note(method)["detached"] = True
    events.emit(world, "payment_method.detached", method, previous)
    if customer and customer["invoice_settings"]["default_payment_method"] == method["id"]:
        with events.change(world, customer, "customer.updated"):
            customer["invoice_settings"]["default_payment_method"] = None
    for subscription in world.store.all("subscription"):
        if subscription["default_payment_method"] == method["id"]:
            with events.change(world, subscription, "customer.subscription.updated"):
                subscription["default_payment_method"] = None
    return method


def card_of(world: World, method: Json) -> Card:
    """The test card behind a payment method."""
    card = cards.by_number(world.store.note(method)["number"])
    assert card is not None, "every payment method is a test card"
    return card


def fate_of_setup(world: World, method: Json) -> Fate:
    """What becomes of saving this payment method."""
    return "approved" if _known(world, method) else card_of(world, method).on_setup


def fate_of_charge(world: World, method: Json, *, off_session: bool) -> Fate:
    """What becomes of a charge; `off_session` is one without the holder."""
    card = card_of(world, method)
    if not off_session:
        vouched = world.store.note(method).pop("vouched", False)
        return "approved" if vouched and card.on_charge == "challenged" else card.on_charge
    # A bank that was never asked while the holder was there wants to ask.
    if card.off_session == "approved" and not _known(world, method):
        return card.on_setup
    return card.off_session


def authenticated(world: World, method: Json) -> None:
    """Remember that the holder was there and agreed."""
    world.store.note(method)["known"] = True


def vouch(world: World, method: Json) -> None:
    """Remember that the holder has just agreed to the charge that follows."""
    authenticated(world, method)
    world.store.note(method)["vouched"] = True


def declined(card: Card, **extra: Any) -> CardError:
    """The error of a card that is declined."""
    code, message = cards.reason(card.decline_code)
    return CardError(message, code=code, decline_code=card.decline_code, **extra)


def from_number(world: World, number: str, *, email: str | None, name: str | None) -> Json:
    """A payment method from what was typed into a form. Raises CardError where that is no card."""
    method = _new(world, _card({"number": number}), {})
    method["billing_details"]["email"] = email
    method["billing_details"]["name"] = name
    return method


def _known(world: World, method: Json) -> bool:
    return bool(world.store.note(method).get("known"))


def _card(given: dict[str, Any]) -> Card:
    card = cards.by_name(given["token"]) if "token" in given else None
    if card is None and "number" in given:
        card = cards.by_number(given["number"])
        if card is None:
            raise CardError(
                "Your card number is incorrect. The sandbox knows Stripe's test cards only.",
                code="incorrect_number",
                param="number",
            )
    if card is None:
        raise errors.ApiError("No such token: give a test card", code="resource_missing")
    return card


def _new(world: World, card: Card, given: dict[str, Any]) -> Json:
    year = datetime.fromtimestamp(world.now(), UTC).year
    method = world.store.add(
        {
            "id": world.ids.new("payment_method"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {
                "address": dict.fromkeys(
                    ("city", "country", "line1", "line2", "postal_code", "state")
                ),
                "email": None,
                "name": None,
                "phone": None,
                "tax_id": None,
            },
            "card": {
                "brand": card.brand,
                "checks": {
                    "address_line1_check": None,
                    "address_postal_code_check": None,
                    "cvc_check": "pass",
                },
                "country": "US",
                "display_brand": card.brand,
                "exp_month": given.get("exp_month", 12),
                "exp_year": given.get("exp_year", year + 3),
                "fingerprint": hashlib.sha256(card.number.encode()).hexdigest()[:16],
                "funding": "credit",
                "generated_from": None,
                "last4": card.last4,
                "networks": {"available": [card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
            },
            "created": world.now(),
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": {},
            "type": "card",
        }
    )
    world.store.note(method)["number"] = card.number
    return method
