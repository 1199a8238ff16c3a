"""Subscriptions: begun, shown, canceled, paused, resumed.

(Stripe: API reference, Subscriptions) Changing one is `subscription_changes`; what time makes of
one is `billing`.
"""

from __future__ import annotations

from typing import Any, Final

from sandbox.stripe import (
    billing,
    errors,
    events,
    invoice_items,
    invoices,
    lines,
    listing,
    metadata,
    payment_methods,
    periods,
    prices,
    setup_intents,
)
from sandbox.stripe.clock import Seconds
from sandbox.stripe.errors import ApiError, CardError
from sandbox.stripe.periods import DAY
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World

# Stripe allows trials of two years, give or take a day.
_LONGEST_TRIAL: Final = 730


def create(world: World, call: Call) -> Json:
    params = call.params
    if "customer" not in params:
        raise errors.missing_parameter("customer")
    customer = world.store.living("customer", params["customer"], param="customer")
    return start(world, customer, params)


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("subscription", id_)


def list_(world: World, call: Call) -> Json:
    """Those that have not ended, unless a status is asked for."""
    params = call.params
    found = (
        subscription
        for subscription in world.store.all("subscription")
        if listing.matches(subscription, params, "collection_method", "created", "customer")
        and _has_status(subscription, params.get("status"))
        and _has_price(subscription, params.get("price"))
        and params.get("test_clock") in (None, subscription["test_clock"])
    )
    return listing.page(world.store, found, params, "/v1/subscriptions")


def list_items(world: World, call: Call) -> Json:
    id_ = call.params["subscription"]
    subscription = world.store.get("subscription", id_, param="subscription")
    return listing.page(
        world.store, subscription["items"]["data"][::-1], call.params, "/v1/subscription_items"
    )


def cancel(world: World, call: Call, id_: str) -> Json:
    """End a subscription at once."""
    subscription = living(world, id_)
    details = call.params.get("cancellation_details") or {}
    metadata.set_fields(subscription["cancellation_details"], details, "comment", "feedback")
    end(
        world,
        subscription,
        reason="cancellation_requested",
        prorate=call.params.get("prorate", False),
        invoice_now=call.params.get("invoice_now", False),
    )
    return subscription


def pause(world: World, call: Call, id_: str) -> Json:
    """Stop a subscription; the unused rest of its period is credited unless that is not wanted."""
    subscription = living(world, id_)
    if subscription["status"] not in ("active", "past_due", "trialing"):
        raise ApiError(
            f"A subscription with a status of {subscription['status']} cannot be paused."
        )
    bill_for = call.params.get("bill_for") or {}
    if bill_for.get("unused_time_from", {}).get("type", "now") != "none":
        _credit_rest(world, subscription)
    billing.pause(world, subscription, "pause_requested")
    return subscription


def resume(world: World, call: Call, id_: str) -> Json:
    """Go on with a paused subscription: from now on with an invoice, or where its period is."""
    subscription = living(world, id_)
    if subscription["status"] != "paused":
        raise ApiError("You can only resume a paused subscription.")
    now, anchor = world.now(), call.params.get("billing_cycle_anchor", "now")
    if anchor == "unchanged" and billing.period_of(subscription)[1] > now:
        billing.resumed(world, subscription)
        return subscription
    price = subscription["items"]["data"][0]["price"]
    with events.change(world, subscription, "customer.subscription.updated"):
        subscription["billing_cycle_anchor"] = now
        billing.set_period(subscription, now, periods.next_end(now, now, price))
        invoice = _bill_period(world, subscription, "subscription_cycle")
    world.store.note(subscription)["resumption_invoice"] = invoice["id"]
    events.emit(world, "invoice.created", invoice)
    invoices.take_up(world, invoice, subscription)
    invoices.finalize(world, invoice)
    invoices.collect(world, invoice)
    return subscription


def list_of(world: World, customer: Json) -> Json:
    """The subscriptions of a customer, as they are shown with it."""
    data = list(current_of(world, customer))[::-1]
    return listing.whole(data, f"/v1/customers/{customer['id']}/subscriptions")


def current_of(world: World, customer: Json) -> list[Json]:
    """The subscriptions of a customer that have not ended."""
    return [
        subscription
        for subscription in world.store.all("subscription")
        if subscription["customer"] == customer["id"]
        and subscription["status"] not in billing.ENDED
    ]


def living(world: World, id_: str) -> Json:
    """The subscription, which must not have ended: Stripe knows no other one to cancel."""
    subscription = world.store.get("subscription", id_)
    if subscription["status"] in billing.ENDED:
        raise errors.no_such("subscription", id_, in_path=True)
    return subscription


