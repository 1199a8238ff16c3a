"""What plan changes keep in the database: claims, and what was shown."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from adapters.postgres.tables import plan_change_previews
from ports.shown_previews import ShownPreview
from tests.money.conftest import Till


async def test_a_claim_is_held_by_one_at_a_time_and_let_go_of(till: Till) -> None:
    claims, now = till.container.claims(), till.clock.now()
    async with claims.hold("a", now) as first:
        async with claims.hold("a", now) as second, claims.hold("b", now) as other:
            assert (first, second, other) == (True, False, True)
        # Who does not hold it does not let go of it either.
        async with claims.hold("a", now) as third:
            assert not third
    async with claims.hold("a", now) as again:
        assert again


async def test_a_claim_is_let_go_of_by_whoever_fails(till: Till) -> None:
    claims, now = till.container.claims(), till.clock.now()
    with pytest.raises(ValueError, match="it failed"):
        async with claims.hold("a", now):
            raise ValueError("it failed")
    async with claims.hold("a", now) as again:
        assert again


async def test_of_many_at_once_one_gets_the_claim(till: Till) -> None:
    claims, now = till.container.claims(), till.clock.now()
    everybody_tried, tried = asyncio.Event(), []

    async def attempt() -> bool:
        async with claims.hold("a", now) as held:
            tried.append(held)
            if len(tried) == 20:
                everybody_tried.set()
            if held:
                await everybody_tried.wait()
            return held

    assert sum(await asyncio.gather(*(attempt() for _ in range(20)))) == 1


async def test_the_claim_of_a_process_that_died_runs_out(till: Till) -> None:
    claims, now = till.container.claims(), till.clock.now()
    dead = claims.hold("a", now)
    assert await dead.__aenter__()

    async with claims.hold("a", now + timedelta(minutes=4, seconds=59)) as early:
        assert not early
    async with claims.hold("a", now + timedelta(minutes=5)) as late:
        assert late
        # The dead one comes back to life, and takes nothing away from the one who holds it now.
        await dead.__aexit__(None, None, None)
        async with claims.hold("a", now + timedelta(minutes=5)) as other:
            assert not other


async def test_the_claim_of_what_was_broken_off_runs_out_too(till: Till) -> None:
    """The provider may be at it yet, and so nobody else is to begin."""
    claims, now = till.container.claims(), till.clock.now()
    held = asyncio.Event()

    async def hold() -> None:
        async with claims.hold("a", now):
            held.set()
            await asyncio.Event().wait()

    broken_off = asyncio.create_task(hold())
    await held.wait()
    broken_off.cancel()
    await asyncio.wait([broken_off])

    async with claims.hold("a", now + timedelta(minutes=4, seconds=59)) as early:
        assert not early
    async with claims.hold("a", now + timedelta(minutes=5)) as late:
        assert late


def shown(till: Till) -> ShownPreview:
    now = till.clock.now()
    return ShownPreview(uuid4(), "price_new", now, "price_old", 250, 250, "usd", now)


async def test_what_was_shown_is_found_by_exactly_what_it_was_for(till: Till) -> None:
    previews, preview = till.container.shown_previews(), shown(till)
    assert await previews.remember(preview)

    id_, date = preview.subscription_id, preview.proration_date
    assert await previews.find(id_, "price_new", date) == preview
    assert await previews.find(uuid4(), "price_new", date) is None
    assert await previews.find(id_, "price_old", date) is None
    assert await previews.find(id_, "price_new", date + timedelta(seconds=1)) is None


async def test_shown_again_it_holds_longer_but_never_for_another_amount(till: Till) -> None:
    previews, preview = till.container.shown_previews(), shown(till)
    later = replace(preview, shown_at=preview.shown_at + timedelta(seconds=9))
    assert await previews.remember(preview)
    assert await previews.remember(later)
    for other in (
        replace(later, due_now=1),
        replace(later, sum_of_lines=1),
        replace(later, old_price_ref="price_older"),
        replace(later, currency="eur"),
    ):
        assert not await previews.remember(other)

    found = await previews.find(preview.subscription_id, "price_new", preview.proration_date)
    assert found == later


async def test_what_was_shown_is_kept_for_a_day(till: Till) -> None:
    previews, old = till.container.shown_previews(), shown(till)
    await previews.remember(old)
    for hours, left in ((24, 2), (25, 2)):
        await previews.remember(
            replace(shown(till), shown_at=old.shown_at + timedelta(hours=hours))
        )
        async with till.container.users_engine().connect() as connection:
            count = sa.select(sa.func.count(plan_change_previews.c.price_ref))
            assert await connection.scalar(count) == left
