"""Charges: one for every attempt to take money. (Stripe: API reference, Charges)"""

from __future__ import annotations

from sandbox.stripe import cards, events, listing, payment_methods
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("charge", id_)


def list_(world: World, call: Call) -> Json:
    found = (
        charge
        for charge in world.store.all("charge")
        if listing.matches(charge, call.params, "created", "customer", "payment_intent")
    )
    return listing.page(world.store, found, call.params, "/v1/charges")


def succeed(world: World, intent: Json, method: Json) -> Json:
    """Take the money of a payment intent."""
    charge = world.store.add(_new(world, intent, method) | {"captured": True, "paid": True})
    charge["amount_captured"] = charge["amount"]
    events.emit(world, "charge.succeeded", charge)
    return charge


def fail(world: World, intent: Json, method: Json) -> Json:
    """Record that the bank refused."""
    decline_code = payment_methods.card_of(world, method).decline_code
    code, message = cards.reason(decline_code)
    charge = _new(world, intent, method) | {
        "captured": False,
        "failure_code": code,
        "failure_message": message,
        "outcome": {
            "advice_code": "try_again_later",
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "declined_by_network",
            "reason": decline_code,
            "risk_level": "normal",
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        },
        "paid": False,
        "status": "failed",
    }
    world.store.add(charge)
    events.emit(world, "charge.failed", charge)
    return charge


def _new(world: World, intent: Json, method: Json) -> Json:
    id_ = world.ids.new("charge")
    card = method["card"]
    shown = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding")
    return {
        "id": id_,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "SANDBOX",
        "created": world.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": {},
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {
            "card": {
                **{name: card[name] for name in shown},
                "installments": None,
                "last4": card["last4"],
                "mandate": None,
                "network": card["brand"],
                "network_token": {"used": False},
                "three_d_secure": None,
                "wallet": None,
            },
            "type": "card",
        },
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"{world.url}/receipts/{id_}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }
