"""Tables that are full already: a backlog to drain, and the history of years."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import asyncpg

from adapters.stripe.webhooks import StripeWebhooks
from benchmarks import workload
from benchmarks.workload import Life
from domain.plans import PriceList
from ports.partitions import partition_of

_TABLE: Final = "stripe_webhook_events"
_COLUMNS: Final = (
    "event_id",
    "event_type",
    "ordering_key",
    "partition",
    "livemode",
    "api_version",
    "stripe_created_at",
    "payload",
    "traceparent",
)
_CHUNK: Final = 5_000
_CROWD: Final = 20_000
_TRACE: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def backlog(database_url: str, life: Life, count: int) -> None:
    """Put so many webhooks into the inbox, as the API would have."""
    reader = StripeWebhooks([workload.SECRET], PriceList(()))
    # All customers first: the service makes them itself before anybody can subscribe.
    bodies = workload.webhooks(life, count, crowd_size=min(count // len(workload.LIFE), _CROWD))
    connection = await asyncpg.connect(database_url)
    while chunk := list(islice(bodies, _CHUNK)):
        now, stamp = datetime.now(UTC), int(time.time())
        seen = [
            reader.receive(body, workload.signature(body, stamp), now=now, traceparent=_TRACE)
            for body in chunk
        ]
        await connection.copy_records_to_table(
            _TABLE,
            schema_name="payments",
            columns=_COLUMNS,
            records=[
                (
                    one.event_id,
                    one.event_type,
                    one.ordering_key,
                    partition_of(one.ordering_key),
                    one.livemode,
                    one.api_version,
                    one.created,
                    one.payload,
                    one.traceparent,
                )
                for one in seen
            ],
        )
    await connection.close()


async def history(database_url: str, count: int) -> None:
    """Let so many webhooks have been processed long ago: their payloads are erased by now.

    Statistics are taken with nothing pending and never again, which makes the planner believe
    that nothing ever is. The indexes are made afterwards, which is many times faster.
    """
    connection = await asyncpg.connect(database_url)
    await connection.execute(f"ALTER TABLE payments.{_TABLE} SET (autovacuum_enabled = false)")
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'payments'"
        f" AND tablename = '{_TABLE}' AND indexname LIKE 'ix_%'"
    )
    for index in indexes:
        await connection.execute(f"DROP INDEX payments.{index['indexname']}")
    await connection.execute(
        f"INSERT INTO payments.{_TABLE} (event_id, event_type, ordering_key, partition, processed,"
        " processed_at, stripe_created_at, created_at, traceparent, outcome)"
        " SELECT 'evt_' || substr(md5(random()::text) || md5(n::text), 1, 40),"
        " (ARRAY['customer.subscription.updated', 'invoice.paid', 'customer.updated'])[1 + n % 3],"
        " 'sub_' || md5((n / 6)::text), n % 64, true, now() - n * interval '6 s',"
        " now() - n * interval '6 s', now() - n * interval '6 s', $1, 'applied'"
        " FROM generate_series(1, $2::integer) AS n",
        _TRACE,
        count,
        timeout=600,
    )
    await connection.execute("SET maintenance_work_mem = '512MB'")
    for index in indexes:
        await connection.execute(index["indexdef"], timeout=600)
    await connection.execute(f"VACUUM ANALYZE payments.{_TABLE}", timeout=600)
    await connection.close()
