"""How PostgreSQL carries the claim out, whatever it believes about the backlog."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres import inbox, outbox
from adapters.postgres.migrate import upgrade
from adapters.postgres.statements import Statement
from ports.partitions import PARTITIONS


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Give a database whose backlogs are large, while its statistics say that they are empty."""
    await asyncio.to_thread(upgrade, database_url)
    connection = await asyncpg.connect(database_url)
    for table in ("stripe_webhook_events", "outbox_events"):
        await connection.execute(f"ALTER TABLE payments.{table} SET (autovacuum_enabled = false)")
    await connection.execute(_WEBHOOKS.format(processed=True, first=1, last=5_000))
    await connection.execute("ANALYZE")
    await connection.execute(_WEBHOOKS.format(processed=False, first=5_001, last=25_000))
    await connection.execute(_MESSAGES)
    yield connection
    await connection.close()


# A server plans a statement anew for its values, or once for all of them.
PLANNING = ["force_custom_plan", "force_generic_plan"]
HOLDER = {"worker": f"'{uuid4()}'", "epoch": "1"}


_WEBHOOKS = """
    INSERT INTO payments.stripe_webhook_events
        (event_id, event_type, processed, outcome, ordering_key, partition, stripe_created_at,
         payload, traceparent)
    SELECT 'evt_' || n, 'type', {processed}, CASE WHEN {processed} THEN 'applied' END,
           'sub_' || n % 1000, n % 64, now(), convert_to(repeat('x', 500), 'UTF8'), 'trace'
    FROM generate_series({first}, {last}) AS n
"""
_MESSAGES = """
    INSERT INTO payments.outbox_events
        (subscription_id, version, type, body, ordering_key, partition)
    SELECT gen_random_uuid(), 1, 'type', convert_to(repeat('x', 500), 'UTF8'), 'sub_' || n, n % 64
    FROM generate_series(1, 20000) AS n
"""


async def plan_of(database: asyncpg.Connection, statement: Statement, **values: str) -> str:
    """Give the plan of a statement of the adapters with these values (as SQL)."""
    await database.execute(f"PREPARE claim AS {statement.sql}")
    arguments = ", ".join(values[name] for name in statement.names)
    plan = await database.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE claim({arguments})")
    await database.execute("DEALLOCATE claim")
    return json.dumps(json.loads(plan), indent=1)


@pytest.mark.parametrize("planning", PLANNING)
@pytest.mark.parametrize("held", [PARTITIONS, PARTITIONS // 8])
async def test_a_claim_reads_the_index_of_what_is_pending_in_its_order(
    database: asyncpg.Connection, planning: str, held: int
) -> None:
    await database.execute(f"SET plan_cache_mode = {planning}")
    partitions = f"ARRAY[{', '.join(map(str, range(held)))}]::smallint[]"

    webhooks = await plan_of(
        database,
        inbox._CLAIM,
        **HOLDER,
        partitions=partitions,
        excluding="'{}'",
        limit="500",
    )
    messages = await plan_of(
        database,
        outbox._CLAIM,
        **HOLDER,
        partitions=partitions,
        excluding="'{}'",
        limit="500",
    )

    assert '"Index Name": "ix_stripe_webhook_events_pending"' in webhooks
    assert '"Index Name": "ix_outbox_events_pending"' in messages
    assert "Sort" not in webhooks + messages


@pytest.mark.parametrize("planning", PLANNING)
async def test_what_a_batch_writes_is_found_by_its_own_index_however_long_history_and_backlog(
    database: asyncpg.Connection, planning: str
) -> None:
    await database.execute(f"SET plan_cache_mode = {planning}")
    await database.execute("SET random_page_cost = 1.1")  # as the adapters' connections do
    ids = f"'{{{', '.join(str(uuid4()) for _ in range(500))}}}'"
    keys = f"'{{{', '.join(f'sub_{number}' for number in range(500))}}}'"
    column = "array_fill({}, ARRAY[500])"

    woken = await plan_of(
        database,
        inbox._WAKE,
        keys=keys,
    )
    settled = await plan_of(
        database,
        inbox._SETTLE.change,
        id=ids,
        processed=column.format("true"),
        outcome=column.format("'applied'::text"),
        error_message=column.format("NULL::text"),
        attempt_count=column.format("0"),
        waiting_for=column.format("NULL::text"),
        delay=column.format("NULL::interval"),
    )

    published = await plan_of(database, outbox._MARK_PUBLISHED, ids=ids, at="now()")
    unrouted = await plan_of(database, outbox._MARK_UNROUTED, ids=ids, at="now()")

    assert '"Index Name": "ix_stripe_webhook_events_waiting_for"' in woken
    assert '"Index Name": "stripe_webhook_events_pkey"' in settled
    assert '"Index Name": "outbox_events_pkey"' in published
    assert '"Index Name": "outbox_events_pkey"' in unrouted
    for wrong in ("Seq Scan", "ix_stripe_webhook_events_pending", "ix_outbox_events_pending"):
        assert wrong not in woken + settled + published + unrouted
