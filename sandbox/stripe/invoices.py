"""Invoices: drafted, finalized, paid or not. (Stripe: API reference, Invoices; Invoice lifecycle)

An invoice tells its subscription what became of it, by way of `billing`.
"""

from __future__ import annotations

from typing import Any, Final

from sandbox.stripe import (
    billing,
    errors,
    events,
    invoice_items,
    invoice_payments,
    lines,
    listing,
    metadata,
    payment_intents,
    payment_methods,
)
from sandbox.stripe.clock import Seconds
from sandbox.stripe.errors import ApiError, CardError
from sandbox.stripe.periods import DAY, HOUR, days
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World

# How long the invoice of a renewal stays a draft before it is finalized and charged.
DRAFT_SECONDS: Final[Seconds] = HOUR


def create(world: World, call: Call) -> Json:
    """An invoice of its own, with what waits for the customer where that is asked for."""
    params = call.params
    if "customer" not in params:
        raise errors.missing_parameter("customer")
    customer = world.store.living("customer", params["customer"], param="customer")
    taken = []
    if params.get("pending_invoice_items_behavior") == "include":
        taken = list(invoice_items.waiting(world, customer, None))
    invoice = draft(
        world,
        customer,
        [lines.for_invoice_item(world, item) for item in taken],
        reason="manual",
        currency=params.get("currency"),
    )
    _take(taken, invoice)
    metadata.set_fields(
        invoice, params, "auto_advance", "collection_method", "default_payment_method",
        "description", "footer",
    )  # fmt: skip
    metadata.update(invoice, params)
    if invoice["collection_method"] == "send_invoice":
        if "days_until_due" not in params:
            raise errors.missing_parameter("days_until_due")
        invoice["due_date"] = world.now() + params["days_until_due"] * DAY
    events.emit(world, "invoice.created", invoice)
    return invoice


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("invoice", id_)


def update(world: World, call: Call, id_: str) -> Json:
    invoice = world.store.get("invoice", id_)
    with events.change(world, invoice, "invoice.updated"):
        metadata.set_fields(
            invoice, call.params, "auto_advance", "default_payment_method", "description", "footer"
        )
        metadata.update(invoice, call.params)
    return invoice


def delete(world: World, call: Call, id_: str) -> Json:
    invoice = _with_status(world, id_, "deleted", "draft")
    if invoice["parent"] is not None:
        raise ApiError("You can't delete invoices created by subscriptions.")
    events.emit(world, "invoice.deleted", invoice)
    return world.store.bury(invoice)


def list_(world: World, call: Call) -> Json:
    subscription = call.params.get("subscription")
    found = (
        invoice
        for invoice in world.store.all("invoice")
        if listing.matches(
            invoice, call.params, "collection_method", "created", "customer", "due_date", "status"
        )
        and subscription in (None, subscription_id(invoice))
    )
    return listing.page(world.store, found, call.params, "/v1/invoices")


def list_lines(world: World, call: Call, id_: str) -> Json:
    data = world.store.get("invoice", id_)["lines"]["data"]
    return listing.page(world.store, data[::-1], call.params, f"/v1/invoices/{id_}/lines")


def finalize_invoice(world: World, call: Call, id_: str) -> Json:
    invoice = _with_status(world, id_, "finalized", "draft")
    if "auto_advance" in call.params:
        invoice["auto_advance"] = call.params["auto_advance"]
    finalize(world, invoice)
    return invoice


def send(world: World, call: Call, id_: str) -> Json:
    invoice = _with_status(world, id_, "sent", "draft", "open")
    if invoice["collection_method"] != "send_invoice":
        raise ApiError(
            "You can only manually send an invoice if its collection method is 'send_invoice'."
        )
    if invoice["status"] == "draft":
        finalize(world, invoice)
    events.emit(world, "invoice.sent", invoice)
    return invoice


def pay(world: World, call: Call, id_: str) -> Json:
    """Pay now. Raises CardError where the bank refuses, or wants the card's holder."""
    invoice = _with_status(world, id_, "paid", "draft", "open", "uncollectible", paying=True)
    params = call.params
    if invoice["status"] == "draft":
        finalize(world, invoice)
    if invoice["status"] == "paid":
        return invoice
    if params.get("paid_out_of_band"):
        settle(world, invoice)
        return invoice
    method = default_method(world, invoice)
    if "payment_method" in params:
        customer = world.store.get("customer", invoice["customer"])
        method = payment_methods.of_customer(
            world, params["payment_method"], customer, param="payment_method"
        )
    if method is None:
        raise no_method(world, invoice)
    attempt(world, invoice, method, off_session=params.get("off_session", True))
    if invoice["status"] != "paid":
        raise needs_action(world, invoice)
    return invoice


