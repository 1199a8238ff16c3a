"""Stripe's objects and events as plain dictionaries, in both generations of their shape.

`shape="new"` has the billing period on the items and an invoice's subscription under `parent`
(since 2025-03-31.basil); `shape="old"` is what endpoints pinned to an older version still send.
Keywords that are not named in a signature replace top-level fields, None included.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID, uuid4

from stripe import WebhookSignature

Shape = Literal["new", "old"]
Payload = dict[str, Any]

SECRET: Final = "whsec_for_tests"
USER: Final = UUID("00000000-0000-4000-8000-00000000a11c")
DAY: Final = 86_400
# 2026-01-01T00:00:00Z, when everything here begins unless it is said otherwise.
START: Final = 1_767_225_600
API_VERSIONS: Final[dict[Shape, str]] = {"new": "2026-10-28.endive", "old": "2020-03-02"}
INTERVALS: Final = {"month": 30 * DAY, "year": 365 * DAY}


class Signed(NamedTuple):
    """A request as Stripe sends it: the raw body and the value of Stripe-Signature."""

    body: bytes
    header: str


def at(seconds: int) -> datetime:
    """Unix seconds as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)


_AMOUNTS = {
    "general_annual": 10_000,
    "event_organizer_monthly": 1500,
    "event_organizer_annual": 15_000,
}


def price(
    lookup_key: str | None = "general_monthly",
    *,
    id: str | None = None,
    interval: str | None = None,
    product: str = "prod_1",
    **more: Any,
) -> Payload:
    """A recurring price; its id and interval follow from the lookup key unless given."""
    annual = lookup_key is not None and lookup_key.endswith("_annual")
    return {
        "id": id or f"price_{lookup_key or 'foreign'}",
        "object": "price",
        "active": True,
        "currency": "usd",
        "lookup_key": lookup_key,
        "product": product,
        "recurring": {"interval": interval or ("year" if annual else "month"), "interval_count": 1},
        "type": "recurring",
        "unit_amount": _AMOUNTS.get(lookup_key or "", 1000),
        **more,
    }


def plan_of(price: Payload) -> Payload:
    """A price as it was called before there were prices."""
    return {
        "id": price["id"],
        "object": "plan",
        "amount": price["unit_amount"],
        "currency": price["currency"],
        "interval": price["recurring"]["interval"],
        "product": price["product"],
    }


def subscription(
    id: str = "sub_1",
    *,
    shape: Shape = "new",
    status: str = "active",
    user_id: UUID | str | None = USER,
    customer: Any = "cus_1",
    lookup_key: str | None = "general_monthly",
    prices: Sequence[Payload] | None = None,
    created: int = START,
    period: tuple[int, int] | None = None,
    **more: Any,
) -> Payload:
    """A subscription to the price with `lookup_key`, or to `prices`.

    A trialing one has a trial of 180 days from `created`, an ended one has `ended_at`.
    """
    prices = [price(lookup_key)] if prices is None else prices
    trial_end = created + 180 * DAY if status == "trialing" else None
    interval = prices[0]["recurring"]["interval"] if prices else "month"
    start, end = period or (created, trial_end or created + INTERVALS.get(interval, DAY))
    items = [_item(index, sold, shape, start, end) for index, sold in enumerate(prices)]
    found: Payload = {
        "id": id,
        "object": "subscription",
        "status": status,
        "customer": customer,
        "metadata": _metadata(user_id),
        "items": {"object": "list", "data": items, "has_more": False},
        "created": created,
        "start_date": created,
        "billing_cycle_anchor": created,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "ended_at": end if status in ("canceled", "incomplete_expired") else None,
        "trial_start": created if trial_end else None,
        "trial_end": trial_end,
        "pause_collection": None,
        "pending_setup_intent": None,
        "latest_invoice": "in_1",
        "currency": "usd",
        "livemode": False,
    }
    if shape == "old":
        found |= {
            "current_period_start": start,
            "current_period_end": end,
            "plan": plan_of(prices[0]) if len(prices) == 1 else None,
            "quantity": 1,
        }
    return found | more


