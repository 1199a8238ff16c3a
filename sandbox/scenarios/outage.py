"""The broker is lost and comes back, then the database: nothing is lost with them."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import asyncpg

from sandbox.scenarios.browser import Failed
from sandbox.scenarios.buyer import Buyer
from sandbox.scenarios.stage import Stage

_PATIENCE: Final = 30.0  # seconds


async def outage(stage: Stage) -> None:
    """Raises Failed where it goes another way."""
    platform = stage.platform
    database, broker = platform.database_line, platform.broker_line
    assert database is not None, "the scenario asks for a database that can be lost"
    assert broker is not None, "and for a broker that can be"
    before = await stage.buyer()
    await before.subscribe("general_monthly")
    await before.becomes("trialing", access=True)

    stage.timeline.tell("sandbox", "the broker is lost")
    with broker.cut():
        meanwhile = await stage.buyer()
        await meanwhile.subscribe("event_organizer_monthly")
        await _shown(meanwhile, "trialing")
        await stage.let_pass(days=181)
        await _shown(before, "active")
        if any(delivery.state != "delivered" for delivery in platform.stripe.outbox.deliveries):
            raise Failed("a webhook was refused only because the broker is away")
        if stage.told_of(meanwhile) or await _unpublished(stage) == 0:
            raise Failed("messages came through a broker that is away")
        stage.timeline.tell("sandbox", f"{await _unpublished(stage)} messages wait")
    stage.timeline.tell("sandbox", "the broker is back")
    await meanwhile.becomes("active", access=True)
    await before.becomes("active", access=True)

    portal = await before.open_portal()
    stage.timeline.tell("sandbox", "the database is lost")
    with database.cut():
        before.does("cancels in the portal")
        await before.browser.submit(portal, action="/cancel")
        refused = [d for d in platform.stripe.outbox.deliveries if d.state != "delivered"]
        if not refused or any((d.state, d.answer) != ("waiting", "503") for d in refused):
            raise Failed(f"without a database webhooks should be answered 503, not {refused}")
        stage.timeline.tell("sandbox", f"{len(refused)} webhooks were answered 503 and come again")
        await _unavailable(before)
    stage.timeline.tell("sandbox", "the database is back")
    await stage.let_pass(hours=1)
    await stage.until_told(before, "subscription.cancellation_scheduled")
    await stage.let_pass(days=31)
    await before.becomes("canceled", access=False)
    await meanwhile.becomes("active", access=True)


async def _unavailable(buyer: Buyer) -> None:
    try:
        shown = await buyer.call("GET", "subscription")
    except Failed as error:
        if " 503: " not in str(error):
            raise
    else:
        raise Failed(f"the service shows {shown} without a database")


async def _shown(buyer: Buyer, status: str) -> None:
    """Wait until the service shows this status; nobody else can tell of it meanwhile."""
    deadline = time.monotonic() + _PATIENCE
    while (shown := await buyer.call("GET", "subscription"))["status"] != status:
        if time.monotonic() > deadline:
            raise Failed(f"after {_PATIENCE:.0f} s the service shows {shown}, not {status}")
        # With the broker away there is no message to wait for, only the answer to ask for again.
        await asyncio.sleep(0.5)
    buyer.does(f"is {status} by the service's own record")


async def _unpublished(stage: Stage) -> int:
    database = await asyncpg.connect(stage.platform.database_url.replace("+asyncpg", ""))
    try:
        count: int = await database.fetchval(
            "SELECT count(*) FROM payments.outbox_events o JOIN payments.subscriptions s"
            " ON s.id = o.subscription_id"
            " WHERE o.published_at IS NULL AND s.user_id = ANY($1::uuid[])",
            [buyer.id for buyer in stage.buyers],
        )
        return count
    finally:
        await database.close()
