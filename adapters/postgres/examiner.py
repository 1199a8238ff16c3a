"""Looks at the database: is it reached, is its schema ours, may we do what we must, what waits?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.engine import storage_errors
from adapters.postgres.migrate import alembic_config
from adapters.postgres.privileges import PRIVILEGES
from adapters.postgres.tables import PENDING, SCHEMA, outbox_events, stripe_webhook_events
from ports.diagnosis import Finding, fail, ok, warn
from ports.unit_of_work import StorageUnavailable

# What is older than this waits for more than its turn.
_LATE: Final = timedelta(minutes=5)
# Stripe's signatures are good for 300 s, so clocks that differ by less than this do no harm.
_SKEW: Final = timedelta(seconds=5)
# The oldest version that the migrations and statements were written for.
_OLDEST: Final = 140_000
_PATIENCE: Final = 30.0  # seconds

_PRIVILEGES: Final = sa.text(
    "SELECT w.name, w.privilege FROM"
    " unnest(CAST(:names AS text[]), CAST(:privileges AS text[])) AS w(name, privilege)"
    " WHERE NOT has_table_privilege(w.name, w.privilege)"
)
_OWNED: Final = sa.text(
    "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(:schema)"
    " AND relkind = 'r' AND pg_has_role(relowner, 'USAGE')"
)
_WEBHOOKS: Final = sa.text(
    f"SELECT min(created_at) FILTER (WHERE {PENDING} AND next_attempt_at IS NULL) AS unprocessed,"
    f" count(*) FILTER (WHERE {PENDING}) AS pending,"
    " count(*) FILTER (WHERE outcome = 'dead') AS dead"
    f" FROM {stripe_webhook_events.fullname} WHERE NOT processed"
)
# Of the newest: what is done with is kept for more than a year.
_WRONG_MODE: Final = sa.text(
    "SELECT count(*) FROM (SELECT outcome"
    f" FROM {stripe_webhook_events.fullname} WHERE processed ORDER BY created_at DESC LIMIT 10000)"
    " AS newest WHERE outcome = 'wrong_mode'"
)
_DURABILITY: Final = sa.text(
    "SELECT s.name FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS s(name)"
    " WHERE current_setting(s.name) = 'off'"
)
_MESSAGES: Final = sa.text(
    "SELECT min(created_at) FILTER (WHERE unrouted_at IS NULL) AS unpublished,"
    " count(*) FILTER (WHERE unrouted_at IS NULL) AS waiting,"
    " count(unrouted_at) AS unrouted"
    f" FROM {outbox_events.fullname} WHERE published_at IS NULL"
)
_WORKERS: Final = sa.text(
    f"SELECT count(*) FROM {SCHEMA}.workers WHERE expires_at > clock_timestamp()"
)


class PostgresExaminer:
    """The database of one engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def examine(self) -> list[Finding]:
        """What was found."""
        found: list[Finding] = []
        try:
            async with asyncio.timeout(_PATIENCE):
                with storage_errors():
                    async with self._engine.connect() as connection:
                        await _examine(connection, found)
        except TimeoutError:
            found.append(fail("database", f"no answer within {_PATIENCE:.0f} s", "see its log"))
        except StorageUnavailable as error:
            said, _, todo = str(error).partition(": ")
            found.append(fail("database", said, todo or "see its log"))
        return found


async def _examine(connection: AsyncConnection, found: list[Finding]) -> None:
    begin = datetime.now(UTC)
    server = (
        await connection.execute(
            sa.text(
                "SELECT current_setting('server_version') AS version,"
                " current_setting('server_version_num')::integer AS number,"
                " clock_timestamp() AS now, pg_is_in_recovery() AS replica"
            )
        )
    ).one()
    found.append(_version(server))
    between = begin + (datetime.now(UTC) - begin) / 2
    found.append(_clock(abs(server.now - between)))
    found.append(_durability(list(await connection.scalars(_DURABILITY))))
    if not await _schema(connection, found):
        return
    await _role(connection, found)
    webhooks = (await connection.execute(_WEBHOOKS)).one()
    found += _inbox(webhooks, server.now)
    found += _modes(await connection.scalar(_WRONG_MODE))
    found += _outbox((await connection.execute(_MESSAGES)).one(), server.now)
    workers = await connection.scalar(_WORKERS)
    found.append(
        ok("workers", f"{workers} alive")
        if workers
        else warn("workers", "none is alive", "start one: payments worker, or payments serve")
    )


