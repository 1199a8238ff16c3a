"""What was received, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate, takewhile
from uuid import uuid4

from adapters.memory.store import MemoryStore, Tables, Transaction, WebhookRow
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
from ports.wakeups import Stage


class MemoryIntake:
    """The receiving end."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def record(self, webhook: ReceivedWebhook) -> bool:
        """Write it down; True where it is new."""
        self._store.require_available()
        known = self._store.tables.webhooks
        if webhook.event_id in known:
            return False
        known[webhook.event_id] = WebhookRow(
            ClaimedWebhook(
                id=uuid4(),
                event_id=webhook.event_id,
                event_type=webhook.event_type,
                ordering_key=webhook.ordering_key,
                livemode=webhook.livemode,
                payload=webhook.payload,
                traceparent=webhook.traceparent,
                age=timedelta(0),
                attempts=0,
            ),
            self._store.clock.now(),
        )
        self._store.notify(Stage.INBOX)
        return True

    async def close(self) -> None:
        """Nothing ever waits."""


class MemoryInbox:
    """The working end, in this transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def claim(
        self, share: Share, *, limit: int, excluding: Collection[str] = ()
    ) -> Sequence[ClaimedWebhook]:
        """The oldest webhooks of this share that are due. Raises LeaseLost."""
        self._transaction.rely_on(share)
        now = self._transaction.now()
        due = [
            replace(row.webhook, age=now - row.received_at)
            for row in self._pending(share, excluding)
            if row.next_attempt_at is None or row.next_attempt_at <= now
        ]
        sizes = accumulate((len(webhook.payload) for webhook in due), initial=0)
        before = takewhile(lambda size: size < LARGEST_CLAIM, sizes)
        return [webhook for webhook, _ in zip(due[:limit], before, strict=False)]

    async def settle(self, verdicts: Sequence[Verdict]) -> None:
        """Write down what became of claimed webhooks."""
        verdict_on = {verdict.id: verdict for verdict in verdicts}
        now = self._transaction.now()

        def write(tables: Tables) -> None:
            for event_id, row in tables.webhooks.items():
                if row.webhook.id in verdict_on:
                    tables.webhooks[event_id] = _settled(row, verdict_on[row.webhook.id], now)

        self._transaction.write(write)

    async def wake_waiting(self, keys: Collection[str]) -> None:
        """Make due what waits for one of these keys."""
        now = self._transaction.now()

        def write(tables: Tables) -> None:
            for event_id, row in tables.webhooks.items():
                if row.waiting_for in keys:
                    tables.webhooks[event_id] = replace(row, waiting_for=None, next_attempt_at=now)

        waits = any(row.waiting_for in keys for row in self._transaction.read().webhooks.values())
        self._transaction.write(write, wakes=Stage.INBOX if waits else None)

    async def next_due(self, share: Share, *, excluding: Collection[str] = ()) -> timedelta | None:
        """How long until the first of this share that was postponed is due; None without any."""
        now = self._transaction.now()
        due = (row.next_attempt_at for row in self._pending(share, excluding))
        left = (max(at - now, timedelta(0)) for at in due if at is not None)
        return min(left, default=None)

    async def is_processed(self, event_id: str) -> bool:
        """Whether a webhook with this event id was received and is done with."""
        row = self._transaction.read().webhooks.get(event_id)
        return row is not None and row.processed

    async def find(self, query: WebhookQuery) -> Sequence[KeptWebhook]:
        """The webhooks that fit the query, the newest first."""
        found = [
            kept
            for kept in map(_kept, reversed(self._transaction.read().webhooks.values()))
            if (query.event_ids is None or kept.event_id in query.event_ids)
            and (query.states is None or kept.state in query.states)
            and (query.event_type is None or kept.event_type == query.event_type)
        ]
        return found[: query.limit]

    async def count_by_state(self, states: Collection[str] | None = None) -> Mapping[str, int]:
        """How many webhooks are kept in each of these states; those without any are left out."""
        found = (_kept(row).state for row in self._transaction.read().webhooks.values())
        return Counter(state for state in found if states is None or state in states)

    async def replay(
        self, event_ids: Collection[str], *, states: Collection[str] | None = None
    ) -> Collection[str]:
        """Make these due at once, as if they had just come in; returns the ids of those."""

        def fit(tables: Tables) -> list[str]:
            rows = [tables.webhooks[id_] for id_ in event_ids if id_ in tables.webhooks]
            fitting = (row for row in rows if states is None or _kept(row).state in states)
            return [row.webhook.event_id for row in fitting]

        found = fit(self._transaction.read())

        def write(tables: Tables) -> None:
            for event_id in fit(tables):
                row = tables.webhooks[event_id]
                webhook = replace(row.webhook, attempts=0)
                tables.webhooks[event_id] = WebhookRow(webhook, row.received_at)

        self._transaction.write(write, wakes=Stage.INBOX)
        return found

    async def discard(self, event_ids: Collection[str]) -> Collection[str]:
        """Be done with those of these that are dead; returns their ids."""

        def dead(tables: Tables) -> list[str]:
            rows = (tables.webhooks[id_] for id_ in event_ids if id_ in tables.webhooks)
            return [row.webhook.event_id for row in rows if row.outcome == State.DEAD]

        def write(tables: Tables) -> None:
            for event_id in dead(tables):
                tables.webhooks[event_id] = replace(
                    tables.webhooks[event_id], processed=True, outcome=str(Outcome.DISCARDED)
                )

        discarded = dead(self._transaction.read())
        self._transaction.write(write)
        return discarded

    def _pending(self, share: Share, excluding: Collection[str]) -> Sequence[WebhookRow]:
        return [
            row
            for row in self._transaction.read().webhooks.values()
            if row.outcome is None
            and partition_of(row.webhook.ordering_key) in share.partitions
            and row.webhook.ordering_key not in excluding
        ]


def _kept(row: WebhookRow) -> KeptWebhook:
    webhook = row.webhook
    held = State.HELD if row.waiting_for else State.PENDING
    return KeptWebhook(
        event_id=webhook.event_id,
        event_type=webhook.event_type,
        ordering_key=webhook.ordering_key,
        state=row.outcome or (State.RETRYING if webhook.attempts else held),
        received_at=row.received_at,
        attempts=webhook.attempts,
        next_attempt_at=row.next_attempt_at,
        error=row.error,
        payload=webhook.payload,
    )


def _settled(row: WebhookRow, verdict: Verdict, now: datetime) -> WebhookRow:
    at = row.received_at
    webhook, failed = row.webhook, replace(row.webhook, attempts=row.webhook.attempts + 1)
    match verdict:
        case Processed(outcome=outcome, note=note):
            return WebhookRow(webhook, at, processed=True, outcome=str(outcome), error=note)
        case Postponed(delay=delay, reason=reason):
            tried = failed if verdict.failed else webhook
            return WebhookRow(tried, at, now + delay, waiting_for=verdict.waits_for, error=reason)
        case Dead(error=error):
            return WebhookRow(failed, at, outcome=str(State.DEAD), error=error)
