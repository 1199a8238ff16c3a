"""Changing a subscription, and what that costs. (Stripe: Modify subscriptions; Prorations)

What a change would be is computed first and told apart from doing it, so that a preview shows
what the change then does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sandbox.stripe import (
    billing,
    errors,
    events,
    invoice_items,
    invoices,
    lines,
    metadata,
    payment_methods,
    periods,
    prices,
    subscriptions,
)
from sandbox.stripe.clock import Seconds
from sandbox.stripe.errors import ApiError
from sandbox.stripe.store import Json, copy_of
from sandbox.stripe.world import Call, World

# What may be changed of a subscription that has ended.
_OF_ENDED: Final = frozenset({"cancellation_details", "expand", "metadata"})
# What may wait for a payment. (Stripe: Pending updates)
_PENDABLE: Final = frozenset(
    {"expand", "items", "payment_behavior", "proration_behavior", "proration_date", "trial_end"}
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a request makes of a subscription's items and periods.

    `prorations` are the lines for the rest of the period; with `restarts` a new period begins
    now, and is billed now.
    """

    items: list[Json]
    prorations: list[Json]
    restarts: bool
    trial_end: Seconds | None
    start: Seconds
    end: Seconds
    # Whether the prorations, or the new period, are billed at once.
    billed_now: bool

    def lines(self, world: World, subscription: Json) -> list[Json]:
        """The lines that are billed at once."""
        if not self.billed_now:
            return []
        if not self.restarts:
            return list(self.prorations)
        free = self.trial_end is not None
        return [
            *self.prorations,
            *(
                lines.for_period(world, subscription, item, self.start, self.end, free=free)
                for item in self.items
            ),
        ]


def update(world: World, call: Call, id_: str) -> Json:
    subscription, params = world.store.get("subscription", id_), call.params
    if subscription["status"] in billing.ENDED:
        _update_ended(world, subscription, params)
        return subscription
    behavior = params.get("payment_behavior", "allow_incomplete")
    change = plan(world, subscription, params)
    contents = change.lines(world, subscription)
    method = _method(world, subscription, params)
    if sum(line["amount"] for line in contents) > 0:
        if behavior == "pending_if_incomplete":
            _only_pendable(params)
            if _fate(world, method, params) != "approved":
                return _hold(world, subscription, change, contents, params)
        elif behavior == "error_if_incomplete":
            subscriptions.check_payable(world, method, behavior, params)
    before = subscription["trial_end"]
    invoice = None
    with events.change(world, subscription, "customer.subscription.updated"):
        _set_fields(world, subscription, params, method)
        invoice = _apply(world, subscription, change, contents)
        _schedule_end(world, subscription, params)
    _watch(world, subscription, before, params)
    if invoice is not None:
        _settle(world, subscription, invoice, behavior, params)
    return subscription


def plan(world: World, subscription: Json, params: dict[str, Any]) -> Change:
    """What a request would make of a subscription, without doing it."""
    now = world.now()
    start, end = billing.period_of(subscription)
    at = params.get("proration_date", now)
    if not start <= at <= max(end, now):
        raise errors.invalid_parameter(
            "Invalid proration_date: it must be within the current period", "proration_date"
        )
    before = subscription["items"]["data"]
    after = _items(world, subscription, params.get("items", []))
    trialing = subscription["status"] == "trialing"
    trial_end = _trial_end(world, subscription, params)
    # A trial goes on whatever is to be paid for after it.
    reprices = not periods.same_interval(before[0]["price"], after[0]["price"])
    restarts = trial_end != (subscription["trial_end"] if trialing else None) or (
        reprices and not trial_end
    )
    behavior = params.get("proration_behavior", "create_prorations")
    prorated = behavior != "none" and not trialing and subscription["status"] != "paused"
    if restarts:
        start = now
        end = trial_end or periods.next_end(now, now, after[0]["price"])
    prorations = (
        _prorations(world, subscription, before, after, at, restarts=restarts) if prorated else []
    )
    for item in after:
        item["current_period_start"], item["current_period_end"] = start, end
    return Change(
        items=after,
        prorations=prorations,
        restarts=restarts,
        trial_end=trial_end,
        start=start,
        end=end,
        billed_now=restarts or behavior == "always_invoice",
    )


