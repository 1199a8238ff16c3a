"""The page of a Checkout session."""

from __future__ import annotations

from html import escape

from sandbox.stripe import checkout_sessions, payment_methods
from sandbox.stripe.errors import CardError
from sandbox.stripe.forms import Form
from sandbox.stripe.pages.layout import (
    Page,
    card_fields,
    let_webhooks_arrive,
    money,
    page,
    per,
    problem,
    redirect,
)
from sandbox.stripe.store import Json
from sandbox.stripe.world import World

_PLACEHOLDER = "{CHECKOUT_SESSION_ID}"


async def answer(world: World, id_: str, form: Form | None) -> Page:
    """Show the page, or take what was filled in."""
    session = world.store.find(id_)
    if session is None or session["object"] != "checkout.session":
        return page("Not found", "<p>There is no such Checkout session.</p>", status=404)
    if session["status"] == "expired":
        return page("Session expired", "<p>Go back and start again.</p>", status=410)
    if session["status"] == "complete":
        return page("Complete", "<p>This has been paid for. You may close this page.</p>")
    if form is None:
        return _page(world, session, None)
    with world.working(world.timeline_of(id_, session["customer"])):
        try:
            fate = _submit(world, session, form)
        except CardError as error:
            return _page(world, session, error.message)
    if fate == "challenged":
        return redirect(f"{world.url}/3d-secure/{id_}")
    return await finished(world, session)


async def finished(world: World, session: Json) -> Page:
    """Send the buyer back, once the webhooks have been received."""
    await let_webhooks_arrive(world)
    return redirect(session["success_url"].replace(_PLACEHOLDER, session["id"]))


def refused(world: World, session: Json) -> Page:
    """Show the page again after the bank was not satisfied."""
    return _page(
        world,
        session,
        "We are unable to authenticate your payment method. Please choose a different payment "
        "method and try again.",
    )


def _submit(world: World, session: Json, form: Form) -> str:
    name, email = form.get("name") or None, form.get("email") or None
    number = form.get("card", "")
    method = None
    if number or checkout_sessions.needs_card(session):
        method = payment_methods.from_number(world, number, email=email, name=name)
    return checkout_sessions.submit(world, session, method, name=name, email=email)


def _page(world: World, session: Json, message: str | None) -> Page:
    items = world.store.note(session)["line_items"]
    bought = "".join(
        f"<li>{escape(item['description'])}: "
        f"{money(item['amount_total'], item['currency'])}{per(item['price'])}</li>"
        for item in items
    )
    trial = world.store.note(session)["subscription_data"].get("trial_period_days")
    due = money(session["amount_total"] or 0, session["currency"] or "usd")
    terms = f"<p><strong>{trial} days free</strong>, then as above.</p>" if trial else ""
    email = (session["customer_details"] or {}).get("email") or ""
    fixed = " readonly" if session["customer"] and email else ""
    card = card_fields() if checkout_sessions.needs_card(session) else ""
    verb = {"payment": "Pay", "setup": "Save card"}.get(
        session["mode"], "Start trial" if trial else "Subscribe"
    )
    back = session["cancel_url"]
    link = f'<p><a href="{escape(back)}">Cancel and go back</a></p>' if back else ""
    return page(
        "Checkout",
        f"{problem(message)}<ul>{bought}</ul>{terms}<p>Due today: <strong>{due}</strong></p>"
        # Not where it is shown: that may be the page of the bank that has refused.
        f'<form method="post" action="/c/pay/{session["id"]}"><label for="email">Email</label>'
        f'<input id="email" name="email" type="email" required value="{escape(email)}"{fixed}>'
        '<label for="name">Name on card</label><input id="name" name="name">'
        f'{card}<button type="submit">{verb}</button></form>{link}',
        status=402 if message else 200,
    )
