"""`stripe_webhook_events`: what was received, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.arrays import insert_arrays, unnest
from adapters.postgres.engine import storage_errors
from adapters.postgres.fence import HOLD_SHARE, hold_share, holder
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.session import Session
from adapters.postgres.settlements import CHANNEL as SETTLED_CHANNEL
from adapters.postgres.statements import AFTER, Statement, Write
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

# What was created first is worked on first, as far as webhooks of one commit can tell: in the same
# second, a subscription's own before its invoices'. And since nothing but the events themselves
# decides, two processes that are sent the same ones wait for each other's rows in one order, which
# cannot be a deadlock. The first of several with one id stays first.
_IN_ORDER: Final = attrgetter("ordering_key", "created", "event_type", "event_id")
# The notification is part of the transaction: the worker hears of a row when it can see it.
# A repeat is answered 200 as well, so it has to be as safe as what is new: where a synchronous
# standby is away, its first try may have been written here and refused for want of the standby. A
# message in the log makes the commit wait for both. (PostgreSQL: pg_logical_emit_message)
_RECORD: Final = Statement(
    sa.text(
        f"WITH written AS ({insert_arrays(t, _RECORDED, 'ON CONFLICT (event_id) DO NOTHING')}"
        " RETURNING event_id)"
        " SELECT array_agg(event_id),"
        f" CASE WHEN count(*) > 0 THEN CAST(pg_notify('{Stage.INBOX}', '') AS text) END,"
        " CASE WHEN count(*) < cardinality(CAST(:event_id AS text[]))"
        " THEN pg_logical_emit_message(true, 'payments', '') END"
        " FROM written"
    )
)
# Seconds for the statement. Stripe waits for an answer no longer than about twenty.
_INTAKE_TIMEOUT: Final = 10.0
# In the order of ClaimedWebhook's fields. The size of a payload is read without reading the
# payload, and the rows come in order already, so the sum costs next to nothing.
_CLAIM: Final = Statement(
    sa.text(
        f"WITH {HOLD_SHARE} SELECT id, event_id, event_type, ordering_key, livemode, payload,"
        " traceparent, age, attempt_count FROM (SELECT due.*,"
        " sum(octet_length(payload)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS bytes FROM ("
        "SELECT id, event_id, event_type, ordering_key, livemode, payload, traceparent,"
        f" now() - created_at AS age, attempt_count, seq FROM {t.fullname}"
        f" WHERE {PENDING} AND (next_attempt_at IS NULL OR next_attempt_at <= now())"
        " AND partition = ANY(CAST(:partitions AS smallint[]))"
        " AND ordering_key <> ALL(CAST(:excluding AS text[]))"
        " AND EXISTS (SELECT FROM held)"
        " ORDER BY seq LIMIT :limit) AS due) AS summed"
        f" WHERE bytes - octet_length(payload) < {LARGEST_CLAIM}"
    )
)
_NEXT_DUE: Final = Statement(
    sa.text(
        f"SELECT min(next_attempt_at) - now() FROM {t.fullname} WHERE {PENDING}"
        " AND partition = ANY(CAST(:partitions AS smallint[]))"
        " AND ordering_key <> ALL(CAST(:excluding AS text[]))"
    )
)
# Still pending, in words that no index answers to: with old statistics the planner believes that
# next to nothing is pending, and would look through the whole backlog instead of up a few hundred
# ids. Whoever waits for a webhook of our own making hears of it with the commit.
_SETTLE: Final = Write(
    "settled",
    f"UPDATE {t.fullname} AS e"
    " SET processed = new.processed, outcome = new.outcome,"
    " error_message = left(new.error_message, 2000),"
    " attempt_count = e.attempt_count + new.attempt_count,"
    " next_attempt_at = now() + new.delay, waiting_for = new.waiting_for,"
    " processed_at = CASE WHEN new.processed THEN now() END, updated_at = now()"
    f" FROM {unnest(t, _SETTLED, delay='interval')} WHERE e.id = new.id"
    f" AND CASE WHEN e.processed THEN false ELSE e.outcome IS NULL END AND {AFTER}"
    " RETURNING e.event_id, e.outcome",
    tell=f"SELECT CAST(pg_notify('{SETTLED_CHANNEL}', event_id) AS text) FROM settled"
    f" WHERE outcome IS NOT NULL AND event_id LIKE '{OWN_EVENT}%'",
)
# What waits may be another worker's, in another partition.
_WAKE: Final = Statement(
    sa.text(
        f"WITH woken AS (UPDATE {t.fullname} SET waiting_for = NULL, next_attempt_at = now()"
        " WHERE waiting_for = ANY(CAST(:keys AS text[])) RETURNING id)"
        f" SELECT pg_notify('{Stage.INBOX}', '') FROM woken LIMIT 1"
    )
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
        rows = sorted(webhooks, key=_IN_ORDER)
        columns = {
            "event_id": [webhook.event_id for webhook in rows],
            "event_type": [webhook.event_type for webhook in rows],
            "ordering_key": [webhook.ordering_key for webhook in rows],
            "partition": [partition_of(webhook.ordering_key) for webhook in rows],
            "livemode": [webhook.livemode for webhook in rows],
            "api_version": [webhook.api_version for webhook in rows],
            "stripe_created_at": [webhook.created for webhook in rows],
            "payload": [webhook.payload for webhook in rows],
            "traceparent": [webhook.traceparent for webhook in rows],
        }
        with storage_errors():
            session = await Session.connect(self._engine)
            try:
                new = set(await session.value(_RECORD, columns, timeout=_INTAKE_TIMEOUT) or ())
            finally:
                await session.close()
        results = []
        for webhook in webhooks:  # the first of several with one id is the new one
            results.append(webhook.event_id in new)
            new.discard(webhook.event_id)
        return results


class PostgresInbox:
    """The working end, in the transaction of this session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def claim(
        self, share: Share, *, limit: int, excluding: Collection[str] = ()
    ) -> Sequence[ClaimedWebhook]:
        """The oldest webhooks of this share that are due. Raises LeaseLost."""
        found = await self._session.rows(
            _CLAIM,
            {
                **holder(share),
                "partitions": sorted(share.partitions),
                "excluding": list(excluding),
                "limit": limit,
            },
        )
        webhooks = [ClaimedWebhook(*row) for row in found]
        if not webhooks:
            await hold_share(self._session, share)
        return webhooks

    async def settle(self, verdicts: Sequence[Verdict]) -> None:
        """Write down what became of claimed webhooks."""
        if verdicts:
            names = (*_SETTLED, "delay")
            columns = zip(*map(_settled, verdicts), strict=True)
            await self._session.later(_SETTLE, dict(zip(names, columns, strict=True)))

    async def wake_waiting(self, keys: Collection[str]) -> None:
        """Make due what waits for one of these keys."""
        await self._session.rows(_WAKE, {"keys": list(keys)})

    async def next_due(self, share: Share, *, excluding: Collection[str] = ()) -> timedelta | None:
        """How long until the first of this share that was postponed is due; None without any."""
        left: timedelta | None = await self._session.value(
            _NEXT_DUE,
            {"partitions": sorted(share.partitions), "excluding": list(excluding)},
        )
        return None if left is None else max(left, timedelta(0))

    async def is_processed(self, event_id: str) -> bool:
        """Whether a webhook with this event id was received and is done with."""
        found = await self._session.scalar(sa.select(t.c.processed).where(t.c.event_id == event_id))
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
            for row in await self._session.execute(wanted)
        ]

    async def count_by_state(self, states: Collection[str] | None = None) -> Mapping[str, int]:
        """How many webhooks are kept in each of these states; those without any are left out."""
        counted = sa.select(STATE.label("state"), sa.func.count().label("kept")).group_by(STATE)
        if states is not None:
            counted = counted.where(*_in(states))
        rows = await self._session.execute(counted)
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
        replayed = await self._session.scalars(
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
        await self._session.execute(sa.select(sa.func.pg_notify(str(Stage.INBOX), "")))
        return found

    async def discard(self, event_ids: Collection[str]) -> Collection[str]:
        """Be done with those of these that are dead; returns their ids."""
        discarded = await self._session.scalars(
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


def _settled(verdict: Verdict) -> tuple[object, ...]:
    """The columns _SETTLED and the delay, in their order."""
    match verdict:
        case Processed(id_, outcome, note):
            return id_, True, str(outcome), note, 0, None, None
        case Postponed(id_, delay, reason, failed, waits_for):
            return id_, False, None, reason, int(failed), waits_for, delay
        case Dead(id_, error):
            return id_, False, str(State.DEAD), error, 1, None, None
