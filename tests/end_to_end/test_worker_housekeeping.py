"""A worker does by itself what is done from time to time, and survives what fails of it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import asyncpg

from tests.databases import as_role
from tests.end_to_end.processes import run, running


async def test_a_worker_erases_what_is_old_and_lives_on_while_stripe_is_away(
    database_url: str, service_role: str, rabbitmq_url: str, tmp_path: Path
) -> None:
    status, output = await run(
        {"DATABASE_URL": database_url}, "migrate", "--grant-to", service_role
    )
    assert status == 0, output
    environment = {
        "DATABASE_URL": as_role(database_url, service_role),
        "RABBITMQ_URL": rabbitmq_url,
        "STRIPE_SECRET_KEY": "sk_test_1",
        "STRIPE_API_BASE": "http://127.0.0.1:1",
    }
    owner = await asyncpg.connect(database_url)
    try:
        await owner.execute(
            "INSERT INTO payments.stripe_webhook_events (event_id, event_type, ordering_key,"
            " partition, stripe_created_at, payload, traceparent, created_at, processed, outcome)"
            " VALUES ('evt_1', 't', 'k', 1, now(), 'x', 't', now() - interval '36 days', true,"
            " 'applied')"
        )
        async with running("worker", environment, tmp_path) as worker:
            async with asyncio.timeout(60):
                while (
                    await owner.fetchval(
                        "SELECT count(payload) FROM payments.stripe_webhook_events"
                    )
                    or "job_failed" not in worker.log
                ):
                    await asyncio.sleep(0.05)
            worker.signal(signal.SIGTERM)
            assert await worker.wait() == 0
        jobs = await owner.fetch("SELECT name FROM payments.scheduled_jobs ORDER BY name")
    finally:
        await owner.close()
    assert [row["name"] for row in jobs] == ["abandoned", "reconcile", "retention"]
    assert '"job":"reconcile"' in worker.log
    assert "retention_applied" in worker.log