def end(
    world: World,
    subscription: Json,
    *,
    reason: str,
    prorate: bool = False,
    invoice_now: bool = False,
) -> None:
    """End a subscription, with a credit for its unused time or an invoice of what is left."""
    if prorate:
        _credit_rest(world, subscription)
    billing.finish(world, subscription, reason)
    if invoice_now or prorate:
        customer = world.store.get("customer", subscription["customer"])
        taken = list(invoice_items.waiting(world, customer, subscription))
        if invoice_now and taken:
            invoice = invoices.draft(
                world, customer, [], reason="manual", subscription=subscription
            )
            invoices.take_up(world, invoice, subscription)
            events.emit(world, "invoice.created", invoice)
            invoices.finalize(world, invoice)


def start(world: World, customer: Json, params: dict[str, Any], *, present: bool = False) -> Json:
    """Begin a subscription with the parameters of a request.

    `present` says that the card's holder has just agreed to pay, as in Checkout. Raises CardError
    where nothing is to begin without a payment and there is none; then nothing has changed.
    """
    items = _items(world, params)
    method = _default_method(world, customer, params)
    trial_end = _trial_end(world, params)
    behavior = params.get("payment_behavior", "allow_incomplete")
    free = trial_end is not None or not any(i["price"]["unit_amount"] for i in items)
    if not free:
        check_payable(world, method or _customers_method(world, customer), behavior, params)
    subscription = _new(world, customer, params, items, trial_end)
    subscription["default_payment_method"] = method["id"] if method else None
    world.store.add(subscription)
    if free and behavior == "default_incomplete" and _needs_setup(world, subscription):
        intent = setup_intents.new(world, customer, subscription)
        subscription["pending_setup_intent"] = intent["id"]
    invoice = _bill_period(world, subscription, "subscription_create", free=trial_end is not None)
    events.emit(world, "customer.subscription.created", subscription)
    events.emit(world, "invoice.created", invoice)
    invoices.finalize(world, invoice)
    if not free:
        collect_now(world, subscription, invoice, behavior, off_session=not present)
    _watch(world, subscription)
    return subscription


def check_payable(world: World, method: Json | None, behavior: str, params: dict[str, Any]) -> None:
    """Refuse what cannot be paid where nothing may begin or change without a payment."""
    if behavior == "default_incomplete":
        return
    if method is None:
        raise ApiError(
            "This customer has no attached payment source or default payment method. Please "
            "consider adding a default payment method. For more information, visit "
            "https://stripe.com/docs/billing/subscriptions/payment-methods-setting.",
            code="resource_missing",
        )
    if behavior == "error_if_incomplete":
        fate = payment_methods.fate_of_charge(
            world, method, off_session=params.get("off_session", False)
        )
        if fate == "declined":
            raise payment_methods.declined(payment_methods.card_of(world, method))
        if fate == "challenged":
            raise CardError(
                "Payment for this subscription requires additional user action before it can be "
                "completed successfully.",
                code="subscription_payment_intent_requires_action",
            )


def collect_now(
    world: World, subscription: Json, invoice: Json, behavior: str, *, off_session: bool
) -> None:
    """Collect an invoice that has just been finalized, as far as the request has it."""
    method = billing.method_of(world, subscription)
    if behavior == "default_incomplete" or method is None or invoice["status"] != "open":
        return
    try:
        invoices.attempt(world, invoice, method, off_session=off_session)
    except CardError:
        return  # it is incomplete, or past due, and says so


