"""What can stand behind the ports of storage: stand-ins and PostgreSQL."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.memory.inbox import MemoryIntake
from adapters.memory.partitions import MemoryPartitions
from adapters.memory.store import MemoryStore
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.memory.wakeups import MemoryWakeups
from adapters.postgres.inbox import PostgresIntake
from adapters.postgres.partitions import PostgresPartitions
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from adapters.postgres.wakeups import PostgresWakeups
from ports.inbox import Intake
from ports.partitions import Partitions
from ports.unit_of_work import UnitOfWork
from ports.wakeups import Wakeups


class Storage(Protocol):
    """Makes the adapters of one kind, all on the same state."""

    def unit_of_work(self) -> UnitOfWork: ...
    def intake(self) -> Intake: ...
    def partitions(self) -> Partitions: ...
    def wakeups(self) -> Wakeups: ...

    async def let_expire(self, worker: UUID) -> None:
        """Let the time pass for which this worker is believed alive."""
        ...

    async def let_pass(self, time: timedelta) -> None:
        """Let time pass for the webhooks that are kept."""
        ...

    async def marks(self, message_id: UUID) -> tuple[datetime | None, datetime | None]:
        """When this message was published, and when it was given up as unrouted."""
        ...

    def away(self) -> AbstractAsyncContextManager[None]:
        """Make the storage unreachable for a while."""
        ...


class MemoryStorage:
    def __init__(self) -> None:
        self._store = MemoryStore()

    def unit_of_work(self) -> UnitOfWork:
        return MemoryUnitOfWork(self._store)

    def intake(self) -> Intake:
        return MemoryIntake(self._store)

    def partitions(self) -> Partitions:
        return MemoryPartitions(self._store)

    def wakeups(self) -> Wakeups:
        return MemoryWakeups(self._store)

    async def let_expire(self, worker: UUID) -> None:
        if lease := self._store.workers.get(worker):
            lease.expires_at = datetime.min.replace(tzinfo=UTC)

    async def let_pass(self, time: timedelta) -> None:
        for lease in self._store.workers.values():
            lease.expires_at += time
        self._store.clock.advance(time)

    async def marks(self, message_id: UUID) -> tuple[datetime | None, datetime | None]:
        row = self._store.tables.messages[message_id]
        return row.published_at, row.unrouted_at

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self._store.available = False
        try:
            yield
        finally:
            self._store.available = True


class PostgresStorage:
    def __init__(self, engine: AsyncEngine, server_url: str) -> None:
        self._engine = engine
        self._server_url = server_url

    def unit_of_work(self) -> UnitOfWork:
        return PostgresUnitOfWork(self._engine)

    def intake(self) -> Intake:
        return PostgresIntake(self._engine)

    def partitions(self) -> Partitions:
        return PostgresPartitions(self._engine)

    def wakeups(self) -> Wakeups:
        return PostgresWakeups(self._engine)

    async def let_expire(self, worker: UUID) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.text(
                    "UPDATE payments.workers SET expires_at = now() - interval '1 s'"
                    " WHERE id = :worker"
                ),
                {"worker": worker},
            )

    async def let_pass(self, time: timedelta) -> None:
        # As if everything had happened so much earlier: the server's clock is not ours to set.
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.text(
                    "UPDATE payments.stripe_webhook_events SET"
                    " created_at = created_at - CAST(:time AS interval),"
                    " next_attempt_at = next_attempt_at - CAST(:time AS interval)"
                ),
                {"time": time},
            )

    async def marks(self, message_id: UUID) -> tuple[datetime | None, datetime | None]:
        async with self._engine.connect() as connection:
            found = await connection.execute(
                sa.text(
                    "SELECT published_at, unrouted_at FROM payments.outbox_events WHERE id = :id"
                ),
                {"id": message_id},
            )
            row = found.one()
        return row.published_at, row.unrouted_at

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        database = self._engine.url.database
        server = await asyncpg.connect(self._server_url)
        try:
            await server.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
            await server.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1",
                database,
            )
            yield
        finally:
            await server.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
            await server.close()