def apply_pending(world: World, subscription: Json) -> None:
    """Do what has waited for a payment that has now been made."""
    note = world.store.note(subscription)
    # What it was prorated from has been billed, and may lie in the period before by now.
    params = {**note.pop("pending_params"), "proration_date": world.now()}
    change = plan(world, subscription, params)
    note.pop("pending_invoice")
    with events.change(world, subscription, "customer.subscription.updated"):
        subscription["pending_update"] = None
        _set_items(subscription, change)
    events.emit(world, "customer.subscription.pending_update_applied", subscription)
    billing.watch(world, subscription)


def discard_pending(world: World, subscription: Json) -> None:
    """Give up what has waited for a payment that will not be made."""
    note = world.store.note(subscription)
    note.pop("pending_params")
    note.pop("pending_invoice")
    with events.change(world, subscription, "customer.subscription.updated"):
        subscription["pending_update"] = None


def expire_pending(world: World, id_: str) -> None:
    """Woken when a change has waited for its payment too long."""
    subscription = world.store.get("subscription", id_)
    pending = subscription["pending_update"]
    if pending is None or pending["expires_at"] > world.now():
        return
    note = world.store.note(subscription)
    note.pop("pending_params")
    invoice = world.store.get("invoice", note.pop("pending_invoice"))
    subscription["pending_update"] = None
    events.emit(world, "customer.subscription.pending_update_expired", subscription)
    if invoice["status"] == "open":
        invoices.void(world, invoice)


def _items(world: World, subscription: Json, given: list[dict[str, Any]]) -> list[Json]:
    """The items as they are to be."""
    items: list[Json] = copy_of(subscription["items"]["data"])
    by_id = {item["id"]: item for item in items}
    for index, wanted in enumerate(given):
        path = f"items[{index}]"
        if "id" not in wanted:
            items.append(subscriptions.item_of(world, subscription["id"], wanted, path))
            continue
        item = by_id.get(wanted["id"])
        if item is None:
            raise errors.no_such("subscription item", wanted["id"], param=f"{path}[id]")
        if wanted.get("deleted"):
            items.remove(item)
            continue
        if "price" in wanted or "plan" in wanted or "price_data" in wanted:
            new = subscriptions.item_of(world, subscription["id"], wanted, path)
            item.update(price=new["price"], plan=prices.plan_of(new["price"]))
        item["quantity"] = wanted.get("quantity", item["quantity"])
        metadata.update(item, wanted)
    if not items:
        raise errors.invalid_parameter("A subscription must have an item", "items")
    if not all(periods.same_interval(items[0]["price"], item["price"]) for item in items):
        raise errors.invalid_parameter(
            "The sandbox plays subscriptions whose prices are billed equally often", "items"
        )
    return items


def _trial_end(world: World, subscription: Json, params: dict[str, Any]) -> Seconds | None:
    """When the trial ends after the change; None where there is none any more."""
    wanted = params.get("trial_end")
    if wanted is None:
        return subscription["trial_end"] if subscription["status"] == "trialing" else None
    if wanted == "now":
        return None
    if wanted <= world.now():
        raise errors.invalid_parameter(
            "Invalid timestamp: must be an integer Unix timestamp in the future", "trial_end"
        )
    return int(wanted)


def _prorations(
    world: World,
    subscription: Json,
    before: list[Json],
    after: list[Json],
    at: Seconds,
    *,
    restarts: bool,
) -> list[Json]:
    """Credit what is no longer used, charge what is used instead; credits first, item by item."""
    new = {item["id"]: item for item in after}
    found = []
    for old in before:
        item = new.pop(old["id"], None)
        if not restarts and item and _costs(item) == _costs(old):
            continue
        found.append(lines.prorated(world, subscription, old, at, credit=True))
        if item and not restarts:
            found.append(_charge(world, subscription, item, old, at))
    if not restarts:
        found += [_charge(world, subscription, item, before[0], at) for item in new.values()]
    return found


