"""Previews: what a subscription, or a change of one, will be billed. Nothing is kept.

(Stripe: API reference, Create a preview invoice)
"""

from __future__ import annotations

from typing import Any

from sandbox.stripe import (
    billing,
    errors,
    events,
    invoice_items,
    invoices,
    lines,
    periods,
    subscription_changes,
    subscriptions,
)
from sandbox.stripe.errors import ApiError
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World


def create(world: World, call: Call) -> Json:
    params, details = call.params, call.params.get("subscription_details") or {}
    if "subscription" not in params:
        return _of_new(world, params, details)
    subscription = world.store.get("subscription", params["subscription"], param="subscription")
    if subscription["status"] in billing.ENDED or details.get("cancel_now"):
        raise ApiError("No upcoming invoices for customer", code="invoice_upcoming_none")
    change = subscription_changes.plan(world, subscription, details)
    contents = _waiting(world, subscription)
    if change.billed_now:
        contents += change.lines(world, subscription)
        period = (change.start, change.end)
    else:
        if subscription["cancel_at"] or details.get("cancel_at_period_end"):
            raise ApiError("No upcoming invoices for customer", code="invoice_upcoming_none")
        contents += change.prorations + _next_period(world, subscription, change)
        period = (change.start, change.end)
    invoice = _compose(world, subscription["customer"], contents, subscription, period)
    if "proration_date" in details:
        named = invoice["parent"]["subscription_details"]
        named["subscription_proration_date"] = details["proration_date"]
    return invoice


def announce(world: World, id_: str) -> None:
    """Woken some days before a renewal: tell what it will come to, if there is going to be one."""
    subscription = world.store.get("subscription", id_)
    end, note = billing.period_of(subscription)[1], world.store.note(subscription)
    if (
        note.get("announced") == end
        or subscription["status"] not in ("trialing", "active", "past_due")
        or end - billing.UPCOMING_SECONDS != world.now()
        or (subscription["cancel_at"] is not None and subscription["cancel_at"] <= end)
    ):
        return
    note["announced"] = end
    change = subscription_changes.plan(world, subscription, {})
    contents = _waiting(world, subscription) + _next_period(world, subscription, change)
    period = (change.start, change.end)
    invoice = _compose(world, subscription["customer"], contents, subscription, period)
    events.emit(world, "invoice.upcoming", invoice)


def _of_new(world: World, params: dict[str, Any], details: dict[str, Any]) -> Json:
    """What a subscription that does not exist yet would be billed first."""
    if "customer" not in params:
        raise errors.missing_parameter("subscription")
    if not details.get("items"):
        raise errors.missing_parameter("subscription_details[items]")
    now, trial_end = world.now(), details.get("trial_end")
    trial_end = None if trial_end == "now" else trial_end
    items = [
        subscriptions.item_of(world, "", given, f"subscription_details[items][{index}]")
        for index, given in enumerate(details["items"])
    ]
    end = trial_end or periods.next_end(now, now, items[0]["price"])
    blank = {"id": ""}
    contents = [
        lines.for_period(world, blank, item, now, end, free=trial_end is not None) for item in items
    ]
    return _compose(world, params["customer"], contents, None, (now, end))


def _next_period(
    world: World, subscription: Json, change: subscription_changes.Change
) -> list[Json]:
    """The lines of the period after the current one."""
    anchor = subscription["billing_cycle_anchor"]
    end = periods.next_end(anchor, change.end, change.items[0]["price"])
    return [
        lines.for_period(world, subscription, item, change.end, end, free=False)
        for item in change.items
    ]


def _waiting(world: World, subscription: Json) -> list[Json]:
    customer = world.store.get("customer", subscription["customer"])
    return [
        lines.for_invoice_item(world, item)
        for item in invoice_items.waiting(world, customer, subscription)
    ]


def _compose(
    world: World,
    customer_id: str,
    contents: list[Json],
    subscription: Json | None,
    period: tuple[int, int],
) -> Json:
    customer = world.store.living("customer", customer_id, param="customer")
    invoice = invoices.compose(
        world,
        customer,
        contents,
        reason="upcoming",
        subscription=subscription,
        currency=subscription["currency"] if subscription else None,
        period=period,
    )
    invoice["id"] = f"upcoming_{invoice['id']}"
    return invoice
