"""Whether Stripe, the tables and the users service believe the same of every subscription."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import stripe

from sandbox.platform import Platform
from sandbox.users_service import SubscriptionView

# Stripe's words where ours are others.
_STATUSES: Final = {"incomplete_expired": "expired"}
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to know of a subscription."""

    user: str | None
    status: str
    plan: str
    interval: str
    trial_end: datetime | None
    period_end: datetime | None
    cancel_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the tables, and how many messages it has caused."""

    id: str
    version: int
    facts: Facts


async def disagreements(platform: Platform, *, patience: float = 60.0) -> list[str]:
    """What the three differ in, a line for each; what is under way gets so many seconds."""
    deadline = time.monotonic() + patience
    while True:
        found = await _compare(platform)
        if not found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(min(0.5, patience))


async def _compare(platform: Platform) -> list[str]:
    async with _stripe(platform) as client:
        true = await _at_stripe(client)
        paid = await _paid_at_stripe(client)
        # A given database or broker may tell of others, of whom this Stripe knows nothing.
        ours = await _customers(client) | {facts.user for facts in true.values() if facts.user}
    database = await asyncpg.connect(platform.database_url.replace("+asyncpg", ""))
    try:
        rows = await _in_tables(database, list(true), sorted(ours))
        sent = {delivery.event for delivery in platform.stripe.outbox.deliveries}
        found = [*_unfinished(await _counts(database, sent, rows))]
        recorded = await database.fetch(
            "SELECT stripe_invoice_id FROM payments.paid_invoices"
            " WHERE stripe_invoice_id = ANY($1::text[])",
            list(paid),
        )
    finally:
        await database.close()
    told = {row["stripe_invoice_id"] for row in recorded}
    found += [
        f"invoice {id_} is {'paid' if is_paid else 'not paid'} at Stripe, which the tables deny"
        for id_, is_paid in paid.items()
        if is_paid != (id_ in told)
    ]
    views = {
        id_: (user, view)
        for user, seen in platform.users.view.users.items()
        for id_, view in seen.items()
    }
    for ref in sorted(true.keys() | rows.keys()):
        found += _differences(ref, true.get(ref), rows.get(ref), views)
    ids = {row.id for row in rows.values()}
    found += [
        f"the users service has a subscription {id_} of {user}, which nobody else knows"
        for id_, (user, _) in views.items()
        if user in ours and id_ not in ids
    ]
    found += [
        f"the users service refused a message: {letter.reason}"
        for letter in platform.users.dead_letters
        # Whom one is about that says nothing of it, nobody can rule out.
        if (letter.user, letter.subscription) == (None, None)
        or letter.user in ours
        or letter.subscription in ids
    ]
    return found


def _differences(
    ref: str, true: Facts | None, row: Row | None, views: dict[str, tuple[str, SubscriptionView]]
) -> Iterator[str]:
    if true is None or row is None:
        missing = "Stripe" if true is None else "the tables"
        yield f"{ref} is not known to {missing}"
        return
    for field in fields(Facts):
        stripes, ours = getattr(true, field.name), getattr(row.facts, field.name)
        if stripes != ours:
            yield f"{ref}: {field.name} is {stripes} at Stripe and {ours} in the tables"
    user, view = views.get(row.id, (true.user, SubscriptionView()))
    if user != true.user:
        yield f"{ref} is of {true.user} at Stripe and of {user} for the users service"
    if view.version != row.version:
        yield f"{ref}: the tables count {row.version} messages, the users service {view.version}"
    elif row.version:
        believed = (view.status, view.plan, view.interval)
        # Whoever never had access is not told of the plan.
        told_of_the_plan = (view.plan, view.interval) != ("unknown", None)
        sold = (true.plan, true.interval) if told_of_the_plan else ("unknown", None)
        expected = (true.status, *sold)
        if believed != expected:
            yield f"{ref} is {expected} at Stripe and {believed} for the users service"
        yield from _access_differences(ref, true, view)


def _access_differences(ref: str, true: Facts, view: SubscriptionView) -> Iterator[str]:
    """Until when the users service gives access; how long a grace is, Stripe does not know."""
    believed = None if view.access_until is None else datetime.fromisoformat(view.access_until)
    exact = true.ended_at is not None or true.status in ("trialing", "active")
    expected = true.ended_at or true.cancel_at
    if exact and believed != expected:
        yield f"{ref}: access ends {expected} at Stripe and {believed} for the users service"
    if not exact and believed is None:
        yield f"{ref} is {true.status} at Stripe, and for the users service access has no end"


@asynccontextmanager
async def _stripe(platform: Platform) -> AsyncIterator[stripe.StripeClient]:
    stripe.enable_telemetry = False  # it would write a file under the home directory
    transport = stripe.HTTPXClient()
    try:
        yield stripe.StripeClient(
            platform.stripe.api_key,
            base_addresses={"api": platform.stripe.url},
            http_client=transport,
        )
    finally:
        await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK's own


async def _at_stripe(client: stripe.StripeClient) -> dict[str, Facts]:
    listed = await client.v1.subscriptions.list_async({"status": "all", "limit": _PAGE})
    return {found.id: _facts(found.to_dict()) async for found in listed.auto_paging_iter()}


def _facts(found: dict[str, Any]) -> Facts:
    item = found["items"]["data"][0]
    # A trial for which no card was confirmed yet grants nothing.
    unconfirmed = found["status"] == "trialing" and found["pending_setup_intent"]
    status = "incomplete" if unconfirmed else found["status"]
    return Facts(
        user=found["metadata"].get("user_id"),
        status=_STATUSES.get(status, status),
        plan=item["price"]["lookup_key"].rpartition("_")[0],
        interval=item["price"]["recurring"]["interval"],
        trial_end=_moment(found["trial_end"]),
        period_end=_moment(item["current_period_end"]),
        # What has ended is not going to end any more, though Stripe leaves the date there.
        cancel_at=None if found["ended_at"] else _moment(found["cancel_at"]),
        ended_at=_moment(found["ended_at"]),
    )


async def _customers(client: stripe.StripeClient) -> set[str]:
    """The users who have become customers, whether or not they bought anything."""
    listed = await client.v1.customers.list_async({"limit": _PAGE})
    found = [customer.to_dict() async for customer in listed.auto_paging_iter()]
    return {customer["metadata"]["user_id"] for customer in found if customer["metadata"]}


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


async def _paid_at_stripe(client: stripe.StripeClient) -> dict[str, bool]:
    """Every invoice, and whether money was paid for it."""
    listed = await client.v1.invoices.list_async({"limit": _PAGE})
    return {
        str(found.id): found.status == "paid" and found.amount_paid > 0
        async for found in listed.auto_paging_iter()
    }


async def _in_tables(
    database: asyncpg.Connection[Any], refs: list[str], users: list[str]
) -> dict[str, Row]:
    """What there is of these subscriptions and users: a given database may hold others, too."""
    rows = await database.fetch(
        "SELECT * FROM payments.subscriptions"
        " WHERE stripe_subscription_id = ANY($1::text[]) OR user_id = ANY($2::uuid[])",
        refs,
        users,
    )
    return {
        row["stripe_subscription_id"]: Row(
            str(row["id"]),
            row["version"],
            Facts(
                user=str(row["user_id"]),
                status=row["status"],
                plan=row["plan"],
                interval=row["billing_interval"],
                trial_end=row["trial_end_date"],
                period_end=row["current_period_end"],
                cancel_at=row["cancel_at"],
                ended_at=row["end_date"],
            ),
        )
        for row in rows
    }


async def _counts(
    database: asyncpg.Connection[Any], sent: set[str], rows: dict[str, Row]
) -> asyncpg.Record:
    """What is under way or given up of the webhooks that were sent, whatever they are about."""
    counts: asyncpg.Record | None = await database.fetchrow(
        "SELECT count(*) FILTER (WHERE outcome IS NULL) AS waiting,"
        " count(*) FILTER (WHERE outcome = 'dead') AS dead,"
        " (SELECT count(*) FROM payments.outbox_events WHERE published_at IS NULL"
        "  AND subscription_id = ANY($2::uuid[])) AS unpublished"
        " FROM payments.stripe_webhook_events"
        " WHERE NOT processed AND event_id = ANY($1::text[])",
        list(sent),
        [row.id for row in rows.values()],
    )
    assert counts is not None, "an aggregate without groups is one row"
    return counts


def _unfinished(counts: asyncpg.Record) -> Iterator[str]:
    if counts["waiting"]:
        yield f"{counts['waiting']} webhooks are not worked off"
    if counts["dead"]:
        yield f"{counts['dead']} webhooks were given up: `payments events list` says why"
    if counts["unpublished"]:
        yield f"{counts['unpublished']} messages are not published"
