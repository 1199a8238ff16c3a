"""The customer portal: cancel, take it back, change the plan or the card, see invoices."""

from __future__ import annotations

from html import escape
from typing import Any

from sandbox.stripe import (
    billing,
    customers,
    payment_methods,
    setup_intents,
    subscription_changes,
    subscriptions,
)
from sandbox.stripe.errors import ApiError
from sandbox.stripe.forms import Form
from sandbox.stripe.pages.layout import (
    Page,
    card_fields,
    date,
    let_webhooks_arrive,
    money,
    page,
    per,
    problem,
    redirect,
)
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World


async def answer(world: World, id_: str, rest: list[str], form: Form | None) -> Page:
    """Show the portal, or do what was asked for in it."""
    session = world.store.find(id_)
    if session is None or session["object"] != "billing_portal.session":
        return page("Not found", "<p>There is no such session.</p>", status=404)
    customer = world.store.living("customer", session["customer"])
    if form is None:
        return _page(world, session, customer, None)
    with world.working(world.timeline_of(customer["id"])):
        try:
            elsewhere = _do(world, session, customer, "/".join(rest), form)
        except ApiError as error:
            return _page(world, session, customer, error.message)
    await let_webhooks_arrive(world)
    return elsewhere or _completed(world, session)


def _completed(world: World, session: Json) -> Page:
    """Where the customer goes when what they came for is done."""
    flow = _flow(world, session)
    after: Json = flow["after_completion"] if flow else {"type": "portal_homepage"}
    if after["type"] == "redirect":
        return redirect(after["redirect"]["return_url"])
    if after["type"] == "hosted_confirmation":
        words = (after["hosted_confirmation"] or {}).get("custom_message") or "It is done."
        return page("Thank you", f"<p>{escape(words)}</p>{_way_back(session)}")
    world.store.note(session)["flow_done"] = True
    return redirect(session["url"])


def _flow(world: World, session: Json) -> Json | None:
    """The one thing this session is for; None once it is done, or where it is for everything."""
    if world.store.note(session).get("flow_done"):
        return None
    flow: Json | None = session["flow"]
    return flow


def _do(world: World, session: Json, customer: Json, action: str, form: Form) -> Page | None:
    """Do one thing; the answer is where to send the browser, if not back to the portal."""
    features = world.store.get("billing_portal.configuration", session["configuration"])["features"]
    subscription_id = form.get("subscription", "")
    if action == "card" and features["payment_method_update"]["enabled"]:
        return _save_card(world, session, customer, form)
    if subscription_id not in [s["id"] for s in subscriptions.current_of(world, customer)]:
        raise ApiError("This subscription is not yours, or has ended.")
    if action == "cancel" and features["subscription_cancel"]["enabled"]:
        _cancel(world, subscription_id, features["subscription_cancel"])
    elif action == "keep":
        _update(world, subscription_id, {"cancel_at": ""})
    elif action == "plan" and form.get("price") in _offered(features):
        item = world.store.get("subscription", subscription_id)["items"]["data"][0]
        behavior = features["subscription_update"]["proration_behavior"]
        wanted = {"id": item["id"], "price": form["price"]}
        _update(world, subscription_id, {"items": [wanted], "proration_behavior": behavior})
    else:
        raise ApiError("The portal is not configured to offer this.")
    return None


def _cancel(world: World, id_: str, feature: Json) -> None:
    """Cancel at once, or schedule it; with flexible billing the flag is left alone."""
    if feature["mode"] == "immediately":
        subscriptions.cancel(world, Call({}), id_)
        return
    subscription = world.store.get("subscription", id_)
    if subscription["billing_mode"]["type"] == "classic":
        _update(world, id_, {"cancel_at_period_end": True})
    else:
        _update(world, id_, {"cancel_at": billing.period_of(subscription)[1]})


def _update(world: World, id_: str, params: dict[str, Any]) -> None:
    subscription_changes.update(world, Call(params), id_)


def _save_card(world: World, session: Json, customer: Json, form: Form) -> Page | None:
    """Save a card and pay with it from now on."""
    method = payment_methods.from_number(
        world, form.get("card", ""), email=customer["email"], name=customer["name"]
    )
    intent = setup_intents.new(world, customer)
    setup_intents.save(world, intent, method, session["url"])
    if intent["status"] == "requires_action":
        world.store.note(intent)["becomes_default"] = True
        return redirect(f"{world.url}/3d-secure/{intent['id']}")
    use_from_now_on(world, customer, method)
    return None


