"""A backlog that is made in the database is what the API would have written down."""

import asyncpg
import pytest

from adapters.stripe.webhooks import read_event
from benchmarks import filling
from benchmarks.workload import LIFE, Life
from ports.partitions import partition_of


async def test_a_backlog_is_of_whole_lives_each_with_ids_of_its_own(
    owner_url: str, life: Life
) -> None:
    assert await filling.backlog(owner_url, life, 20) == 18
    connection = await asyncpg.connect(owner_url)
    rows = await connection.fetch("SELECT * FROM payments.stripe_webhook_events ORDER BY seq")
    await connection.close()
    assert [row["event_type"] for row in rows] == [type_ for type_ in LIFE for _ in range(3)]
    assert len({row["event_id"] for row in rows}) == 18
    keys = [row["ordering_key"] for row in rows if row["event_type"] != LIFE[0]]
    assert len(set(keys)) == 3
    assert {keys.count(key) for key in keys} == {5}
    for row in rows:
        taken = read_event(row["payload"], traceparent=row["traceparent"])
        assert taken.event_id == row["event_id"]
        assert taken.event_type == row["event_type"]
        assert taken.ordering_key == row["ordering_key"]
        assert taken.livemode == row["livemode"]
        assert taken.api_version == row["api_version"]
        assert taken.created == row["stripe_created_at"]
        assert row["partition"] == partition_of(row["ordering_key"])
        assert not row["processed"]
    ids = {id_ for row in rows for id_ in life.recorded if id_ in row["payload"]}
    assert ids == set(), "nobody lives under the ids that were recorded"


async def test_where_time_runs_out_there_is_less(
    owner_url: str, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "CROWD", 10)
    crowd = 10 * len(LIFE)
    assert await filling.backlog(owner_url, life, 2 * crowd, seconds=0) == crowd


async def test_a_history_is_processed_and_has_all_its_indexes(owner_url: str) -> None:
    connection = await asyncpg.connect(owner_url)
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'payments' ORDER BY 1"
    before = await connection.fetch(indexes)
    assert await filling.history(owner_url, 1_000) == 1_000
    assert await connection.fetch(indexes) == before
    pending = "SELECT count(*) FROM payments.stripe_webhook_events WHERE NOT processed"
    assert await connection.fetchval(pending) == 0
    assert await connection.fetchval("SELECT count(*) FROM payments.stripe_webhook_events") == 1_000
    await connection.close()