def void_invoice(world: World, call: Call, id_: str) -> Json:
    invoice = _with_status(world, id_, "voided", "open", "uncollectible")
    void(world, invoice)
    return invoice


def mark_uncollectible(world: World, call: Call, id_: str) -> Json:
    invoice = _with_status(world, id_, "marked uncollectible", "open")
    write_off(world, invoice)
    return invoice


def confirmation_secret(world: World, invoice: Json) -> Json | None:
    """What a page needs to have the invoice paid."""
    intent = intent_of(world, invoice)
    if intent is None or invoice["status"] != "open":
        return None
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def draft(
    world: World,
    customer: Json,
    contents: list[Json],
    *,
    reason: str,
    subscription: Json | None = None,
    currency: str | None = None,
    period: tuple[Seconds, Seconds] | None = None,
) -> Json:
    """Draw an invoice up and keep it; whoever asked tells of it once it is complete."""
    invoice = compose(
        world,
        customer,
        contents,
        reason=reason,
        subscription=subscription,
        currency=currency,
        period=period,
    )
    return world.store.add(invoice)


def compose(
    world: World,
    customer: Json,
    contents: list[Json],
    *,
    reason: str,
    subscription: Json | None = None,
    currency: str | None = None,
    period: tuple[Seconds, Seconds] | None = None,
) -> Json:
    """Draw an invoice up without keeping it."""
    now = world.now()
    id_ = world.ids.new("invoice")
    for line in contents:
        line["invoice"] = id_
    total = sum(line["amount"] for line in contents)
    amounts = _amounts(total, customer["balance"])
    start, end = period or (now, now)
    return {
        "id": id_,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Sandbox",
        "account_tax_ids": None,
        **amounts,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": reason != "manual",
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": currency or (contents[0]["currency"] if contents else "usd"),
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": listing.whole(contents, f"/v1/invoices/{id_}/lines"),
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": subscription
        and {
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]),
                "subscription": subscription["id"],
            },
            "type": "subscription_details",
        },
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": end,
        "period_start": start,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": customer["balance"],
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "test_clock": customer["test_clock"],
        "total": total,
        "total_discount_amounts": [],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": now,
    }


def take_up(world: World, invoice: Json, subscription: Json) -> None:
    """Put what waits for a subscription's next invoice on this draft, first."""
    customer = world.store.get("customer", invoice["customer"])
    taken = list(invoice_items.waiting(world, customer, subscription))
    added = [lines.for_invoice_item(world, item) for item in taken]
    _take(taken, invoice)
    for line in added:
        line["invoice"] = invoice["id"]
    invoice["lines"]["data"][:0] = added
    total = sum(line["amount"] for line in invoice["lines"]["data"])
    invoice.update(
        subtotal=total,
        subtotal_excluding_tax=total,
        total=total,
        total_excluding_tax=total,
        **_amounts(total, invoice["starting_balance"]),
    )


def finalize(world: World, invoice: Json) -> None:
    """Make a draft due, with a number and something to pay it; nothing due is paid at once."""
    customer = world.store.get("customer", invoice["customer"])
    before = dict(invoice) | {"status_transitions": dict(invoice["status_transitions"])}
    invoice["starting_balance"] = customer["balance"]
    invoice.update(_amounts(invoice["total"], customer["balance"]))
    invoice.update(
        status="open",
        automatically_finalizes_at=None,
        effective_at=world.now(),
        ending_balance=min(invoice["total"] + customer["balance"], 0),
        hosted_invoice_url=f"{world.url}/i/{invoice['id']}",
        invoice_pdf=f"{world.url}/i/{invoice['id']}/pdf",
        number=f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}",
    )
    invoice["status_transitions"]["finalized_at"] = world.now()
    customer["next_invoice_sequence"] += 1
    with events.change(world, customer, "customer.updated"):
        customer["balance"] = invoice["ending_balance"]
        customer["currency"] = customer["currency"] or invoice["currency"]
    events.emit(world, "invoice.finalized", invoice)
    events.emit(world, "invoice.updated", invoice, events.difference(before, invoice))
    if invoice["amount_due"] == 0:
        settle(world, invoice)
        return
    intent = payment_intents.new(
        world,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=customer,
        setup_future_usage="off_session" if invoice["parent"] else None,
        invoice=invoice,
    )
    invoice_payments.add(world, invoice, intent)


