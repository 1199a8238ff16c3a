"""ports/asked_terms.py"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from adapters.postgres.asked_terms import PostgresAskedTerms
from adapters.postgres.engine import create_engine
from adapters.postgres.tables import purchase_terms
from ports.purchases import Terms

NOW = datetime(2027, 1, 1, tzinfo=UTC)
MONTHLY = Terms("price_month", 180)
ANNUAL = Terms("price_year", 0, "https://app.example.com/done", "https://app.example.com/plans")


@pytest.fixture
async def asked(migrated_url: str) -> AsyncIterator[PostgresAskedTerms]:
    engine = create_engine(migrated_url, name="terms", pool_size=2)
    yield PostgresAskedTerms(engine)
    await engine.dispose()


async def test_what_was_asked_for_is_known_by_its_operation(asked: PostgresAskedTerms) -> None:
    await asked.note("one", ANNUAL, NOW)
    await asked.note("one", MONTHLY, NOW + timedelta(seconds=1))
    await asked.note("other", MONTHLY, NOW)

    assert await asked.of("one", NOW) == [ANNUAL, MONTHLY]
    assert await asked.of("other", NOW) == [MONTHLY]
    assert await asked.of("none", NOW) == []


async def test_it_is_as_old_as_when_it_was_first_asked_for(asked: PostgresAskedTerms) -> None:
    await asked.note("one", MONTHLY, NOW)
    await asked.note("one", MONTHLY, NOW + timedelta(hours=20))
    await asked.note("one", ANNUAL, NOW + timedelta(hours=20))

    assert await asked.of("one", NOW + timedelta(hours=23)) == [MONTHLY, ANNUAL]
    # The provider may forget the operation at any time from now on.
    assert await asked.of("one", NOW + timedelta(hours=23, seconds=1)) == []


async def test_what_the_provider_has_forgotten_is_asked_for_anew(
    asked: PostgresAskedTerms,
) -> None:
    later = NOW + timedelta(hours=25, seconds=1)
    await asked.note("one", MONTHLY, NOW)

    await asked.note("one", ANNUAL, later)

    assert await asked.of("one", later) == [ANNUAL]


async def test_old_ones_go_with_the_new_ones(asked: PostgresAskedTerms, migrated_url: str) -> None:
    for number in range(3):
        await asked.note(f"old {number}", MONTHLY, NOW)

    await asked.note("new", MONTHLY, NOW + timedelta(days=2))

    engine = create_engine(migrated_url, name="look", pool_size=1)
    async with engine.connect() as connection:
        found = (await connection.execute(sa.select(purchase_terms.c.operation))).scalars().all()
    await engine.dispose()
    assert found == ["new"]