def item_of(world: World, subscription_id: str, given: dict[str, Any], param: str) -> Json:
    """A new item from the parameters of a request, its period yet to be set."""
    price = _price(world, given, param)
    return {
        "id": world.ids.new("subscription_item"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": world.now(),
        "current_period_end": 0,
        "current_period_start": 0,
        "discounts": [],
        "metadata": metadata.new(given),
        "plan": prices.plan_of(price),
        "price": dict(price),
        "quantity": given.get("quantity", 1),
        "subscription": subscription_id,
        "tax_rates": [],
    }


def _price(world: World, given: dict[str, Any], param: str) -> Json:
    named = given.get("price") or given.get("plan")
    if named is None:
        if "price_data" not in given:
            raise errors.missing_parameter(f"{param}[price]")
        return prices.add(world, given["price_data"])
    price = world.store.get("price", named, param=f"{param}[price]")
    if price["type"] != "recurring":
        raise errors.invalid_parameter(
            f"The price specified is set to `type=one_time` but this field only accepts prices "
            f"with `type=recurring`: {named}",
            f"{param}[price]",
        )
    if not price["active"]:
        raise errors.invalid_parameter(
            f"The price specified is inactive. This field only accepts active prices: {named}",
            f"{param}[price]",
        )
    return price


def _items(world: World, params: dict[str, Any]) -> list[Json]:
    if not params.get("items"):
        raise errors.missing_parameter("items")
    items = [
        item_of(world, "", given, f"items[{index}]") for index, given in enumerate(params["items"])
    ]
    if not all(periods.same_interval(items[0]["price"], item["price"]) for item in items):
        raise errors.invalid_parameter(
            "The sandbox plays subscriptions whose prices are billed equally often", "items"
        )
    return items


def _trial_end(world: World, params: dict[str, Any]) -> Seconds | None:
    """The end of the trial asked for, if any."""
    days, moment = params.get("trial_period_days"), params.get("trial_end")
    if days is not None:
        if not 1 <= days <= _LONGEST_TRIAL:
            raise errors.invalid_parameter(
                f"Invalid trial_period_days: must be between 1 and {_LONGEST_TRIAL}",
                "trial_period_days",
            )
        return int(world.now() + days * DAY)
    if moment in (None, "now"):
        return None
    if moment <= world.now():
        raise errors.invalid_parameter(
            "Invalid timestamp: must be an integer Unix timestamp in the future", "trial_end"
        )
    return int(moment)


def _default_method(world: World, customer: Json, params: dict[str, Any]) -> Json | None:
    id_ = params.get("default_payment_method")
    if not id_:
        return None
    return payment_methods.of_customer(world, id_, customer, param="default_payment_method")


def _customers_method(world: World, customer: Json) -> Json | None:
    id_ = customer["invoice_settings"]["default_payment_method"]
    return None if id_ is None else payment_methods.named(world, id_)


def _needs_setup(world: World, subscription: Json) -> bool:
    method = billing.method_of(world, subscription)
    return method is None or payment_methods.fate_of_setup(world, method) != "approved"


def _new(
    world: World,
    customer: Json,
    params: dict[str, Any],
    items: list[Json],
    trial_end: Seconds | None,
) -> Json:
    now, id_ = world.now(), world.ids.new("subscription")
    end_ = trial_end or periods.next_end(now, now, items[0]["price"])
    for item in items:
        item.update(subscription=id_, current_period_start=now, current_period_end=end_)
    at_period_end = params.get("cancel_at_period_end", False)
    cancel_at = end_ if at_period_end else params.get("cancel_at") or None
    return {
        "id": id_,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": trial_end or now,
        "billing_cycle_anchor_config": None,
        "billing_mode": _billing_mode(params),
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": cancel_at,
        "cancel_at_period_end": at_period_end,
        "canceled_at": now if cancel_at else None,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "reason": "cancellation_requested" if cancel_at else None,
        },
        "collection_method": "charge_automatically",
        "created": now,
        "currency": items[0]["price"]["currency"],
        "customer": customer["id"],
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": params.get("description"),
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": listing.whole(items, f"/v1/subscription_items?subscription={id_}"),
        "latest_invoice": None,
        "livemode": False,
        "metadata": metadata.new(params),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
            **params.get("payment_settings", {}),
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        # Undocumented, and there all the same.
        "plan": items[0]["plan"] if len(items) == 1 else None,
        "quantity": items[0]["quantity"] if len(items) == 1 else None,
        "schedule": None,
        "start_date": now,
        "status": "trialing" if trial_end else "incomplete",
        "test_clock": customer["test_clock"],
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": params.get(
            "trial_settings", {"end_behavior": {"missing_payment_method": "create_invoice"}}
        ),
        "trial_start": now if trial_end else None,
    }


def _billing_mode(params: dict[str, Any]) -> Json:
    """Flexible unless classic is asked for. (Stripe: Billing mode)"""
    if params.get("billing_mode", {}).get("type") == "classic":
        return {"flexible": None, "type": "classic"}
    return {"flexible": {"proration_discounts": "included"}, "type": "flexible"}


def _bill_period(world: World, subscription: Json, reason: str, *, free: bool = False) -> Json:
    """The draft for the current period, as the subscription's latest invoice."""
    from_, to = billing.period_of(subscription)
    invoice = invoices.draft(
        world,
        world.store.get("customer", subscription["customer"]),
        [
            lines.for_period(world, subscription, item, from_, to, free=free)
            for item in subscription["items"]["data"]
        ],
        reason=reason,
        subscription=subscription,
    )
    subscription["latest_invoice"] = invoice["id"]
    return invoice


def _watch(world: World, subscription: Json) -> None:
    billing.watch(world, subscription)
    if subscription["status"] == "trialing":
        billing.watch_trial(world, subscription)
    if subscription["status"] == "incomplete":
        world.wake(billing.INCOMPLETE_SECONDS, "expire_incomplete", subscription)


def _credit_rest(world: World, subscription: Json) -> None:
    """Have the unused rest of the period credited on the next invoice."""
    if subscription["status"] == "trialing":
        return
    for item in subscription["items"]["data"]:
        line = lines.prorated(world, subscription, item, world.now(), credit=True)
        invoice_items.from_line(world, subscription, line)


def _has_status(subscription: Json, asked: str | None) -> bool:
    if asked == "all":
        return True
    if asked == "ended":
        return subscription["status"] in billing.ENDED
    if asked is None:
        return bool(subscription["status"] != "canceled")
    return bool(subscription["status"] == asked)


def _has_price(subscription: Json, asked: str | None) -> bool:
    return asked is None or any(
        item["price"]["id"] == asked for item in subscription["items"]["data"]
    )
