"""The lives of subscriptions: what Stripe sends of them, and what has to come out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import httpx

from sandbox.stripe_stub import StripeStub
from tests.end_to_end.consumer import Inbox
from tests.stripe_payloads import (
    DAY,
    START,
    Payload,
    Shape,
    customer,
    event,
    invoice,
    signed,
    subscription,
)


async def deliver(address: str | None, events: Sequence[Payload]) -> list[dict[str, Any]]:
    """Post these as Stripe does, a few at a time; each must be answered 200."""
    gate = asyncio.Semaphore(16)
    assert address is not None
    async with httpx.AsyncClient(base_url=address, timeout=20) as client:

        async def post(payload: Payload) -> dict[str, Any]:
            request = signed(payload)
            async with gate:
                answer = await client.post(
                    "/api/payments/webhook",
                    content=request.body,
                    headers={"stripe-signature": request.header},
                )
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        return await asyncio.gather(*(post(payload) for payload in events))


def life(ref: str, user: UUID, stripe: StripeStub, shape: Shape = "new") -> list[Payload]:
    """The events of a subscription from its trial to its end, for a customer of its own."""
    cus = f"cus_{ref}"
    stripe.customers[cus] = customer(cus, user_id=user, email=f"{ref}@example.org")
    steps = [
        ("created", "trialing", START),
        ("updated", "active", START + 180 * DAY),
        ("updated", "past_due", START + 210 * DAY),
        ("updated", "active", START + 213 * DAY),
        ("deleted", "canceled", START + 240 * DAY),
    ]
    events = [
        event(
            f"customer.subscription.{kind}",
            subscription(ref, shape=shape, status=status, user_id=user, customer=cus)
            | {"trial_end": START + 180 * DAY},
            created=moment,
            shape=shape,
        )
        for kind, status, moment in steps
    ]
    bill = invoice(f"in_{ref}", shape=shape, subscription=ref, user_id=user, customer=cus)
    return events + [
        event(kind, bill, created=START + 180 * DAY, shape=shape)
        for kind in ("invoice.paid", "invoice.payment_succeeded")
    ]


def assert_whole(events: list[dict[str, Any]]) -> None:
    """Versions without gaps, statuses that follow each other, the end once and last said."""
    assert [int(e["sequence"]) for e in events] == list(range(1, len(events) + 1))
    kinds = [e["type"].split(".")[2] for e in events]
    statuses = [e["data"] for e in events if "newStatus" in e["data"]]
    for before, after in pairwise(statuses):
        assert before["newStatus"] == after["oldStatus"]
    assert kinds.count("canceled") == 1
    assert kinds[kinds.index("canceled") - 1] == "status_changed"
    assert statuses[-1]["newStatus"] == "canceled"
    assert [e["type"] for e in events].count("payments.payment.succeeded.v1") == 1


def is_over(inbox: Inbox, users: set[str], lives: int) -> bool:
    """Whether every subscription was told of to its end, its payment included."""
    found = inbox.events(users).values()
    return len(found) == lives and all(
        {"payments.subscription.canceled.v1", "payments.payment.succeeded.v1"}
        <= {e["type"] for e in events}
        for events in found
    )
