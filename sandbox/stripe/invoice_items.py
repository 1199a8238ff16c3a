"""Invoice items: what waits for the next invoice. (Stripe: API reference, Invoice Items)"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.stripe import errors, events, listing, metadata
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World


def create(world: World, call: Call) -> Json:
    params = call.params
    if "customer" not in params:
        raise errors.missing_parameter("customer")
    customer = world.store.living("customer", params["customer"], param="customer")
    if "amount" not in params:
        raise errors.missing_parameter("amount")
    period = params.get("period") or {"start": world.now(), "end": world.now()}
    item = _add(
        world,
        customer,
        amount=params["amount"],
        currency=params.get("currency", "usd"),
        description=params.get("description"),
        period={"end": period["end"], "start": period["start"]},
    )
    metadata.update(item, params)
    if "subscription" in params:
        world.store.get("subscription", params["subscription"], param="subscription")
        item["parent"] = _parent(params["subscription"])
    events.emit(world, "invoiceitem.created", item)
    return item


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("invoiceitem", id_)


def delete(world: World, call: Call, id_: str) -> Json:
    item = world.store.living("invoiceitem", id_)
    if item["invoice"] is not None:
        raise errors.ApiError("The invoice item is on an invoice already and cannot be deleted.")
    events.emit(world, "invoiceitem.deleted", item)
    return world.store.bury(item)


def list_(world: World, call: Call) -> Json:
    pending = call.params.get("pending")
    found = (
        item
        for item in world.store.all("invoiceitem")
        if listing.matches(item, call.params, "customer", "invoice")
        and (pending is None or (item["invoice"] is None) is pending)
    )
    return listing.page(world.store, found, call.params, "/v1/invoiceitems")


def waiting(world: World, customer: Json, subscription: Json | None) -> Iterator[Json]:
    """What the next invoice takes up: a subscription's own items, and those of no other."""
    for item in world.store.all("invoiceitem"):
        owner = ((item["parent"] or {}).get("subscription_details") or {}).get("subscription")
        if (
            item["customer"] == customer["id"]
            and item["invoice"] is None
            and owner in (None, subscription and subscription["id"])
        ):
            yield item


def from_line(world: World, subscription: Json, line: Json) -> Json:
    """Have a proration wait for the subscription's next invoice."""
    customer = world.store.get("customer", subscription["customer"])
    item = _add(
        world,
        customer,
        amount=line["amount"],
        currency=line["currency"],
        description=line["description"],
        period=line["period"],
    )
    item.update(
        parent=_parent(subscription["id"]),
        pricing=line["pricing"],
        proration=True,
        proration_details={"credited_items": None, "discount_amounts": []},
        quantity=line["quantity"],
        quantity_decimal=line["quantity_decimal"],
    )
    events.emit(world, "invoiceitem.created", item)
    return item


def _add(
    world: World,
    customer: Json,
    *,
    amount: int,
    currency: str,
    description: str | None,
    period: Json,
) -> Json:
    return world.store.add(
        {
            "id": world.ids.new("invoiceitem"),
            "object": "invoiceitem",
            "amount": amount,
            "currency": currency,
            "customer": customer["id"],
            "customer_account": None,
            "date": world.now(),
            "description": description,
            "discountable": amount >= 0,
            "discounts": [],
            "invoice": None,
            "livemode": False,
            "metadata": {},
            "net_amount": amount,
            "parent": None,
            "period": period,
            "pricing": None,
            "proration": False,
            "quantity": 1,
            "quantity_decimal": "1",
            "tax_rates": [],
            "test_clock": customer["test_clock"],
        }
    )


def _parent(subscription_id: str) -> Json:
    return {
        "subscription_details": {"subscription": subscription_id, "subscription_item": None},
        "type": "subscription_details",
    }
