"""Tables that are full already: a backlog to drain, and the history of years.

Both are made in the database itself, which takes a fraction of what sending them there does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Final

import asyncpg

from adapters.stripe.webhooks import read_event
from benchmarks.workload import LIFE, Life, Template
from ports.partitions import PARTITIONS

_TABLE: Final = "payments.stripe_webhook_events"
# All customers of a crowd come first, and so on: as many webhooks of others are between two of one
# subscriber.
CROWD: Final = 5_000
_CHUNK: Final = 250_000
# The part of the time for a history that its rows may take; its indexes take the rest.
_ROWS: Final = 0.5
_TRACE: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def backlog(database_url: str, life: Life, count: int, seconds: float = math.inf) -> int:
    """Put so many webhooks into the inbox, as the API would have; fewer where that takes longer
    than so many seconds. Returns how many there are; they are whole lives.
    """
    began, done = time.perf_counter(), 0
    inserts = [_insert(life, template) for template in life.templates]
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET synchronous_commit = off")
        columns = ", ".join(_own_ids(life))
        while done < count and (not done or time.perf_counter() - began < seconds):
            crowd = min(CROWD, (count - done) // len(LIFE))
            if not crowd:
                break
            await connection.execute(
                f"CREATE TEMP TABLE crowd AS SELECT {columns} FROM generate_series(1, {crowd})"
            )
            for insert in inserts:
                await connection.execute(insert)
                done += crowd
            await connection.execute("DROP TABLE crowd")
    finally:
        await connection.close()
    return done


def _own_ids(life: Life) -> Iterator[str]:
    """What one subscriber has to itself, as columns: `own0` and so on."""
    for number, recorded in enumerate(life.recorded):
        kind, _, rest = recorded.decode().partition("_")
        if "-" in kind:
            yield f"gen_random_uuid()::text AS own{number}"
        elif "@" in kind:
            yield f"{_random(16)} || '@example.com' AS own{number}"
        else:
            yield f"'{kind}_' || {_random(len(rest))} AS own{number}"


def _random(length: int) -> str:
    return f"left(replace(gen_random_uuid()::text, '-', ''), {length})"


def _insert(life: Life, template: Template) -> str:
    """One webhook of each subscriber of the crowd. The first of their ids is the event's, and so
    is made anew.
    """
    event = read_event(template.fill(life.recorded), traceparent=_TRACE)
    key = f"own{list(life.recorded).index(event.ordering_key.encode())}"
    kind, _, rest = life.recorded[0].decode().partition("_")
    pieces = [_quoted(template.parts[0].decode())]
    for gap, part in zip(template.gaps, template.parts[1:], strict=True):
        pieces += (f"own{gap}" if gap else "event_id", _quoted(part.decode()))
    version = "NULL" if event.api_version is None else _quoted(event.api_version)
    return (
        f"INSERT INTO {_TABLE} (event_id, event_type, ordering_key, partition, livemode,"
        " api_version, stripe_created_at, payload, traceparent)"
        f" SELECT event_id, {_quoted(event.event_type)}, {key},"
        f" crc32(convert_to({key}, 'UTF8')) % {PARTITIONS}, {event.livemode}, {version},"
        f" {_quoted(event.created.isoformat())}::timestamptz,"
        f" convert_to(concat({', '.join(pieces)}), 'UTF8'), '{_TRACE}'"
        f" FROM (SELECT *, '{kind}_' || {_random(len(rest))} AS event_id FROM crowd) AS events"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


async def history(database_url: str, count: int, seconds: float = math.inf) -> int:
    """Let so many webhooks have been processed long ago: their payloads are erased by now. Fewer
    where that takes longer than so many seconds; returns how many there are.

    Statistics are taken with nothing pending and never again, which makes the planner believe
    that nothing ever is. The indexes are made afterwards, which is many times faster.
    """
    began, done = time.perf_counter(), 0
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET maintenance_work_mem = '512MB'")
        await connection.execute(f"ALTER TABLE {_TABLE} SET (autovacuum_enabled = false)")
        indexes = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname || '.' || tablename = $1"
            " AND indexname LIKE 'ix_%'",
            _TABLE,
        )
        for index in indexes:
            await connection.execute(f"DROP INDEX payments.{index['indexname']}")
        while done < count and (not done or time.perf_counter() - began < seconds * _ROWS):
            upto = min(count, done + _CHUNK)
            await connection.execute(
                f"INSERT INTO {_TABLE} (event_id, event_type, ordering_key, partition, processed,"
                " processed_at, stripe_created_at, created_at, traceparent, outcome)"
                " SELECT 'evt_' || left(replace(gen_random_uuid()::text, '-', ''), 24),"
                " (ARRAY['customer.subscription.updated', 'invoice.paid', 'customer.updated'])"
                "[1 + n % 3], 'sub_' || md5((n / 6)::text), n % 64, true,"
                " now() - n * interval '6 s', now() - n * interval '6 s',"
                " now() - n * interval '6 s', $1, 'applied'"
                " FROM generate_series($2::integer, $3::integer) AS n",
                _TRACE,
                done + 1,
                upto,
            )
            done = upto
        for index in indexes:
            await connection.execute(index["indexdef"])
        await connection.execute(f"VACUUM ANALYZE {_TABLE}")
    finally:
        await connection.close()
    return done