def _charge(world: World, subscription: Json, item: Json, period_of: Json, at: Seconds) -> Json:
    names = ("current_period_start", "current_period_end")
    shown = item | {name: period_of[name] for name in names}
    return lines.prorated(world, subscription, shown, at, credit=False)


def _costs(item: Json) -> tuple[str, int]:
    return item["price"]["id"], item["quantity"]


def _set_fields(
    world: World, subscription: Json, params: dict[str, Any], method: Json | None
) -> None:
    metadata.update(subscription, params)
    metadata.set_fields(subscription, params, "description", "trial_settings")
    if "payment_settings" in params:
        subscription["payment_settings"].update(params["payment_settings"])
    if "default_payment_method" in params:
        subscription["default_payment_method"] = method and method["id"]
    details = params.get("cancellation_details") or {}
    metadata.set_fields(subscription["cancellation_details"], details, "comment", "feedback")
    if "pause_collection" in params:
        wanted = params["pause_collection"]
        subscription["pause_collection"] = (
            {"behavior": wanted["behavior"], "resumes_at": wanted.get("resumes_at")}
            if wanted
            else None
        )


def _apply(world: World, subscription: Json, change: Change, contents: list[Json]) -> Json | None:
    """Do the change. Answers the draft of what is billed at once, if anything is."""
    started = change.restarts and subscription["status"] == "trialing" and not change.trial_end
    _set_items(subscription, change)
    if not change.billed_now:
        for line in change.prorations:
            invoice_items.from_line(world, subscription, line)
        return None
    if started and billing.method_of(world, subscription) is None and _pauses(subscription):
        return None
    # A trial that begins is billed only for what it ends.
    if not contents or (change.restarts and change.trial_end and not change.prorations):
        return None
    invoice = _draft(world, subscription, contents)
    invoices.take_up(world, invoice, subscription)
    subscription["latest_invoice"] = invoice["id"]
    return invoice


def _set_items(subscription: Json, change: Change) -> None:
    subscription["items"]["data"] = change.items
    single = change.items[0] if len(change.items) == 1 else None
    subscription["plan"] = single and single["plan"]
    subscription["quantity"] = single and single["quantity"]
    if not change.restarts:
        return
    trialing = subscription["status"] == "trialing"
    subscription["billing_cycle_anchor"] = change.trial_end or change.start
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = change.end
    if change.trial_end:
        subscription["trial_start"] = subscription["trial_start"] or change.start
        subscription["trial_end"] = change.trial_end
        subscription["status"] = "trialing"
    elif trialing:
        subscription["trial_end"] = change.start
        subscription["status"] = "active"


def _pauses(subscription: Json) -> bool:
    end = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    return bool(end in ("pause", "cancel"))


def _schedule_end(world: World, subscription: Json, params: dict[str, Any]) -> None:
    """Schedule a cancellation, or take it back."""
    if "cancel_at_period_end" in params:
        wanted = params["cancel_at_period_end"]
        subscription["cancel_at_period_end"] = wanted
        subscription["cancel_at"] = billing.period_of(subscription)[1] if wanted else None
    elif "cancel_at" in params:
        wanted = params["cancel_at"]
        if wanted in ("min_period_end", "max_period_end", "max_billed_until"):
            wanted = billing.period_of(subscription)[1]
        subscription["cancel_at"] = wanted or None
        subscription["cancel_at_period_end"] = False
    else:
        return
    scheduled = subscription["cancel_at"] is not None
    subscription["canceled_at"] = world.now() if scheduled else None
    subscription["cancellation_details"]["reason"] = "cancellation_requested" if scheduled else None


