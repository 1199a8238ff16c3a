"""Prices, found by lookup key. (Stripe: API reference, Prices; Manage prices)

Played: one amount per unit, once or every so many days, weeks, months or years. A price's amount
never changes; a new price takes the lookup key over.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.stripe import errors, events, listing, metadata, products
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World


def create(world: World, call: Call) -> Json:
    return add(world, call.params)


def add(world: World, params: dict[str, Any]) -> Json:
    """Make a price from the parameters of a request."""
    product = _product(world, params)
    amount, exact = _amount(params)
    price = {
        "id": world.ids.new("price"),
        "object": "price",
        "active": params.get("active", True),
        "billing_scheme": "per_unit",
        "created": world.now(),
        "currency": params["currency"].lower(),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": metadata.new(params),
        "nickname": params.get("nickname"),
        "product": product["id"],
        "recurring": _recurring(params.get("recurring")),
        "tax_behavior": params.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if "recurring" in params else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": exact,
    }
    _take_lookup_key(world, price, params)
    world.store.add(price)
    events.emit(world, "price.created", price)
    return price


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("price", id_)


def update(world: World, call: Call, id_: str) -> Json:
    price = world.store.get("price", id_)
    with events.change(world, price, "price.updated"):
        metadata.set_fields(price, call.params, "active", "nickname", "tax_behavior")
        metadata.update(price, call.params)
        _take_lookup_key(world, price, call.params)
    return price


def list_(world: World, call: Call) -> Json:
    keys, recurring = call.params.get("lookup_keys"), call.params.get("recurring", {})
    found = (
        price
        for price in world.store.all("price")
        if listing.matches(price, call.params, "active", "created", "currency", "product", "type")
        and (keys is None or price["lookup_key"] in keys)
        and listing.matches(price["recurring"] or dict.fromkeys(recurring), recurring, *recurring)
    )
    return listing.page(world.store, found, call.params, "/v1/prices")


def plan_of(price: Json) -> Json | None:
    """A recurring price as it was called before there were prices; items still carry it."""
    recurring = price["recurring"]
    return recurring and {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _product(world: World, params: dict[str, Any]) -> Json:
    if ("product" in params) == ("product_data" in params):
        raise errors.invalid_parameter(
            "You must specify either `product` or `product_data` when creating a price.",
            "product",
            "parameter_missing",
        )
    if "product" in params:
        return world.store.living("product", params["product"], param="product")
    return products.create(world, Call(params["product_data"]))


def _amount(params: dict[str, Any]) -> tuple[int | None, str]:
    if ("unit_amount" in params) == ("unit_amount_decimal" in params):
        raise errors.invalid_parameter(
            "You must specify exactly one of `unit_amount` and `unit_amount_decimal`.",
            "unit_amount",
            "parameter_missing",
        )
    exact = Decimal(
        params["unit_amount"] if "unit_amount" in params else params["unit_amount_decimal"]
    )
    if exact < 0:
        raise errors.invalid_parameter(
            "Invalid non-negative integer", "unit_amount", "parameter_invalid_integer"
        )
    return (int(exact) if exact == int(exact) else None), format(exact.normalize(), "f")


def _recurring(recurring: dict[str, Any] | None) -> Json | None:
    return recurring and {
        "interval": recurring["interval"],
        "interval_count": recurring.get("interval_count", 1),
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _take_lookup_key(world: World, price: Json, params: dict[str, Any]) -> None:
    """Give a price its lookup key; another price keeps it unless it is to be transferred."""
    key = params.get("lookup_key")
    if key is None:
        return
    for other in world.store.all("price"):
        if key and other["lookup_key"] == key and other["id"] != price["id"]:
            if not params.get("transfer_lookup_key"):
                raise errors.ApiError(
                    f"A price (`{other['id']}`) already uses that lookup key.", param="lookup_key"
                )
            with events.change(world, other, "price.updated"):
                other["lookup_key"] = None
    price["lookup_key"] = key or None
