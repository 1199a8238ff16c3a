"""What time and payments make of a subscription: trial, renewal, dunning, end.

(Stripe: How subscriptions work; Subscription statuses; Smart Retries)

A function that is woken by a timer looks first whether there is still something to do.
"""

from __future__ import annotations

from typing import Final

from sandbox.stripe import (
    events,
    invoices,
    lines,
    payment_methods,
    periods,
    subscription_changes,
)
from sandbox.stripe.clock import Seconds
from sandbox.stripe.periods import DAY, HOUR
from sandbox.stripe.store import Json
from sandbox.stripe.world import World

ENDED: Final = ("canceled", "incomplete_expired")
# The notice comes three days before a trial ends. (Stripe: Trials)
NOTICE_SECONDS: Final[Seconds] = 3 * DAY
# Stripe's default for how long before a renewal its invoice is announced.
# (Stripe: Settings / Billing, Upcoming renewal events)
UPCOMING_SECONDS: Final[Seconds] = 7 * DAY
# How long a first payment, or a change that waits for one, may take.
INCOMPLETE_SECONDS: Final[Seconds] = 23 * HOUR


def period_of(subscription: Json) -> tuple[Seconds, Seconds]:
    """The current period; the items of a subscription share it."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def set_period(subscription: Json, start: Seconds, end: Seconds) -> None:
    for item in subscription["items"]["data"]:
        item["current_period_start"], item["current_period_end"] = start, end
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = end


def watch(world: World, subscription: Json) -> None:
    """Set the timers of the period that has just begun, or has just been changed."""
    end = period_of(subscription)[1]
    if end - UPCOMING_SECONDS > world.now():
        world.wake_at(end - UPCOMING_SECONDS, "announce_invoice", subscription)
    world.wake_at(end, "turn_period", subscription)
    if subscription["cancel_at"] is not None:
        world.wake_at(subscription["cancel_at"], "cancel_subscription", subscription)


def watch_trial(world: World, subscription: Json) -> None:
    """Give notice of a trial's end in time; at once where it is nearer than that."""
    notice = subscription["trial_end"] - NOTICE_SECONDS
    if notice > world.now():
        world.wake_at(notice, "give_trial_notice", subscription)
    else:
        events.emit(world, "customer.subscription.trial_will_end", subscription)


def give_trial_notice(world: World, id_: str) -> None:
    """Woken three days before a trial ends."""
    subscription = world.store.get("subscription", id_)
    if (
        subscription["status"] == "trialing"
        and subscription["trial_end"] - NOTICE_SECONDS == world.now()
    ):
        events.emit(world, "customer.subscription.trial_will_end", subscription)


def turn_period(world: World, id_: str) -> None:
    """Woken at the end of a period: the subscription ends, pauses, or goes on into the next."""
    subscription = world.store.get("subscription", id_)
    if subscription["status"] in (*ENDED, "incomplete", "paused"):
        return
    end = period_of(subscription)[1]
    if end != world.now():
        return
    if subscription["cancel_at"] is not None and subscription["cancel_at"] <= end:
        finish(world, subscription, "cancellation_requested")
    elif subscription["status"] == "trialing" and method_of(world, subscription) is None:
        _end_unpaid_trial(world, subscription)
    else:
        renew(world, subscription)


def renew(world: World, subscription: Json) -> Json:
    """Begin the next period where the last one ended. Answers its invoice, a draft for an hour."""
    _, start = period_of(subscription)
    with events.change(world, subscription, "customer.subscription.updated"):
        invoice = _next_invoice(world, subscription, start)
        if subscription["status"] == "trialing":
            subscription["status"] = "active"
        subscription["latest_invoice"] = invoice["id"]
    events.emit(world, "invoice.created", invoice)
    watch(world, subscription)
    _plan_collection(world, subscription, invoice)
    return invoice


def finish(world: World, subscription: Json, reason: str | None) -> None:
    """End a subscription for good."""
    now = world.now()
    subscription["status"] = "canceled"
    subscription["ended_at"] = now
    subscription["canceled_at"] = subscription["canceled_at"] or now
    subscription["cancellation_details"]["reason"] = reason
    subscription["pause_collection"] = None
    subscription["pending_update"] = None
    events.emit(world, "customer.subscription.deleted", subscription)
    for invoice in _open_invoices(world, subscription):
        if invoice["billing_reason"] == "subscription_create":
            invoices.void(world, invoice)
        else:
            invoices.stop_collecting(world, invoice)


def pause(world: World, subscription: Json, why: str) -> None:
    """Stop a subscription until it is resumed; `why` is one of Stripe's reasons."""
    with events.change(world, subscription, "customer.subscription.updated"):
        subscription["status"] = "paused"
        subscription["status_details"] = {
            "paused": {
                "subscription": {"type": why},
                "transitioned_at": world.now(),
                "type": "subscription",
            }
        }
    events.emit(world, "customer.subscription.paused", subscription)


def resumed(world: World, subscription: Json) -> None:
    """A paused subscription goes on."""
    with events.change(world, subscription, "customer.subscription.updated"):
        subscription["status"] = "active"
        subscription.pop("status_details", None)
    events.emit(world, "customer.subscription.resumed", subscription)
    watch(world, subscription)


def cancel_when_due(world: World, id_: str) -> None:
    """Woken at the moment for which a cancellation was scheduled."""
    subscription = world.store.get("subscription", id_)
    if subscription["status"] not in ENDED and subscription["cancel_at"] == world.now():
        finish(world, subscription, "cancellation_requested")


def expire_incomplete(world: World, id_: str) -> None:
    """Woken when a first payment has taken too long."""
    subscription = world.store.get("subscription", id_)
    if subscription["status"] != "incomplete":
        return
    _expire(world, subscription)
    for invoice in _open_invoices(world, subscription):
        invoices.void(world, invoice)