def _watch(
    world: World, subscription: Json, trial_end: Seconds | None, params: dict[str, Any]
) -> None:
    """Set the timers that a change asks for, and tell what it makes true at once."""
    billing.watch(world, subscription)
    paused = subscription["pause_collection"]
    if "pause_collection" in params and paused and paused["resumes_at"]:
        world.wake_at(paused["resumes_at"], "resume_collection", subscription)
    if "trial_end" not in params:
        return
    if subscription["status"] == "trialing":
        billing.watch_trial(world, subscription)
    elif trial_end is not None:
        events.emit(world, "customer.subscription.trial_will_end", subscription)
        if billing.method_of(world, subscription) is None and _pauses(subscription):
            end = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
            if end == "cancel":
                billing.finish(world, subscription, None)
            else:
                billing.pause(world, subscription, "trial_end_without_payment_method")


def _settle(
    world: World, subscription: Json, invoice: Json, behavior: str, params: dict[str, Any]
) -> None:
    """Finalize and collect what a change costs at once."""
    events.emit(world, "invoice.created", invoice)
    invoices.finalize(world, invoice)
    if behavior == "default_incomplete" and invoice["status"] == "open":
        with events.change(world, subscription, "customer.subscription.updated"):
            subscription["status"] = "past_due"
    elif billing.method_of(world, subscription) is None:
        invoices.collect(world, invoice)
    else:
        off_session = params.get("off_session", False)
        subscriptions.collect_now(world, subscription, invoice, behavior, off_session=off_session)


def _hold(
    world: World,
    subscription: Json,
    change: Change,
    contents: list[Json],
    params: dict[str, Any],
) -> Json:
    """Have a change wait for its payment. (Stripe: Pending updates)"""
    expires_at = world.now() + billing.INCOMPLETE_SECONDS
    invoice = _draft(world, subscription, contents)
    note = world.store.note(subscription)
    note["pending_invoice"] = invoice["id"]
    note["pending_params"] = {
        name: value for name, value in params.items() if name not in ("expand", "payment_behavior")
    } | {"proration_behavior": "none"}
    with events.change(world, subscription, "customer.subscription.updated"):
        subscription["latest_invoice"] = invoice["id"]
        subscription["pending_update"] = {
            "billing_cycle_anchor": change.start if change.restarts else None,
            "expires_at": expires_at,
            "subscription_items": copy_of(change.items),
            "trial_end": change.trial_end,
            "trial_from_plan": None,
        }
    world.wake_at(expires_at, "expire_pending_update", subscription)
    events.emit(world, "invoice.created", invoice)
    invoices.finalize(world, invoice)
    subscriptions.collect_now(
        world, subscription, invoice, "", off_session=params.get("off_session", False)
    )
    return subscription


def _draft(world: World, subscription: Json, contents: list[Json]) -> Json:
    return invoices.draft(
        world,
        world.store.get("customer", subscription["customer"]),
        contents,
        reason="subscription_update",
        subscription=subscription,
    )


def _method(world: World, subscription: Json, params: dict[str, Any]) -> Json | None:
    """What the subscription is paid with after the change."""
    given = params.get("default_payment_method")
    if not given:
        return billing.method_of(world, subscription)
    customer = world.store.get("customer", subscription["customer"])
    return payment_methods.of_customer(world, given, customer, param="default_payment_method")


def _fate(world: World, method: Json | None, params: dict[str, Any]) -> str:
    if method is None:
        return "declined"
    return payment_methods.fate_of_charge(
        world, method, off_session=params.get("off_session", False)
    )


def _only_pendable(params: dict[str, Any]) -> None:
    for name in params:
        if name not in _PENDABLE:
            raise ApiError(
                "When `payment_behavior` is set to `pending_if_incomplete`, you can only pass "
                f"supported params. `{name}` is not supported.",
                param=name,
            )


def _update_ended(world: World, subscription: Json, params: dict[str, Any]) -> None:
    if set(params) - _OF_ENDED:
        raise ApiError(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    with events.change(world, subscription, "customer.subscription.updated"):
        metadata.update(subscription, params)
        details = params.get("cancellation_details") or {}
        metadata.set_fields(subscription["cancellation_details"], details, "comment", "feedback")
