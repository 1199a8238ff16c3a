"""Checkout sessions: what is bought on a page of Stripe's. (Stripe: API reference, Checkout)

What is bought comes to be when the buyer has finished, and not before.
"""

from __future__ import annotations

from typing import Any, Final

from sandbox.stripe import (
    customers,
    errors,
    events,
    listing,
    metadata,
    payment_intents,
    payment_methods,
    prices,
    setup_intents,
    subscriptions,
)
from sandbox.stripe.cards import Fate
from sandbox.stripe.clock import Seconds
from sandbox.stripe.errors import ApiError
from sandbox.stripe.periods import DAY, HOUR
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World

# How long a session lives: a day unless it is told to live shorter, half an hour at least.
LIFETIME: Final[Seconds] = DAY
SHORTEST: Final[Seconds] = HOUR // 2


def create(world: World, call: Call) -> Json:
    params = call.params
    mode = params.get("mode", "payment")
    _check(world, params, mode)
    customer = None
    if "customer" in params:
        customer = world.store.living("customer", params["customer"], param="customer")
    items = [_item(world, given, n) for n, given in enumerate(params.get("line_items", []))]
    _check_items(items, mode)
    id_ = world.ids.new("checkout.session")
    trial = mode == "subscription" and _trials(params.get("subscription_data", {}))
    total = 0 if trial else sum(item["amount_total"] for item in items)
    email = params.get("customer_email")
    session = world.store.add(
        {
            "id": id_,
            "object": "checkout.session",
            "adaptive_pricing": None,
            "after_expiration": None,
            "allow_promotion_codes": params.get("allow_promotion_codes"),
            "amount_subtotal": None if mode == "setup" else total,
            "amount_total": None if mode == "setup" else total,
            "automatic_tax": {
                "enabled": False,
                "liability": None,
                "provider": None,
                "status": None,
            },
            "billing_address_collection": params.get("billing_address_collection"),
            "cancel_url": params.get("cancel_url"),
            "client_reference_id": params.get("client_reference_id"),
            "client_secret": None,
            "collected_information": None,
            "consent": None,
            "consent_collection": None,
            "created": world.now(),
            "currency": items[0]["currency"] if items else params.get("currency"),
            "currency_conversion": None,
            "custom_fields": [],
            "custom_text": dict.fromkeys(
                ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
            ),
            "customer": customer["id"] if customer else None,
            "customer_account": None,
            "customer_creation": None if customer else params.get("customer_creation", "always"),
            "customer_details": _details(customer, email),
            "customer_email": email,
            "discounts": [],
            "expires_at": params.get("expires_at", world.now() + LIFETIME),
            "invoice": None,
            "invoice_creation": None,
            "livemode": False,
            "locale": params.get("locale"),
            "metadata": metadata.new(params),
            "mode": mode,
            "origin_context": None,
            "payment_intent": None,
            "payment_link": None,
            "payment_method_collection": params.get("payment_method_collection", "always"),
            "payment_method_configuration_details": None,
            "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
            "payment_method_types": ["card"],
            "payment_status": "no_payment_required" if mode == "setup" or trial else "unpaid",
            "permissions": None,
            "phone_number_collection": {"enabled": False},
            "recovered_from": None,
            "saved_payment_method_options": None,
            "setup_intent": None,
            "shipping_address_collection": None,
            "shipping_cost": None,
            "shipping_options": [],
            "status": "open",
            "submit_type": params.get("submit_type"),
            "subscription": None,
            "success_url": params["success_url"],
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            "ui_mode": "hosted_page",
            "url": f"{world.url}/c/pay/{id_}",
            "wallet_options": None,
        }
    )
    world.store.note(session).update(
        line_items=items, subscription_data=params.get("subscription_data", {})
    )
    world.wake_at(session["expires_at"], "expire_checkout", session)
    return session


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("checkout.session", id_)


def list_(world: World, call: Call) -> Json:
    params = call.params
    found = (
        session
        for session in world.store.all("checkout.session")
        if listing.matches(
            session, params, "created", "customer", "payment_intent", "status", "subscription"
        )
    )
    return listing.page(world.store, found, params, "/v1/checkout/sessions")


