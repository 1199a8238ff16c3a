"""The lines of invoices. (Stripe: API reference, Invoice Line Item; Prorations)

A line is kept with its invoice; before there is one, a proration waits as an invoice item.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sandbox.stripe import proration
from sandbox.stripe.clock import Seconds
from sandbox.stripe.store import Json
from sandbox.stripe.world import World


def for_period(
    world: World, subscription: Json, item: Json, start: Seconds, end: Seconds, *, free: bool
) -> Json:
    """The line of one period of an item; a trial's costs nothing."""
    price, quantity = item["price"], item["quantity"]
    amount = 0 if free else price["unit_amount"] * quantity
    what = _what(world, item)
    unit = f"{_money(price['unit_amount'], price['currency'])} / {_interval(price)}"
    line = _line(world, price, amount, quantity, start, end)
    line["description"] = (
        f"Trial period for {world.store.get('product', price['product'])['name']}"
        if free
        else f"{quantity} × {what} (at {unit})"  # noqa: RUF001  # Stripe writes this sign
    )
    line["parent"] = _of_item(subscription, item, prorated=False)
    if free:
        line["pricing"]["unit_amount_decimal"] = "0"
    return line


def prorated(world: World, subscription: Json, item: Json, at: Seconds, *, credit: bool) -> Json:
    """The line for the rest of an item's period from a moment on, credited or charged."""
    start, end = item["current_period_start"], item["current_period_end"]
    whole = item["price"]["unit_amount"] * item["quantity"]
    amount = proration.share(-whole if credit else whole, start, end, at)
    line = _line(world, item["price"], amount, item["quantity"], at, end)
    quantity = "" if item["quantity"] == 1 else f"{item['quantity']} × "  # noqa: RUF001  # as above
    when = datetime.fromtimestamp(at, UTC).strftime("%d %b %Y")
    kind = "Unused" if credit else "Remaining"
    line["description"] = f"{kind} time on {quantity}{_what(world, item)} after {when}"
    line["parent"] = _of_item(subscription, item, prorated=True)
    return line


def for_invoice_item(world: World, item: Json) -> Json:
    """The line that an invoice item becomes on an invoice."""
    subscription = ((item["parent"] or {}).get("subscription_details") or {}).get("subscription")
    return {
        **_blank(world),
        "amount": item["amount"],
        "currency": item["currency"],
        "description": item["description"],
        "metadata": item["metadata"],
        "parent": {
            "invoice_item_details": {
                "invoice_item": item["id"],
                "proration": item["proration"],
                "proration_details": {"credited_items": None},
                "subscription": subscription,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "period": item["period"],
        "pricing": item["pricing"],
        "quantity": item["quantity"],
        "quantity_decimal": item["quantity_decimal"],
        "subscription": subscription,
        "subtotal": item["amount"],
    }


def _line(
    world: World, price: Json, amount: int, quantity: int, start: Seconds, end: Seconds
) -> Json:
    return {
        **_blank(world),
        "amount": amount,
        "currency": price["currency"],
        "period": {"end": end, "start": start},
        "pricing": pricing(price),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
    }


def _blank(world: World) -> Json:
    return {
        "id": world.ids.new("line_item"),
        "object": "line_item",
        "amount": 0,
        "currency": "usd",
        "description": None,
        "discount_amounts": [],
        "discountable": False,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": {"end": 0, "start": 0},
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": None,
        "subtotal": 0,
        "taxes": [],
    }


def pricing(price: Json) -> Json:
    """How lines and invoice items name their price."""
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def _of_item(subscription: Json, item: Json, *, prorated: bool) -> dict[str, Any]:
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": prorated,
            "proration_details": {"credited_items": None},
            "subscription": subscription["id"],
            "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }


def _what(world: World, item: Json) -> str:
    name: str = world.store.get("product", item["price"]["product"])["name"]
    return name


def _money(amount: int, currency: str) -> str:
    return f"{'$' if currency == 'usd' else currency.upper() + ' '}{amount / 100:.2f}"


def _interval(price: Json) -> str:
    recurring = price["recurring"]
    count = recurring["interval_count"]
    return str(recurring["interval"]) if count == 1 else f"every {count} {recurring['interval']}s"
