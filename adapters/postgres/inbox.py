"""`stripe_webhook_events`: what was received, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.arrays import as_arrays, insert_arrays, unnest
from adapters.postgres.engine import storage_errors
from adapters.postgres.fence import hold_share
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.settlements import CHANNEL as SETTLED_CHANNEL
from adapters.postgres.tables import PENDING
from adapters.postgres.tables import stripe_webhook_events as t
from ports.inbox import (
    LARGEST_CLAIM,
    ClaimedWebhook,
    Dead,
    KeptWebhook,
    Outcome,
    Postponed,
    Processed,
    ReceivedWebhook,
    State,
    Verdict,
    WebhookQuery,
)
from ports.partitions import Share, partition_of
from ports.settlements import OWN_EVENT
from ports.wakeups import Stage

_RECORDED: Final = (
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
_SETTLED: Final = (
    "id",
    "processed",
    "outcome",
    "error_message",
    "attempt_count",
    "waiting_for",
)

# The notification is part of the transaction: the worker hears of a row when it can see it.
_RECORD: Final = sa.text(
    f"WITH written AS ({insert_arrays(t, _RECORDED, 'ON CONFLICT (event_id) DO NOTHING')}"
    " RETURNING event_id)"
    f" SELECT event_id, pg_notify('{Stage.INBOX}', '') FROM written"
)
# The size of a payload is read without reading the payload, and the rows come in order already, so
# the sum costs next to nothing.
_CLAIM: Final = sa.text(
    "SELECT * FROM (SELECT due.*,"
    " sum(octet_length(payload)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS bytes FROM ("
    "SELECT id, event_id, event_type, ordering_key, livemode, payload, traceparent,"
    f" now() - created_at AS age, attempt_count, seq FROM {t.fullname}"
    f" WHERE {PENDING} AND (next_attempt_at IS NULL OR next_attempt_at <= now())"
    " AND partition = ANY(CAST(:partitions AS smallint[]))"
    " AND ordering_key <> ALL(CAST(:excluding AS text[]))"
    " ORDER BY seq LIMIT :limit) AS due) AS summed"
    f" WHERE bytes - octet_length(payload) < {LARGEST_CLAIM}"
)
# Still pending, in words that no index answers to: with old statistics the planner believes that
# next to nothing is pending, and would look through the whole backlog instead of up a few hundred
# ids. Whoever waits for a webhook of our own making hears of it with the commit.
_SETTLE: Final = sa.text(
    f"WITH settled AS (UPDATE {t.fullname} AS e"
    " SET processed = new.processed, outcome = new.outcome,"
    " error_message = left(new.error_message, 2000),"
    " attempt_count = e.attempt_count + new.attempt_count,"
    " next_attempt_at = now() + new.delay, waiting_for = new.waiting_for,"
    " processed_at = CASE WHEN new.processed THEN now() END, updated_at = now()"
    f" FROM {unnest(t, _SETTLED, delay='interval')} WHERE e.id = new.id"
    " AND CASE WHEN e.processed THEN false ELSE e.outcome IS NULL END"
    " RETURNING e.event_id, e.outcome)"
    f" SELECT pg_notify('{SETTLED_CHANNEL}', event_id) FROM settled"
    f" WHERE outcome IS NOT NULL AND event_id LIKE '{OWN_EVENT}%'"
)
_WAKE: Final = sa.text(
    f"UPDATE {t.fullname} SET waiting_for = NULL, next_attempt_at = now()"
    " WHERE waiting_for = ANY(CAST(:keys AS text[]))"
)
STATE: Final = sa.func.coalesce(
    t.c.outcome,
    sa.case(
        (t.c.attempt_count > 0, str(State.RETRYING)),
        (t.c.waiting_for.is_not(None), str(State.HELD)),
        else_=str(State.PENDING),
    ),
)


class PostgresIntake:
    """The receiving end. All requests of a process share its commits."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._commits = GroupCommit(self._write, lambda webhook: len(webhook.payload))

    async def record(self, webhook: ReceivedWebhook) -> bool:
        """Write it down; True where it is new. Returns when the row is durable."""
        return await self._commits.submit(webhook)

    async def close(self) -> None:
        """Write what still waits."""
        await self._commits.close()

    async def _write(self, webhooks: Sequence[ReceivedWebhook]) -> Sequence[bool]:
        rows = [
            {
                "event_id": webhook.event_id,
                "event_type": webhook.event_type,
                "ordering_key": webhook.ordering_key,
                "partition": partition_of(webhook.ordering_key),
                "livemode": webhook.livemode,
                "api_version": webhook.api_version,
                "stripe_created_at": webhook.created,
                "payload": webhook.payload,
                "traceparent": webhook.traceparent,
            }
            # Two processes that are sent the same events wait for each other's rows, which in one
            # order for all cannot be a deadlock. The first of several with one id stays first.
            for webhook in sorted(webhooks, key=attrgetter("event_id"))
        ]
        with storage_errors():
            async with self._engine.begin() as connection:
                written = await connection.execute(_RECORD, as_arrays(rows, _RECORDED))
                new = {row.event_id for row in written}
        results = []
        for webhook in webhooks:  # the first of several with one id is the new one
            results.append(webhook.event_id in new)
            new.discard(webhook.event_id)
        return results


