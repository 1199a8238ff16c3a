"""The buyer is back before the webhook."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from adapters.postgres.tables import outbox_events, stripe_webhook_events, subscriptions
from tests.api.conftest import MONTHLY, World


async def rows(world: World, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
    async with world.container.engine().connect() as connection:
        found = await connection.execute(sa.select(*(table.c[name] for name in columns)))
        return [tuple(row) for row in found]


@pytest.mark.usefixtures("worker")
async def test_the_purchase_is_there_when_the_sync_returns(world: World) -> None:
    user = world.somebody()
    session = (await user.checkout()).json()["sessionId"]
    world.stripe.complete(session)

    synced = (await user("POST", f"/checkout-sessions/{session}/sync")).json()

    assert (synced["status"], synced["settled"]) == ("complete", True)
    assert (synced["subscription"]["status"], synced["subscription"]["hasAccess"]) == (
        "trialing",
        True,
    )
    assert synced["subscription"]["trialAvailable"] is False
    assert (await user("GET", "/subscription")).json() == synced["subscription"]


@pytest.mark.usefixtures("worker")
async def test_a_page_that_is_still_open_is_only_said_to_be(world: World) -> None:
    user = world.somebody()
    session = (await user.checkout()).json()["sessionId"]

    synced = (await user("POST", f"/checkout-sessions/{session}/sync")).json()

    assert (synced["status"], synced["subscription"]["status"]) == ("open", "none")


@pytest.mark.usefixtures("worker")
async def test_sync_and_webhook_at_once_come_to_the_same(world: World) -> None:
    """Whichever is first, the subscription is activated once."""
    for number in range(1, 51):
        user = world.somebody()
        session = (await user.checkout()).json()["sessionId"]
        bought = world.stripe.complete(session)
        synced, *_ = await asyncio.gather(
            user("POST", f"/checkout-sessions/{session}/sync"),
            world.deliver("customer.subscription.created", bought),
            user("POST", f"/checkout-sessions/{session}/sync"),
        )
        assert synced.json()["subscription"]["status"] == "trialing"
        messages = await rows(world, outbox_events, "type")
        assert messages == [("payments.subscription.activated.v1",)] * number


@pytest.mark.usefixtures("worker")
async def test_a_sync_never_makes_a_real_change_look_stale(world: World) -> None:
    """The clocks of Stripe and of this host may differ: the report is dated by what is known."""
    user = world.somebody()
    session = (await user.checkout()).json()["sessionId"]
    bought = world.stripe.complete(session)
    world.clock.move(hours=1)
    await user("POST", f"/checkout-sessions/{session}/sync")

    later = world.stripe.update_subscription({"cancel_at_period_end": "true"}, bought["id"])
    await world.deliver("customer.subscription.updated", later, created=bought["created"])
    await user("POST", f"/checkout-sessions/{session}/sync")

    assert (await user("GET", "/subscription")).json()["cancelAt"] is not None
    watermarks = await rows(world, subscriptions, "as_of")
    assert [int(as_of.timestamp()) for (as_of,) in watermarks] == [bought["created"]]


@pytest.mark.usefixtures("worker")
async def test_a_sync_finds_what_a_lost_webhook_would_have_told(world: World) -> None:
    user = world.somebody()
    session = (await user.checkout()).json()["sessionId"]
    bought = world.stripe.complete(session)
    begun = bought | {"status": "incomplete", "trial_end": None}
    await world.deliver("customer.subscription.updated", begun, created=bought["created"] + 5)

    synced = (await user("POST", f"/checkout-sessions/{session}/sync")).json()

    assert synced["subscription"]["status"] == "trialing"


@pytest.mark.usefixtures("worker")
async def test_the_same_sync_again_adds_nothing(world: World) -> None:
    user = world.somebody()
    session = (await user.checkout()).json()["sessionId"]
    world.stripe.complete(session)
    for _ in range(4):
        await user("POST", f"/checkout-sessions/{session}/sync")

    assert len(await rows(world, outbox_events, "id")) == 1
    # One for what was new, and one that is dated by what is known since.
    assert len(await rows(world, stripe_webhook_events, "id")) == 2


async def test_the_checkout_of_somebody_else_is_not_there(world: World) -> None:
    session = (await world.somebody().checkout()).json()["sessionId"]

    for asked in (session, "cs_test_unknown"):
        answer = await world.somebody()("POST", f"/checkout-sessions/{asked}/sync")
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:payments:problem:checkout-not-found"


async def test_without_a_worker_it_says_that_it_is_not_settled(world: World) -> None:
    user = world.somebody()
    session = (await user.checkout()).json()["sessionId"]
    world.stripe.complete(session)
    world.container.own_webhooks()._patience = 0.01

    synced = (await user("POST", f"/checkout-sessions/{session}/sync")).json()

    assert (synced["status"], synced["settled"]) == ("complete", False)


async def test_the_report_is_a_webhook_like_any_other(world: World) -> None:
    user = world.somebody()
    session = (await user.checkout(MONTHLY)).json()["sessionId"]
    bought = world.stripe.complete(session)

    report = await world.container.purchases().report(bought["id"], None)

    assert report is not None
    event = msgspec.json.decode(report.payload)
    assert event["type"] == report.event_type == "customer.subscription.created"
    assert event["id"] == report.event_id
    assert event["created"] == bought["created"]
    assert event["data"]["object"]["id"] == report.ordering_key == bought["id"]