def advance(world: World, invoice: Json) -> None:
    """What becomes of a draft when its time has come: it is finalized and charged."""
    if invoice["status"] != "draft" or not invoice["auto_advance"]:
        return
    finalize(world, invoice)
    collect(world, invoice)


def collect(world: World, invoice: Json) -> None:
    """Charge an open invoice by itself, with whatever the customer pays with."""
    if invoice["status"] != "open" or invoice["collection_method"] != "charge_automatically":
        return
    method = default_method(world, invoice)
    if method is None:
        refused(world, invoice)
        return
    try:
        attempt(world, invoice, method, off_session=True)
    except CardError:
        return  # what became of it is recorded, and the next attempt planned


def attempt(world: World, invoice: Json, method: Json, *, off_session: bool) -> None:
    """Try to have an open invoice paid. Raises CardError where the bank refuses."""
    intent = intent_of(world, invoice)
    assert intent is not None, "an open invoice has a payment intent"
    payment_intents.pay(world, intent, method, off_session=off_session)
    if intent["status"] == "requires_action":
        _wait_for_holder(world, invoice)


def paid_by(world: World, invoice: Json, intent: Json) -> None:
    """A payment intent has paid the invoice."""
    payment = invoice_payments.of(world, invoice)
    if payment is not None:
        invoice_payments.paid(world, payment)
    invoice["attempt_count"] += 1
    settle(world, invoice, intent)


def settle(world: World, invoice: Json, intent: Json | None = None) -> None:
    """The invoice is paid, by a payment intent, by credit, or outside of Stripe."""
    with events.change(world, invoice, "invoice.updated"):
        invoice.update(
            status="paid",
            amount_paid=invoice["amount_due"],
            amount_remaining=0,
            attempted=True,
            auto_advance=False,
            next_payment_attempt=None,
        )
        invoice["status_transitions"]["paid_at"] = world.now()
    events.emit(world, "invoice.paid", invoice)
    events.emit(world, "invoice.payment_succeeded", invoice)
    _close_intent(world, invoice, "automatic" if intent is None else None)
    billing.invoice_paid(world, invoice, intent)


def refused(world: World, invoice: Json) -> None:
    """An attempt to have the invoice paid has failed; plan the next one."""
    _record_attempt(world, invoice)
    events.emit(world, "invoice.payment_failed", invoice)
    billing.invoice_refused(world, invoice)


def void(world: World, invoice: Json) -> None:
    """Take an invoice back."""
    with events.change(world, invoice, "invoice.updated"):
        invoice.update(status="void", auto_advance=False, next_payment_attempt=None)
        invoice["status_transitions"]["voided_at"] = world.now()
    events.emit(world, "invoice.voided", invoice)
    _close_intent(world, invoice, "void_invoice")
    _return_credit(world, invoice)
    billing.invoice_voided(world, invoice)


def write_off(world: World, invoice: Json) -> None:
    """Give up hope that an invoice is paid."""
    with events.change(world, invoice, "invoice.updated"):
        invoice.update(status="uncollectible", auto_advance=False, next_payment_attempt=None)
        invoice["status_transitions"]["marked_uncollectible_at"] = world.now()
    events.emit(world, "invoice.marked_uncollectible", invoice)


def stop_collecting(world: World, invoice: Json) -> None:
    """Leave an invoice as it is."""
    with events.change(world, invoice, "invoice.updated"):
        invoice.update(auto_advance=False, next_payment_attempt=None)


def intent_of(world: World, invoice: Json) -> Json | None:
    """The payment intent that is to pay, or has paid, an invoice."""
    payment = invoice_payments.of(world, invoice)
    if payment is None:
        return None
    return world.store.get("payment_intent", payment["payment"]["payment_intent"])


def subscription_id(invoice: Json) -> str | None:
    """The subscription an invoice is for."""
    parent = invoice["parent"]
    return None if parent is None else parent["subscription_details"]["subscription"]


def default_method(world: World, invoice: Json) -> Json | None:
    """What the invoice is paid with: its own method, else its subscription's or customer's."""
    subscription = world.store.find(subscription_id(invoice) or "")
    customer = world.store.get("customer", invoice["customer"])
    candidates: tuple[str | None, ...] = (
        invoice["default_payment_method"],
        subscription["default_payment_method"] if subscription else None,
        customer.get("invoice_settings", {}).get("default_payment_method"),
    )
    for id_ in candidates:
        if id_ is not None:
            return world.store.get("payment_method", id_)
    return None