class PostgresInbox:
    """The working end, in the transaction of this connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def claim(
        self, share: Share, *, limit: int, excluding: Collection[str] = ()
    ) -> Sequence[ClaimedWebhook]:
        """The oldest webhooks of this share that are due. Raises LeaseLost."""
        await hold_share(self._connection, share)
        rows = await self._connection.execute(
            _CLAIM,
            {
                "partitions": sorted(share.partitions),
                "excluding": list(excluding),
                "limit": limit,
            },
        )
        return [
            ClaimedWebhook(
                id=row.id,
                event_id=row.event_id,
                event_type=row.event_type,
                ordering_key=row.ordering_key,
                livemode=row.livemode,
                payload=row.payload,
                traceparent=row.traceparent,
                age=row.age,
                attempts=row.attempt_count,
            )
            for row in rows
        ]

    async def settle(self, verdicts: Sequence[Verdict]) -> None:
        """Write down what became of claimed webhooks."""
        if verdicts:
            rows = [_row(verdict) for verdict in verdicts]
            await self._connection.execute(_SETTLE, as_arrays(rows, (*_SETTLED, "delay")))

    async def wake_waiting(self, keys: Collection[str]) -> None:
        """Make due what waits for one of these keys."""
        await self._connection.execute(_WAKE, {"keys": list(keys)})
        # What waits may be another worker's, in another partition.
        await self._connection.execute(sa.select(sa.func.pg_notify(str(Stage.INBOX), "")))

    async def next_due(self, share: Share, *, excluding: Collection[str] = ()) -> timedelta | None:
        """How long until the first of this share that was postponed is due; None without any."""
        left: timedelta | None = await self._connection.scalar(
            sa.select(sa.func.min(t.c.next_attempt_at) - sa.func.now()).where(
                sa.text(PENDING),
                t.c.partition == sa.any_(sa.literal(sorted(share.partitions), _SMALLINTS)),
                t.c.ordering_key != sa.all_(sa.literal(list(excluding), sa.ARRAY(sa.Text))),
            )
        )
        return None if left is None else max(left, timedelta(0))

    async def is_processed(self, event_id: str) -> bool:
        """Whether a webhook with this event id was received and is done with."""
        found = await self._connection.scalar(
            sa.select(t.c.processed).where(t.c.event_id == event_id)
        )
        return bool(found)

    async def find(self, query: WebhookQuery) -> Sequence[KeptWebhook]:
        """The webhooks that fit the query, the newest first."""
        wanted = sa.select(t, STATE.label("state")).order_by(t.c.seq.desc()).limit(query.limit)
        if query.event_ids is not None:
            wanted = wanted.where(t.c.event_id.in_(query.event_ids))
        if query.states is not None:
            wanted = wanted.where(*_in(query.states))
        if query.event_type is not None:
            wanted = wanted.where(t.c.event_type == query.event_type)
        return [
            KeptWebhook(
                event_id=row.event_id,
                event_type=row.event_type,
                ordering_key=row.ordering_key,
                state=row.state,
                received_at=row.created_at,
                attempts=row.attempt_count,
                next_attempt_at=row.next_attempt_at,
                error=row.error_message,
                payload=row.payload,
            )
            for row in await self._connection.execute(wanted)
        ]

    async def count_by_state(self, states: Collection[str] | None = None) -> Mapping[str, int]:
        """How many webhooks are kept in each of these states; those without any are left out."""
        counted = sa.select(STATE.label("state"), sa.func.count().label("kept")).group_by(STATE)
        if states is not None:
            counted = counted.where(*_in(states))
        rows = await self._connection.execute(counted)
        return {row.state: row.kept for row in rows}

    async def replay(
        self, event_ids: Collection[str], *, states: Collection[str] | None = None
    ) -> Collection[str]:
        """Make these due at once, as if they had just come in; returns the ids of those that are.

        The conditions are the statement's own: whatever was looked at before may have been applied
        or erased meanwhile, and a row that is locked is judged by what it is afterwards.
        """
        wanted = [] if states is None else _in(states)
        wanted += [t.c.event_id.in_(event_ids), t.c.payload.is_not(None)]
        replayed = await self._connection.scalars(
            sa.update(t)
            .where(*wanted)
            .values(
                processed=False,
                processed_at=None,
                outcome=None,
                error_message=None,
                attempt_count=0,
                next_attempt_at=None,
                waiting_for=None,
                updated_at=sa.func.now(),
            )
            .returning(t.c.event_id)
        )
        found = replayed.all()
        await self._connection.execute(sa.select(sa.func.pg_notify(str(Stage.INBOX), "")))
        return found

    async def discard(self, event_ids: Collection[str]) -> Collection[str]:
        """Be done with those of these that are dead; returns their ids."""
        discarded = await self._connection.scalars(
            sa.update(t)
            .where(t.c.event_id.in_(event_ids), *_in([State.DEAD]))
            .values(
                processed=True,
                outcome=str(Outcome.DISCARDED),
                processed_at=sa.func.now(),
                updated_at=sa.func.now(),
            )
            .returning(t.c.event_id)
        )
        return discarded.all()


def _in(states: Collection[str]) -> list[sa.ColumnElement[bool]]:
    """What is in one of these states. Those that are not done with are few, and have an index."""
    conditions: list[sa.ColumnElement[bool]] = [STATE.in_(states)]
    if set(states) <= set(State):
        conditions.append(sa.not_(t.c.processed))
    return conditions


def _row(verdict: Verdict) -> dict[str, object]:
    row: dict[str, object] = {
        "id": verdict.id,
        "processed": False,
        "outcome": None,
        "error_message": None,
        "attempt_count": 0,
        "delay": None,
        "waiting_for": None,
    }
    match verdict:
        case Processed(outcome=outcome, note=note):
            row |= {"processed": True, "outcome": str(outcome), "error_message": note}
        case Postponed(delay=delay, reason=reason, failed=failed, waits_for=key):
            row |= {"delay": delay, "error_message": reason, "waiting_for": key}
            row["attempt_count"] = int(failed)
        case Dead(error=error):
            row |= {"outcome": str(State.DEAD), "error_message": error, "attempt_count": 1}
    return row


_SMALLINTS = sa.ARRAY(sa.SmallInteger)
