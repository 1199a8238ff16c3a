"""The service with everything around it, as fixtures to import, and subscriptions to live in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.databases import as_role
from tests.end_to_end.consumer import PATIENCE, Inbox, consuming
from tests.end_to_end.processes import run
from tests.stripe_payloads import (
    DAY,
    SECRET,
    START,
    Payload,
    Shape,
    customer,
    event,
    invoice,
    price,
    signed,
    subscription,
)
from tests.stripe_stand_in import StripeStandIn, run_stripe_stand_in

__all__ = ["environment", "inbox", "stripe"]


@pytest.fixture
def stripe() -> Iterator[StripeStandIn]:
    """Give a Stripe that sells our plans and knows the customers it is told of."""
    with run_stripe_stand_in() as stand_in:
        for plan in ("general", "event_organizer"):
            for period in ("monthly", "annual"):
                stand_in.prices.append(price(f"{plan}_{period}", product=f"prod_{plan}"))
        yield stand_in


@pytest.fixture
async def environment(
    database_url: str, service_role: str, rabbitmq_url: str, stripe: StripeStandIn
) -> dict[str, str]:
    """The environment of the service, on a migrated database of which it owns nothing."""
    owner = {"DATABASE_URL": database_url}
    status, output = await run(owner, "migrate", "--grant-to", service_role)
    assert status == 0, output
    return {
        "DATABASE_URL": as_role(database_url, service_role),
        "RABBITMQ_URL": rabbitmq_url,
        "STRIPE_SECRET_KEY": "sk_test_51abc",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_51abc",
        "STRIPE_WEBHOOK_SECRET": f"whsec_the_one_rolled_out,{SECRET}",
        "STRIPE_API_BASE": stripe.url,
        "JWT_SECRET": "a secret that is long enough for the tests",
        "JWT_ISSUER": "https://identity.example",
        "JWT_AUDIENCE": "payments",
        "ALLOWED_REDIRECT_ORIGINS": "https://app.example.com",
    }


@pytest.fixture
async def inbox(rabbitmq_url: str, unique_name: str) -> AsyncIterator[Inbox]:
    async with consuming(rabbitmq_url, unique_name) as found:
        yield found


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


def life(ref: str, user: UUID, stripe: StripeStandIn, shape: Shape = "new") -> list[Payload]:
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


async def all_published(database_url: str, ref: str | None = None) -> set[str]:
    """The ids of all messages, or of this subscription's, once nothing is left to do for them.

    Fails where a webhook was given up. The tables are another process's: there is no event to
    wait on.
    """
    database = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(PATIENCE):
            while left := await database.fetch(_LEFT, ref):
                assert not any(row["dead"] for row in left), left
                await asyncio.sleep(0.05)
        rows = await database.fetch(
            "SELECT id FROM payments.outbox_events WHERE $1::text IS NULL OR ordering_key = $1", ref
        )
    finally:
        await database.close()
    return {str(row["id"]) for row in rows}


# What is not done with, and why.
_LEFT = """
    SELECT ordering_key, event_type AS what, error_message AS why, outcome IS NOT NULL AS dead
    FROM payments.stripe_webhook_events
    WHERE NOT processed AND ($1::text IS NULL OR ordering_key = $1)
    UNION ALL
    SELECT ordering_key, type, NULL, false
    FROM payments.outbox_events
    WHERE published_at IS NULL AND ($1::text IS NULL OR ordering_key = $1)
"""
