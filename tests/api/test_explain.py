"""`payments explain`: one timeline of what happened, what is waited for, and nobody's email."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from adapters.postgres.tables import outbox_events
from service import cli, logs
from service.explain import Explanation, Kind
from tests.api.conftest import Somebody, World
from tests.stripe_payloads import invoice


async def explain(world: World, name: object) -> Explanation:
    found = await world.container.explain()(str(name))
    assert found is not None, f"nothing is known of {name}"
    return found


async def the_reference(user: Somebody, world: World) -> str:
    async with world.container.unit_of_work() as uow:
        (subscription,) = await uow.subscriptions.of_user(user.id)
    return subscription.subscription_ref


async def publish(world: World) -> None:
    """Mark every message as published."""
    async with world.container.engine().begin() as connection:
        await connection.execute(sa.update(outbox_events).values(published_at=datetime.now(UTC)))


async def test_all_names_of_a_subscription_lead_to_the_same_story(world: World) -> None:
    user = await world.subscribed(trial=True)
    await world.subscribed(trial=True)  # somebody else
    reference = await the_reference(user, world)
    by_reference = await explain(world, reference)
    (state,) = by_reference.subscriptions
    assert (state.reference, state.user_id, state.status) == (reference, user.id, "trialing")
    assert state.has_access

    for name in (state.id, user.id, state.customer):
        assert await explain(world, name) == by_reference


async def test_the_timeline_goes_from_the_webhook_to_the_published_message(world: World) -> None:
    user = await world.subscribed(trial=True)
    reference = await the_reference(user, world)
    await publish(world)

    found = await explain(world, reference)

    assert [entry.kind for entry in found.timeline][:1] == [Kind.RECEIVED]
    assert {entry.kind for entry in found.timeline} == {
        Kind.RECEIVED,
        Kind.PROCESSED,
        Kind.WRITTEN,
        Kind.PUBLISHED,
    }
    moments = [entry.at for entry in found.timeline]
    assert moments == sorted(moments)
    (processed,) = [entry for entry in found.timeline if entry.kind is Kind.PROCESSED]
    assert processed.detail == "applied"
    (written,) = [entry for entry in found.timeline if entry.kind is Kind.WRITTEN]
    assert (written.about, written.type) == ("#1", "payments.subscription.activated.v1")
    assert written.detail is not None
    assert "status trialing" in written.detail
    assert found.waiting == []


async def test_a_transition_says_from_what_to_what(world: World) -> None:
    user = await world.subscribed()
    reference = await the_reference(user, world)
    bought = world.stripe.get_subscription({}, reference)
    await world.deliver(
        "customer.subscription.updated",
        bought | {"status": "past_due"},
        created=world.clock.seconds() + 60,
    )
    await world.work_off()

    details = [e.detail for e in (await explain(world, reference)).timeline]

    assert "active → past_due" in details


async def test_what_was_given_up_says_why_and_how_it_goes_on(world: World) -> None:
    user = await world.subscribed()
    reference = await the_reference(user, world)
    bought = world.stripe.get_subscription({}, reference)
    stranger = bought | {"metadata": {"user_id": str(uuid4())}}
    await world.deliver("customer.subscription.updated", stranger, id="evt_strange")
    await publish(world)
    await world.work_off()

    (waiting,) = (await explain(world, reference)).waiting

    assert waiting.what.startswith("webhook evt_strange")
    assert "was given up: OwnershipConflict" in waiting.why
    assert waiting.todo is not None
    assert "payments events replay evt_strange" in waiting.todo


async def test_what_waits_for_something_else_says_for_what(world: World) -> None:
    user = world.somebody()
    session = (await user.checkout()).json()["sessionId"]
    bought = world.stripe.complete(session)
    early = invoice(
        "in_early", customer=bought["customer"], subscription=bought["id"], user_id=user.id
    )
    await world.deliver("invoice.paid", early)
    await world.work_off()

    (waiting,) = (await explain(world, bought["id"])).waiting

    assert "(invoice.paid)" in waiting.what
    assert f"woken by what comes for {bought['id']}" in waiting.why


async def test_unpublished_messages_wait_for_the_first_of_them(world: World) -> None:
    user = await world.subscribed()
    reference = await the_reference(user, world)
    bought = world.stripe.get_subscription({}, reference)
    await world.deliver(
        "customer.subscription.updated",
        bought | {"status": "past_due"},
        created=world.clock.seconds() + 60,
    )
    await world.work_off()
    world.clock.move(hours=1)

    first, second = (await explain(world, reference)).waiting

    assert "no queue is bound" in first.why
    assert first.todo == "payments doctor says which"
    assert second.why == "leaves after message #1 was confirmed"


async def test_a_customer_without_a_subscription_is_explained(world: World) -> None:
    user = world.somebody()
    await user("POST", "/customers")

    found = await explain(world, user.id)

    assert (found.subscriptions, found.timeline) == ([], [])
    assert [customer.email for customer in found.customers] == ["a***@example.com"]


async def test_no_email_is_shown(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    user = await world.subscribed(trial=True)
    settings = world.container.settings()
    environment = {"DATABASE_URL": settings.database_url, "LOG_LEVEL": "error"}
    shown = []
    for options in ([], ["--json"]):
        status = await asyncio.to_thread(_run, ["explain", str(user.id), *options], environment)
        assert status == 0
        shown.append(capsys.readouterr().out)

    text, machine = shown
    assert "alice" not in text + machine
    assert "a***@example.com" in text
    assert "payments.subscription.activated.v1" in text
    parsed: dict[str, Any] = json.loads(machine)
    assert parsed["subscriptions"][0]["userId"] == str(user.id)
    assert [entry["kind"] for entry in parsed["timeline"]] == ["received", "processed", "written"]


async def test_what_nobody_knows_is_a_failure_that_says_what_to_do(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"DATABASE_URL": world.container.settings().database_url}

    assert await asyncio.to_thread(_run, ["explain", "sub_nobody"], environment) == 1
    assert "payments reconcile" in capsys.readouterr().err


def _run(arguments: list[str], environment: dict[str, str]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "configure", lambda *_: None)  # the log stays as the tests have it
        for name, value in environment.items():
            patch.setenv(name, value)
        return cli.main(arguments)