def list_line_items(world: World, call: Call, id_: str) -> Json:
    items = world.store.note(world.store.get("checkout.session", id_))["line_items"]
    return listing.page(
        world.store, items[::-1], call.params, f"/v1/checkout/sessions/{id_}/line_items"
    )


def expire(world: World, call: Call, id_: str) -> Json:
    session = world.store.get("checkout.session", id_)
    if session["status"] != "open":
        raise ApiError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{session['status']}`."
        )
    _expire(world, session)
    return session


def confirm(world: World, call: Call, id_: str) -> Json:
    """What the page does when the buyer pays; undocumented, and used by Stripe's own CLI."""
    session = world.store.get("checkout.session", id_)
    if session["status"] != "open":
        raise ApiError("This Checkout Session is no longer open.")
    if "payment_method" not in call.params:
        raise errors.missing_parameter("payment_method")
    method = payment_methods.named(world, call.params["payment_method"])
    submit(world, session, method, name=None, email=method["billing_details"]["email"])
    return session


def line_items(world: World, session: Json) -> Json:
    """What is bought, as it is shown with a session."""
    items: list[Json] = world.store.note(session)["line_items"]
    return listing.whole(items, f"/v1/checkout/sessions/{session['id']}/line_items")


def submit(
    world: World, session: Json, method: Json | None, *, name: str | None, email: str | None
) -> Fate:
    """The buyer pays. Raises CardError where the card is declined; then they may try again.

    The answer is what has become of it; a card that is challenged goes on in `answer_challenge`.
    """
    note = world.store.note(session)
    note["buyer"] = {"name": name, "email": email or session["customer_email"]}
    if method is None:
        _complete(world, session, None)
        return "approved"
    fate = (
        payment_methods.fate_of_setup(world, method)
        if session["payment_status"] == "no_payment_required"
        else payment_methods.fate_of_charge(world, method, off_session=False)
    )
    if fate == "declined":
        raise payment_methods.declined(payment_methods.card_of(world, method))
    note["method"] = method["id"]
    if fate == "approved":
        _complete(world, session, method)
    return fate


def answer_challenge(world: World, session: Json, *, passed: bool) -> None:
    """Go on once the buyer has answered the bank; if they refused, they may try again."""
    method = world.store.get("payment_method", world.store.note(session).pop("method"))
    if passed:
        payment_methods.vouch(world, method)
        _complete(world, session, method)


def needs_card(session: Json) -> bool:
    """Whether the buyer must give a card."""
    free = session["payment_status"] == "no_payment_required" and session["mode"] != "setup"
    return not (free and session["payment_method_collection"] == "if_required")


def expire_when_due(world: World, id_: str) -> None:
    """Woken when a session's time is over."""
    session = world.store.get("checkout.session", id_)
    if session["status"] == "open":
        _expire(world, session)


def _check(world: World, params: dict[str, Any], mode: str) -> None:
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise errors.invalid_parameter("The sandbox plays ui_mode=hosted_page only", "ui_mode")
    if "success_url" not in params:
        raise errors.missing_parameter("success_url")
    for name in ("success_url", "cancel_url"):
        if name in params:
            errors.check_url(params[name], name)
    if "customer" in params and "customer_email" in params:
        raise errors.invalid_parameter(
            "You may only specify one of these parameters: customer, customer_email.", "customer"
        )
    expires_at = params.get("expires_at", world.now() + LIFETIME)
    if not world.now() + SHORTEST <= expires_at <= world.now() + LIFETIME:
        raise errors.invalid_parameter(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout "
            "Session creation.",
            "expires_at",
        )
    if "subscription_data" in params and mode != "subscription":
        raise errors.invalid_parameter(
            "You can not pass `subscription_data` in `payment` mode.", "subscription_data"
        )
    if mode != "setup" and not params.get("line_items"):
        raise errors.missing_parameter("line_items")


def _check_items(items: list[Json], mode: str) -> None:
    recurring = [item["price"]["type"] == "recurring" for item in items]
    if mode == "subscription" and not any(recurring):
        raise errors.invalid_parameter(
            "You must provide at least one recurring price in `subscription` mode when using "
            "prices.",
            "line_items",
        )
    if mode == "subscription" and not all(recurring):
        raise errors.invalid_parameter(
            "The sandbox plays recurring prices only in `subscription` mode", "line_items"
        )
    if mode == "payment" and any(recurring):
        raise errors.invalid_parameter(
            "You specified `payment` mode but passed a recurring price. Either switch to "
            "`subscription` mode or use only one-time prices.",
            "line_items",
        )


def _item(world: World, given: dict[str, Any], number: int) -> Json:
    path = f"line_items[{number}]"
    if "price" in given:
        price = world.store.get("price", given["price"], param=f"{path}[price]")
    elif "price_data" in given:
        price = prices.add(world, given["price_data"])
    else:
        raise errors.missing_parameter(f"{path}[price]")
    if not price["active"]:
        raise errors.invalid_parameter(
            "The price specified is inactive. This field only accepts active prices: "
            f"{price['id']}",
            f"{path}[price]",
        )
    if "quantity" not in given:
        raise errors.missing_parameter(f"{path}[quantity]")
    amount = price["unit_amount"] * given["quantity"]
    return {
        "id": world.ids.new("item"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": world.store.get("product", price["product"])["name"],
        "metadata": {},
        "price": dict(price),
        "quantity": given["quantity"],
    }


def _trials(subscription_data: dict[str, Any]) -> bool:
    return "trial_period_days" in subscription_data or "trial_end" in subscription_data


def _details(customer: Json | None, email: str | None) -> Json | None:
    if customer is None and email is None:
        return None
    return {
        "address": customer["address"] if customer else None,
        "business_name": None,
        "email": customer["email"] if customer else email,
        "individual_name": None,
        "name": customer["name"] if customer else None,
        "phone": customer["phone"] if customer else None,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _complete(world: World, session: Json, method: Json | None) -> None:
    customer = _customer(world, session)
    if method is not None:
        payment_methods.authenticated(world, method)
        if customer is not None:
            payment_methods.attach_to(world, method["id"], customer)
    _BUYING[session["mode"]](world, session, customer, method)
    session.update(status="complete", url=None)
    buyer = world.store.note(session)["buyer"]
    session["customer_details"] = _details(customer, buyer["email"])
    session["customer_details"] = session["customer_details"] and {
        **session["customer_details"],
        "email": buyer["email"] or session["customer_details"]["email"],
        "name": buyer["name"] or session["customer_details"]["name"],
    }
    events.emit(world, "checkout.session.completed", session)


def _customer(world: World, session: Json) -> Json | None:
    """The customer who buys; a new one where the session has none and wants one."""
    if session["customer"] is not None:
        return world.store.living("customer", session["customer"])
    if session["mode"] == "payment" and session["customer_creation"] == "if_required":
        return None
    buyer = world.store.note(session)["buyer"]
    given = {name: value for name, value in buyer.items() if value}
    customer = customers.create(world, Call(given))
    session["customer"] = customer["id"]
    return customer


def _subscribe(world: World, session: Json, customer: Json | None, method: Json | None) -> None:
    assert customer is not None, "only a payment may do without a customer"
    note = world.store.note(session)
    items = [
        {"price": item["price"]["id"], "quantity": item["quantity"]} for item in note["line_items"]
    ]
    params = {**note["subscription_data"], "items": items}
    if method is not None:
        params["default_payment_method"] = method["id"]
    subscription = subscriptions.start(world, customer, params, present=True)
    session["subscription"] = subscription["id"]
    session["invoice"] = subscription["latest_invoice"]
    if session["payment_status"] == "unpaid":
        session["payment_status"] = "paid"


def _pay(world: World, session: Json, customer: Json | None, method: Json | None) -> None:
    assert method is not None, "a payment needs a card"
    intent = payment_intents.new(
        world,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=customer,
    )
    session["payment_intent"] = intent["id"]
    payment_intents.pay(world, intent, method, off_session=False)
    session["payment_status"] = "paid"


def _save(world: World, session: Json, customer: Json | None, method: Json | None) -> None:
    assert method is not None, "there is a card to be saved"
    intent = setup_intents.new(world, customer)
    session["setup_intent"] = intent["id"]
    setup_intents.save(world, intent, method)


_BUYING = {"subscription": _subscribe, "payment": _pay, "setup": _save}


def _expire(world: World, session: Json) -> None:
    session.update(status="expired", url=None)
    events.emit(world, "checkout.session.expired", session)
