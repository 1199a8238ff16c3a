"""Customers. (Stripe: API reference, Customers)"""

from __future__ import annotations

from sandbox.stripe import events, listing, metadata, payment_methods, subscriptions
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World

_FIELDS = ("address", "description", "email", "name", "phone", "shipping", "balance")


def create(world: World, call: Call) -> Json:
    params = call.params
    if "test_clock" in params:
        world.store.get("test_helpers.test_clock", params["test_clock"], param="test_clock")
    id_ = world.ids.new("customer")
    customer = world.store.add(
        {
            "id": id_,
            "object": "customer",
            "address": None,
            "balance": 0,
            "created": world.now(),
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": None,
            "email": None,
            "invoice_prefix": params.get("invoice_prefix") or world.ids.secret(8).upper(),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": metadata.new(params),
            "name": None,
            "next_invoice_sequence": 1,
            "phone": None,
            "preferred_locales": params.get("preferred_locales", []),
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": params.get("test_clock"),
        }
    )
    metadata.set_fields(customer, params, *_FIELDS)
    attached = None
    if "payment_method" in params:
        attached = payment_methods.attach_to(world, params["payment_method"], customer)
    _set_default(world, customer, params, attached)
    events.emit(world, "customer.created", customer)
    return customer


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("customer", id_)


def update(world: World, call: Call, id_: str) -> Json:
    customer = world.store.living("customer", id_)
    with events.change(world, customer, "customer.updated"):
        metadata.set_fields(customer, call.params, *_FIELDS, "preferred_locales")
        metadata.update(customer, call.params)
        _set_default(world, customer, call.params, None)
    return customer


def delete(world: World, call: Call, id_: str) -> Json:
    """Deletes the customer for good and cancels what it is subscribed to at once."""
    customer = world.store.living("customer", id_)
    for subscription in subscriptions.current_of(world, customer):
        subscriptions.end(world, subscription, reason="cancellation_requested")
    for method in payment_methods.of(world, customer):
        payment_methods.detach_from_customer(world, method)
    events.emit(world, "customer.deleted", customer)
    return world.store.bury(customer)


def list_(world: World, call: Call) -> Json:
    found = (
        customer
        for customer in world.store.all("customer")
        if listing.matches(customer, call.params, "created", "email")
        and customer["test_clock"] == call.params.get("test_clock", customer["test_clock"])
    )
    return listing.page(world.store, found, call.params, "/v1/customers")


def _set_default(world: World, customer: Json, params: Json, attached: Json | None) -> None:
    """Set the payment method that its invoices are paid with."""
    settings = params.get("invoice_settings") or {}
    if "default_payment_method" not in settings:
        return
    named = settings["default_payment_method"]
    if named and attached is not None and named == params["payment_method"]:
        # Test cards have names of their own; `payment_method` has made a card of this one.
        chosen = attached
    elif named:
        chosen = payment_methods.of_customer(
            world, named, customer, param="invoice_settings[default_payment_method]"
        )
    else:
        chosen = None
    customer["invoice_settings"]["default_payment_method"] = chosen["id"] if chosen else None