def _version(server: Any) -> Finding:
    if server.replica:
        return fail(
            "database", "this is a replica, which takes no writes", "point DATABASE_URL elsewhere"
        )
    if server.number < _OLDEST:
        return fail("database", f"PostgreSQL {server.version}", "upgrade it to 14 or later")
    return ok("database", f"PostgreSQL {server.version} answers")


def _clock(skew: timedelta) -> Finding:
    said = f"the database's differs from this host's by {skew.total_seconds():.1f} s"
    if skew > _SKEW:
        return warn("clock", said, "have both hosts keep time with NTP")
    return ok("clock", said)


def _durability(off: list[str]) -> Finding:
    if off:
        said = f"{', '.join(off)} off: what was answered 200 may be lost with the server"
        return warn("durability", said, "switch it on for this database and role")
    return ok("durability", "what is committed survives a crash of the server")


async def _schema(connection: AsyncConnection, found: list[Finding]) -> bool:
    script = ScriptDirectory.from_config(alembic_config(""))
    head = script.get_current_head()
    if not await connection.scalar(
        sa.text("SELECT to_regclass(:table)"), {"table": f"{SCHEMA}.alembic_version"}
    ):
        found.append(fail("schema", "is missing", "run payments migrate"))
        return False
    at = await connection.scalar(sa.text(f"SELECT version_num FROM {SCHEMA}.alembic_version"))
    known = {revision.revision for revision in script.walk_revisions()}
    if at == head:
        found.append(ok("schema", f"is at {at}, the newest of this release"))
    elif at in known:
        found.append(fail("schema", f"is at {at}, not yet at {head}", "run payments migrate"))
        return False
    else:
        found.append(
            warn("schema", f"is at {at}, of a later release", "update this service before long")
        )
    return True


async def _role(connection: AsyncConnection, found: list[Finding]) -> None:
    wanted = [
        (f"{SCHEMA}.{table}", privilege)
        for table, privileges in PRIVILEGES.items()
        for privilege in privileges.split(", ")
    ]
    lacking = (
        await connection.execute(
            _PRIVILEGES,
            {"names": [one for one, _ in wanted], "privileges": [one for _, one in wanted]},
        )
    ).all()
    grant = "run payments migrate --grant-to ROLE as the owner of the schema"
    if lacking:
        listed = ", ".join(f"{privilege} on {table}" for table, privilege in lacking)
        found.append(fail("role", f"lacks {listed}", grant))
    elif await connection.scalar(_OWNED, {"schema": SCHEMA}):
        found.append(
            warn("role", "owns the tables, so that it could drop them", f"use another one: {grant}")
        )
    else:
        found.append(ok("role", "may do what it must, and owns nothing"))


def _inbox(webhooks: Any, now: datetime) -> Iterator[Finding]:
    oldest = webhooks.unprocessed
    if oldest is not None and now - oldest > _LATE:
        yield fail(
            "inbox",
            f"{webhooks.pending} webhooks wait, the oldest since {_moment(oldest)}",
            "see that a worker runs, and what it logs",
        )
    else:
        yield ok("inbox", f"{webhooks.pending} webhooks wait, none for long")
    if webhooks.dead:
        yield warn(
            "dead letters",
            f"{webhooks.dead} webhooks were given up, and are kept",
            "payments events list --state dead says why; mend the cause, then replay them, or"
            " discard them",
        )
    else:
        yield ok("dead letters", "none")


def _modes(wrong: int | None) -> Iterator[Finding]:
    if wrong:
        yield warn(
            "mode",
            f"{wrong} of the last 10,000 webhooks came in the other mode (test or live)",
            "point that endpoint at Stripe elsewhere, or correct STRIPE_SECRET_KEY",
        )


def _outbox(messages: Any, now: datetime) -> Iterator[Finding]:
    oldest = messages.unpublished
    if oldest is not None and now - oldest > _LATE:
        yield fail(
            "outbox",
            f"{messages.waiting} messages wait, the oldest since {_moment(oldest)}",
            "see that the broker is up and that a queue is bound for the first three kinds of"
            " message: message_held_back in the worker's log names one",
        )
    else:
        yield ok("outbox", f"{messages.waiting} messages wait, none for long")
    if messages.unrouted:
        yield warn(
            "unrouted messages",
            f"{messages.unrouted} were given up because no queue wanted them",
            "bind a queue to payments.# if somebody should have had them",
        )


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
