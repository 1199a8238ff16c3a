"""Looking at the sessions of the adapters from outside, and ending them."""

import asyncio
from typing import Final

import asyncpg

from ports.unit_of_work import UnitOfWork

# Seconds after which what is waited for has failed to happen.
PATIENCE: Final = 20.0


async def terminate(bystander: asyncpg.Connection, query: str = "%") -> int:
    """End the sessions of the adapters whose last query is like this, and tell how many.

    They are gone when this returns.
    """
    ended = await bystander.fetch(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'under test'"
        " AND query LIKE $1",
        query,
    )
    return len(ended)


async def write_down(uow: UnitOfWork) -> None:
    """Have the server do what was to be done later: any question has to see it."""
    await uow.paid_invoices.known(["in_nowhere"])


async def until_blocked(bystander: asyncpg.Connection, sessions: int = 1) -> None:
    """Return once this many sessions of the adapters wait for a lock.

    PostgreSQL has no event for it, so this looks again and again.
    """
    async with asyncio.timeout(PATIENCE):
        while sessions > await _blocked(bystander):
            await asyncio.sleep(0.005)


async def _blocked(bystander: asyncpg.Connection) -> int:
    # Within a transaction the first look would be repeated for ever.
    await bystander.execute("SELECT pg_stat_clear_snapshot()")
    return int(
        await bystander.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'under test' AND wait_event_type = 'Lock'"
        )
    )