def needs_action(world: World, invoice: Json) -> CardError:
    """The error of a payment that waits for the card's holder."""
    intent = intent_of(world, invoice)
    return CardError(
        "This payment requires additional user action before it can be completed successfully. "
        "Payment can be completed using the PaymentIntent associated with the invoice. For more "
        "details see: https://stripe.com/docs/billing/subscriptions/overview#requires-action",
        code="invoice_payment_intent_requires_action",
        payment_intent=None if intent is None else dict(intent),
    )


def no_method(world: World, invoice: Json) -> ApiError:
    """The error of a customer that has nothing to pay with."""
    return ApiError(
        "There is no `default_payment_method` set on this Customer or Invoice. Please set a "
        "default payment method.",
        code="invoice_no_payment_method_types",
    )


def retry(world: World, id_: str) -> None:
    """Woken when the next attempt to collect an invoice is due."""
    invoice = world.store.get("invoice", id_)
    due = invoice.get("next_payment_attempt")
    if invoice.get("status") == "open" and due is not None and due <= world.now():
        collect(world, invoice)


def finalize_when_due(world: World, id_: str) -> None:
    """Woken when a draft has been one for long enough."""
    invoice = world.store.get("invoice", id_)
    if not invoice.get("deleted"):
        advance(world, invoice)


def _amounts(total: int, balance: int) -> dict[str, Any]:
    """What is due of a total; a negative balance is the customer's credit."""
    due = max(total + balance, 0)
    return {"amount_due": due, "amount_remaining": due}


def _take(items: list[Json], invoice: Json) -> None:
    for item in items:
        item["invoice"] = invoice["id"]


def _wait_for_holder(world: World, invoice: Json) -> None:
    """The bank wants the card's holder: for whoever is to collect, that is a failed attempt."""
    _record_attempt(world, invoice)
    events.emit(world, "invoice.payment_action_required", invoice)
    events.emit(world, "invoice.payment_failed", invoice)
    billing.invoice_refused(world, invoice)


def _record_attempt(world: World, invoice: Json) -> None:
    with events.change(world, invoice, "invoice.updated"):
        invoice["attempted"] = True
        invoice["attempt_count"] += 1
        wait = _next_wait(world, invoice)
        invoice["next_payment_attempt"] = None if wait is None else world.now() + wait
    if wait is not None:
        world.wake(wait, "retry_invoice", invoice)


def _next_wait(world: World, invoice: Json) -> Seconds | None:
    """How long until the next attempt; None where there is none.

    The first invoice is tried once: it is for the customer to try again.
    """
    attempts, retry_days = invoice["attempt_count"], world.billing.retry_days
    if (
        invoice["billing_reason"] in ("subscription_create", "manual")
        or not invoice["auto_advance"]
    ):
        return None
    return days(retry_days[attempts - 1]) if attempts <= len(retry_days) else None


def _close_intent(world: World, invoice: Json, reason: str | None) -> None:
    """Nothing is to be paid any more by the intent of this invoice."""
    intent, payment = intent_of(world, invoice), invoice_payments.of(world, invoice)
    if reason and intent and payment and intent["status"] not in ("succeeded", "canceled"):
        payment_intents.abandon(world, intent, reason)
        invoice_payments.cancel(world, payment)


def _return_credit(world: World, invoice: Json) -> None:
    """Give the customer's balance back what this invoice took. (Stripe: Customer credit balance)"""
    taken = invoice["starting_balance"] - (invoice["ending_balance"] or 0)
    customer = world.store.get("customer", invoice["customer"])
    if taken and not customer.get("deleted"):
        with events.change(world, customer, "customer.updated"):
            customer["balance"] += taken


def _with_status(world: World, id_: str, verb: str, *allowed: str, paying: bool = False) -> Json:
    invoice = world.store.living("invoice", id_)
    if invoice["status"] in allowed:
        return invoice
    if paying and invoice["status"] == "paid":
        raise ApiError("Invoice is already paid", code="invoice_already_paid")
    raise ApiError(
        f"This invoice can no longer be {verb}: its status is {invoice['status']}.",
        code="invoice_not_editable" if invoice["status"] != "draft" else None,
    )