def resume_collection(world: World, id_: str) -> None:
    """Woken when the pause of a subscription's collection is over."""
    subscription = world.store.get("subscription", id_)
    paused = subscription["pause_collection"]
    if paused and paused["resumes_at"] == world.now():
        with events.change(world, subscription, "customer.subscription.updated"):
            subscription["pause_collection"] = None


def invoice_paid(world: World, invoice: Json, intent: Json | None) -> None:
    """An invoice of a subscription, or none's, has been paid."""
    subscription = _subscription_of(world, invoice)
    if subscription is None or subscription["status"] in ENDED:
        return
    note = world.store.note(subscription)
    if note.get("pending_invoice") == invoice["id"]:
        subscription_changes.apply_pending(world, subscription)
    if subscription["status"] == "paused" and note.get("resumption_invoice") == invoice["id"]:
        resumed(world, subscription)
    with events.change(world, subscription, "customer.subscription.updated"):
        if intent is not None and _saves_method(subscription):
            subscription["default_payment_method"] = intent["payment_method"]
        if (
            subscription["status"] in ("incomplete", "past_due", "unpaid")
            and subscription["latest_invoice"] == invoice["id"]
        ):
            subscription["status"] = "active"


def invoice_voided(world: World, invoice: Json) -> None:
    """An invoice was taken back: what has waited for its payment will not be.

    (Stripe: Invoice lifecycle, void; Pending updates)
    """
    subscription = _subscription_of(world, invoice)
    if subscription is None or subscription["status"] in ENDED:
        return
    if world.store.note(subscription).get("pending_invoice") == invoice["id"]:
        subscription_changes.discard_pending(world, subscription)
    elif subscription["status"] == "incomplete" and subscription["latest_invoice"] == invoice["id"]:
        _expire(world, subscription)


def invoice_refused(world: World, invoice: Json) -> None:
    """An attempt to have an invoice paid has failed: dunning goes on, or comes to its end."""
    subscription = _subscription_of(world, invoice)
    if subscription is None or subscription["status"] not in ("active", "past_due", "trialing"):
        return
    if world.store.note(subscription).get("pending_invoice") == invoice["id"]:
        return
    exhausted = invoice["next_payment_attempt"] is None
    if exhausted and world.billing.finally_ == "canceled":
        finish(world, subscription, "payment_failed")
        return
    with events.change(world, subscription, "customer.subscription.updated"):
        unpaid = exhausted and world.billing.finally_ == "unpaid"
        subscription["status"] = "unpaid" if unpaid else "past_due"
    if exhausted:
        invoices.stop_collecting(world, invoice)


def method_of(world: World, subscription: Json) -> Json | None:
    """What a subscription is paid with: its own method, else its customer's."""
    customer = world.store.get("customer", subscription["customer"])
    settings = customer.get("invoice_settings") or {}
    id_ = subscription["default_payment_method"] or settings.get("default_payment_method")
    return None if id_ is None else payment_methods.named(world, id_)


def _expire(world: World, subscription: Json) -> None:
    with events.change(world, subscription, "customer.subscription.updated"):
        subscription["status"] = "incomplete_expired"
        subscription["ended_at"] = world.now()


def _end_unpaid_trial(world: World, subscription: Json) -> None:
    """A trial is over and there is nothing to pay with."""
    match subscription["trial_settings"]["end_behavior"]["missing_payment_method"]:
        case "cancel":
            finish(world, subscription, None)
        case "pause":
            pause(world, subscription, "trial_end_without_payment_method")
        case _:
            renew(world, subscription)


def _next_invoice(world: World, subscription: Json, start: Seconds) -> Json:
    """The draft for the period that begins at `start`, with what has waited for it."""
    before = period_of(subscription)
    items = subscription["items"]["data"]
    end = periods.next_end(subscription["billing_cycle_anchor"], start, items[0]["price"])
    set_period(subscription, start, end)
    contents = [
        lines.for_period(world, subscription, item, start, end, free=False) for item in items
    ]
    customer = world.store.get("customer", subscription["customer"])
    invoice = invoices.draft(
        world,
        customer,
        contents,
        reason="subscription_cycle",
        subscription=subscription,
        period=before,
    )
    invoices.take_up(world, invoice, subscription)
    invoice["automatically_finalizes_at"] = world.now() + invoices.DRAFT_SECONDS
    return invoice


def _plan_collection(world: World, subscription: Json, invoice: Json) -> None:
    """Have a renewal's invoice collected, unless collection is paused or given up."""
    paused = subscription["pause_collection"]
    if paused is None and subscription["status"] != "unpaid":
        world.wake(invoices.DRAFT_SECONDS, "finalize_invoice", invoice)
        return
    with events.change(world, invoice, "invoice.updated"):
        invoice.update(auto_advance=False, automatically_finalizes_at=None)
    if paused and paused["behavior"] != "keep_as_draft":
        invoices.finalize(world, invoice)
        if invoice["status"] == "open":
            close = invoices.void if paused["behavior"] == "void" else invoices.write_off
            close(world, invoice)


def _open_invoices(world: World, subscription: Json) -> list[Json]:
    return [
        invoice
        for invoice in world.store.all("invoice")
        if invoice["status"] in ("draft", "open")
        and invoices.subscription_id(invoice) == subscription["id"]
    ]


def _saves_method(subscription: Json) -> bool:
    settings = subscription["payment_settings"] or {}
    return bool(settings.get("save_default_payment_method") == "on_subscription")


def _subscription_of(world: World, invoice: Json) -> Json | None:
    id_ = invoices.subscription_id(invoice)
    return None if id_ is None else world.store.find(id_)
