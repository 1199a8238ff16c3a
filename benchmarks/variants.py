"""The service's own webhook endpoint with something left out: what that costs, or is worth.

`python -m benchmarks.variants noop --port 1234` answers without a database, `insert` writes each
request in a transaction of its own, on a pool of connections and without SQLAlchemy, `untold`
counts nothing and logs nothing but errors.
"""

from __future__ import annotations

import argparse
import os

import asyncpg
from dependency_injector import providers

from adapters.http import server
from ports.inbox import ReceivedWebhook
from ports.partitions import partition_of
from service import logs, settings, wiring
from service.uncounted import UNCOUNTED

CONNECTIONS = 16


class Nowhere:
    """Takes everything and keeps nothing."""

    async def record(self, webhook: ReceivedWebhook) -> bool:
        """Say that it is new."""
        return True

    async def close(self) -> None:
        """Nothing waits."""


class OneByOne:
    """One INSERT, one commit for each request."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def record(self, webhook: ReceivedWebhook) -> bool:
        """Write it down."""
        if self._pool is None:
            self._pool = asyncpg.create_pool(self._url, min_size=CONNECTIONS, max_size=CONNECTIONS)
        await self._pool  # which connects when it is first awaited
        written = await self._pool.execute(
            "INSERT INTO payments.stripe_webhook_events (event_id, event_type, ordering_key,"
            " partition, livemode, api_version, stripe_created_at, payload, traceparent)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (event_id) DO NOTHING",
            webhook.event_id,
            webhook.event_type,
            webhook.ordering_key,
            partition_of(webhook.ordering_key),
            webhook.livemode,
            webhook.api_version,
            webhook.created,
            webhook.payload,
            webhook.traceparent,
        )
        return bool(written == "INSERT 0 1")

    async def close(self) -> None:
        """Let go of the connections."""
        if self._pool is not None:
            await self._pool.close()


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", choices=["noop", "insert", "untold"])
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    loaded = settings.load("api", os.environ)
    untold = options.variant == "untold"
    logs.configure(loaded.log_format, "error" if untold else loaded.log_level)
    container = wiring.Container(settings=loaded)
    if untold:
        container.metrics.override(providers.Object(UNCOUNTED))
    else:
        intake = Nowhere() if options.variant == "noop" else OneByOne(loaded.database_url)
        container.intake.override(providers.Object(intake))

    async def serve() -> None:
        listen_on = ("127.0.0.1", options.port)
        stop = server.stop_on_signal()
        await wiring.run_container(container, listen_on, worker=False, stop=stop)

    server.run(serve())


if __name__ == "__main__":
    main()