def use_from_now_on(world: World, customer: Json, method: Json) -> None:
    """Have a customer's invoices and subscriptions paid with this."""
    settings = {"invoice_settings": {"default_payment_method": method["id"]}}
    customers.update(world, Call(settings), customer["id"])
    for subscription in subscriptions.current_of(world, customer):
        _update(world, subscription["id"], {"default_payment_method": method["id"]})


def _offered(features: Json) -> list[str]:
    """The prices that may be changed to."""
    update = features["subscription_update"]
    if not update["enabled"]:
        return []
    return [price for product in update["products"] or () for price in product["prices"]]


def _page(world: World, session: Json, customer: Json, message: str | None) -> Page:
    features = world.store.get("billing_portal.configuration", session["configuration"])["features"]
    flow = _flow(world, session)
    only = None if flow is None else flow["type"]
    parts = [problem(message), f"<p>{escape(customer['email'] or customer['name'] or '')}</p>"]
    parts += [
        _subscription(world, session, subscription, features, only)
        for subscription in subscriptions.current_of(world, customer)
        if flow is None or (flow.get(flow["type"]) or {}).get("subscription") == subscription["id"]
    ]
    if features["payment_method_update"]["enabled"] and only in (None, "payment_method_update"):
        parts.append(_cards(world, session, customer))
    if features["invoice_history"]["enabled"] and only is None:
        parts.append(_invoices(world, customer))
    parts.append(_way_back(session))
    return page("Manage your subscription", "".join(parts), status=402 if message else 200)


def _way_back(session: Json) -> str:
    if not session["return_url"]:
        return ""
    return f'<p><a href="{escape(session["return_url"])}">Return to the shop</a></p>'


def _subscription(
    world: World, session: Json, subscription: Json, features: Json, only: str | None
) -> str:
    price = subscription["items"]["data"][0]["price"]
    name = world.store.get("product", price["product"])["name"]
    ends = subscription["cancel_at"]
    when = f"Ends on {date(ends)}" if ends else f"Renews on {date(_end(subscription))}"
    forms = ""
    if only not in (None, "subscription_cancel"):
        pass
    elif ends:
        forms = _form(session, subscription, "keep", "Don't cancel")
    elif features["subscription_cancel"]["enabled"]:
        forms = _form(session, subscription, "cancel", "Cancel subscription")
    offered = [world.store.get("price", id_) for id_ in _offered(features)]
    if offered and only in (None, "subscription_update"):
        options = "".join(_option(world, other, price) for other in offered)
        choice = (
            f'<label for="price">Plan</label><select id="price" name="price">{options}</select>'
        )
        forms += _form(session, subscription, "plan", "Change plan", choice)
    return (
        f"<section><h2>{escape(name)}</h2><p>{money(price['unit_amount'], price['currency'])}"
        f"{per(price)}, {escape(subscription['status'])}. {when}.</p>{forms}</section>"
    )


def _option(world: World, price: Json, current: Json) -> str:
    name = world.store.get("product", price["product"])["name"]
    selected = " selected" if price["id"] == current["id"] else ""
    label = f"{name}, {money(price['unit_amount'], price['currency'])}{per(price)}"
    return f'<option value="{price["id"]}"{selected}>{escape(label)}</option>'


def _form(session: Json, subscription: Json, action: str, label: str, fields: str = "") -> str:
    return (
        f'<form method="post" action="{session["url"]}/{action}">'
        f'<input type="hidden" name="subscription" value="{subscription["id"]}">'
        f'{fields}<button type="submit">{escape(label)}</button></form>'
    )


def _cards(world: World, session: Json, customer: Json) -> str:
    saved = "".join(
        f"<li>{method['card']['brand']} ending in {method['card']['last4']}</li>"
        for method in payment_methods.of(world, customer)
    )
    return (
        f"<section><h2>Payment method</h2><ul>{saved}</ul>"
        f'<form method="post" action="{session["url"]}/card">{card_fields()}'
        '<button type="submit">Save card</button></form></section>'
    )


def _invoices(world: World, customer: Json) -> str:
    rows = "".join(
        f'<tr><td><a href="/i/{invoice["id"]}">{date(invoice["created"])}</a></td>'
        f"<td>{money(invoice['total'], invoice['currency'])}</td>"
        f"<td>{escape(invoice['status'])}</td></tr>"
        for invoice in list(world.store.all("invoice"))[::-1]
        if invoice["customer"] == customer["id"] and invoice["number"]
    )
    return (
        "<section><h2>Invoices</h2><table><thead><tr><th>Date</th><th>Amount</th><th>Status</th>"
        f"</tr></thead><tbody>{rows}</tbody></table></section>"
    )


def _end(subscription: Json) -> int:
    return billing.period_of(subscription)[1]