def invoice(
    id: str = "in_1",
    *,
    shape: Shape = "new",
    subscription: Any = "sub_1",
    user_id: UUID | str | None = USER,
    customer: Any = "cus_1",
    lookup_key: str | None = "general_monthly",
    amount: int = 1000,
    paid: bool = True,
    created: int = START,
    **more: Any,
) -> Payload:
    """An invoice over one period of a subscription, or of none where `subscription` is None."""
    sold = price(lookup_key)
    line: Payload = {"id": "il_1", "object": "line_item", "amount": amount, "currency": "usd"}
    found: Payload = {
        "id": id,
        "object": "invoice",
        "customer": customer,
        "customer_email": "alice@example.com",
        "currency": "usd",
        "amount_due": amount,
        "amount_paid": amount if paid else 0,
        "amount_remaining": 0 if paid else amount,
        "attempt_count": 1,
        "attempted": True,
        "billing_reason": "subscription_cycle" if subscription else "manual",
        "created": created,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{id}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/{id}/pdf",
        "lines": {"object": "list", "data": [line], "has_more": False},
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None if paid else created + 3 * DAY,
        "status": "paid" if paid else "open",
        "total": amount,
    }
    details = {"metadata": _metadata(user_id)}
    if shape == "old":
        line |= {"price": sold, "plan": plan_of(sold), "subscription": subscription}
        found |= {"subscription": subscription, "subscription_details": details, "paid": paid}
    else:
        line["pricing"] = {
            "type": "price_details",
            "price_details": {"price": sold["id"], "product": sold["product"]},
        }
        found["parent"] = subscription and {
            "type": "subscription_details",
            "subscription_details": {"subscription": subscription, **details},
        }
    return found | more


def customer(
    id: str = "cus_1",
    *,
    user_id: UUID | str | None = USER,
    email: str | None = "alice@example.com",
    name: str | None = "Alice",
    created: int = START,
    **more: Any,
) -> Payload:
    """A customer; both generations look alike."""
    return {
        "id": id,
        "object": "customer",
        "created": created,
        "email": email,
        "name": name,
        "metadata": _metadata(user_id),
        "livemode": False,
        "delinquent": False,
        **more,
    }


def deleted(id: str = "cus_1", kind: str = "customer") -> Payload:
    """What is left of a deleted object."""
    return {"id": id, "object": kind, "deleted": True}


def checkout_session(
    id: str = "cs_test_1",
    *,
    user_id: UUID | str | None = USER,
    customer: Any = "cus_1",
    subscription: Any = "sub_1",
    status: str = "complete",
    **more: Any,
) -> Payload:
    """A Checkout session; both generations look alike in what matters here."""
    return {
        "id": id,
        "object": "checkout.session",
        "mode": "subscription",
        "customer": customer,
        "subscription": subscription if status == "complete" else None,
        "metadata": _metadata(user_id),
        "client_reference_id": None if user_id is None else str(user_id),
        "payment_status": "no_payment_required" if status == "complete" else "unpaid",
        "status": status,
        "livemode": False,
        **more,
    }


def event(
    type: str,
    object: Payload,
    *,
    id: str | None = None,
    created: int = START,
    livemode: bool = False,
    shape: Shape = "new",
    **more: Any,
) -> Payload:
    """An event about an object, with an id of its own unless one is given."""
    return {
        "id": id or f"evt_{uuid4().hex[:24]}",
        "object": "event",
        "api_version": API_VERSIONS[shape],
        "created": created,
        "data": {"object": object},
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
        **more,
    }


def encode(payload: object) -> bytes:
    """A body as Stripe writes it: indented JSON."""
    return json.dumps(payload, indent=2).encode()


def signed(payload: object, *, secret: str = SECRET, timestamp: int | None = None) -> Signed:
    """The request that delivers this payload, or these very bytes; signed now unless told when."""
    body = payload if isinstance(payload, bytes) else encode(payload)
    return Signed(body, signature(body, secret=secret, timestamp=timestamp))


def signature(body: bytes, *, secret: str = SECRET, timestamp: int | None = None) -> str:
    """The header by which Stripe signs this body, made by its own SDK."""
    stamp = int(time.time()) if timestamp is None else timestamp
    return str(WebhookSignature.generate_signature_header(body.decode(), secret, stamp))


def _item(index: int, sold: Payload, shape: Shape, start: int, end: int) -> Payload:
    item = {"id": f"si_{index + 1}", "object": "subscription_item", "price": sold, "quantity": 1}
    if shape == "old":
        return item | {"plan": plan_of(sold)}
    return item | {"current_period_start": start, "current_period_end": end}


def _metadata(user_id: UUID | str | None) -> dict[str, str]:
    return {} if user_id is None else {"user_id": str(user_id)}
