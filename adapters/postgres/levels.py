"""How full the tables are: for metrics, so no query may grow with what waits."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import storage_errors
from adapters.postgres.inbox import STATE
from adapters.postgres.tables import (
    PENDING,
    duplicate_subscriptions,
    outbox_events,
    stripe_webhook_events,
    subscriptions,
)
from ports.inbox import State
from ports.levels import MOST_COUNTED, Backlog, Population, Waiting

# Windows of the trial-end forecast, in days.
TRIAL_WINDOWS: Final = (1, 3, 7, 30)

_inbox = stripe_webhook_events.c
_outbox = outbox_events.c


def _seconds_since(first: sa.ColumnElement[object]) -> sa.ColumnElement[float]:
    age = sa.func.extract("epoch", sa.func.now() - sa.func.min(first))
    return sa.cast(sa.func.greatest(age, 0), sa.Float)


def _in_days(days: int) -> sa.ColumnElement[datetime]:
    return sa.func.now() + sa.func.make_interval(0, 0, 0, days)


def _age(row: sa.Subquery) -> sa.ColumnElement[float]:
    return sa.func.coalesce(_seconds_since(row.c.created_at), 0.0).label("s")


# Each reads the first rows of an index and no more, however many there are. What was given up is
# in no index of its own: it is old, so it is among the oldest that are not processed.
_under_way = (
    sa.select(STATE.label("state"), _inbox.created_at)
    .where(sa.text(PENDING))
    .order_by(_inbox.seq)
    .limit(MOST_COUNTED)
    .subquery()
)
_unprocessed = (
    sa.select(_inbox.outcome.label("state"), _inbox.created_at)
    .where(sa.not_(_inbox.processed))
    .order_by(_inbox.processed, _inbox.created_at)
    .limit(MOST_COUNTED)
    .subquery()
)
_unpublished = (
    sa.select(_outbox.created_at)
    .where(_outbox.published_at.is_(None), _outbox.unrouted_at.is_(None))
    .order_by(_outbox.seq)
    .limit(MOST_COUNTED)
    .subquery()
)
_INBOX: Final = sa.union_all(
    sa.select(_under_way.c.state, sa.func.count().label("n"), _age(_under_way)).group_by(
        _under_way.c.state
    ),
    sa.select(_unprocessed.c.state, sa.func.count().label("n"), _age(_unprocessed))
    .where(_unprocessed.c.state == str(State.DEAD))
    .group_by(_unprocessed.c.state),
)
_OUTBOX: Final = sa.select(sa.func.count().label("n"), _age(_unpublished))
_SUBSCRIPTIONS: Final = sa.select(
    subscriptions.c.status, subscriptions.c.plan, sa.func.count().label("n")
).group_by(subscriptions.c.status, subscriptions.c.plan)
_TRIALS: Final = sa.select(
    *(
        sa.func.count().filter(subscriptions.c.trial_end_date < _in_days(days)).label(f"d{days}")
        for days in TRIAL_WINDOWS
    )
).where(
    subscriptions.c.status == "trialing",
    subscriptions.c.trial_end_date.between(sa.func.now(), _in_days(max(TRIAL_WINDOWS))),
)
_DUPLICATES: Final = (
    sa.select(sa.func.count())
    .select_from(
        duplicate_subscriptions.join(
            subscriptions, subscriptions.c.id == duplicate_subscriptions.c.subscription_id
        )
    )
    .where(subscriptions.c.status.not_in(["canceled", "expired"]))
)


class PostgresLevels:
    """Reads the levels of one database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def backlog(self) -> Backlog:
        """What is under way now."""
        with storage_errors():
            async with self._engine.connect() as connection:
                inbox = await connection.execute(_INBOX)
                outbox = (await connection.execute(_OUTBOX)).one()
        return Backlog(
            {row.state: Waiting(row.n, row.s) for row in inbox}, Waiting(outbox.n, outbox.s)
        )

    async def population(self) -> Population:
        """What is subscribed to now."""
        with storage_errors():
            async with self._engine.connect() as connection:
                counts = {
                    (row.status, row.plan): row.n
                    for row in await connection.execute(_SUBSCRIPTIONS)
                }
                trials = (await connection.execute(_TRIALS)).one()
                duplicates = await connection.scalar(_DUPLICATES)
        return Population(counts, dict(zip(TRIAL_WINDOWS, trials, strict=True)), duplicates or 0)
