"""Invoice payments: which payment intent pays which invoice.

(Stripe: API reference, Invoice Payment)
"""

from __future__ import annotations

from sandbox.stripe import events, listing
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("invoice_payment", id_)


def list_(world: World, call: Call) -> Json:
    payment = call.params.get("payment", {}).get("payment_intent")
    found = (
        obj
        for obj in world.store.all("invoice_payment")
        if listing.matches(obj, call.params, "created", "invoice", "status")
        and payment in (None, obj["payment"]["payment_intent"])
    )
    return listing.page(world.store, found, call.params, "/v1/invoice_payments")


def list_of(world: World, invoice: Json) -> Json:
    """The payments of an invoice, as they are shown with it."""
    data = [o for o in world.store.all("invoice_payment") if o["invoice"] == invoice["id"]]
    return listing.whole(data, f"/v1/invoices/{invoice['id']}/payments")


def add(world: World, invoice: Json, intent: Json) -> Json:
    """Have a payment intent pay an invoice."""
    return world.store.add(
        {
            "id": world.ids.new("invoice_payment"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": intent["amount"],
            "created": world.now(),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def of(world: World, invoice: Json) -> Json | None:
    """The payment that is to pay, or has paid, an invoice."""
    for obj in world.store.all("invoice_payment"):
        if obj["invoice"] == invoice["id"]:
            return obj
    return None


def paid(world: World, payment: Json) -> None:
    """The money is there."""
    payment["status"] = "paid"
    payment["amount_paid"] = payment["amount_requested"]
    payment["status_transitions"]["paid_at"] = world.now()
    events.emit(world, "invoice_payment.paid", payment)


def cancel(world: World, payment: Json) -> None:
    """The invoice is not to be paid any more."""
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = world.now()
