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
    SET_ASIDE,
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


# Read in the order of an index, and no more of it than is counted. As a claim does, it passes over
# what is postponed.
_pending = (
    sa.select(_inbox.created_at)
    .where(sa.text(f"{PENDING} AND NOT ({SET_ASIDE})"))
    .order_by(_inbox.seq)
    .limit(MOST_COUNTED)
    .subquery()
)
# All of it, so that no state hides another: it has an index of its own, and is little.
_set_aside = sa.select(STATE.label("state"), _inbox.created_at).where(sa.text(SET_ASIDE)).subquery()
_unpublished = (
    sa.select(_outbox.created_at)
    .where(_outbox.published_at.is_(None), _outbox.unrouted_at.is_(None))
    .order_by(_outbox.seq)
    .limit(MOST_COUNTED)
    .subquery()
)
_INBOX: Final = sa.union_all(
    sa.select(
        sa.literal(str(State.PENDING)).label("state"), sa.func.count().label("n"), _age(_pending)
    ).having(sa.func.count() > 0),
    sa.select(
        _set_aside.c.state, sa.func.least(sa.func.count(), MOST_COUNTED), _age(_set_aside)
    ).group_by(_set_aside.c.state),
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
