"""`make run`: the whole story, on what it is given and on an in-process bus."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process

import pytest

PATIENCE = 60.0  # seconds


async def start(**environment: str) -> Process:
    """Start the sandbox with these settings and no others."""
    given = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **environment}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", env=given, stdout=PIPE, stderr=STDOUT
    )


@pytest.mark.parametrize("bus", ["a broker", "no broker"])
async def test_the_story_ends_as_at_stripe(
    bus: str, database_url: str, request: pytest.FixtureRequest
) -> None:
    broker = "in-process" if bus == "no broker" else request.getfixturevalue("rabbitmq_url")
    sandbox = await start(DATABASE_URL=database_url, RABBITMQ_URL=broker, SANDBOX_ONCE="1")
    async with asyncio.timeout(PATIENCE):
        output = (await sandbox.communicate())[0].decode()
    assert sandbox.returncode == 0, output
    assert "payments.subscription.canceled.v1" in output
    assert "NOT as at Stripe" not in output


async def test_it_serves_until_ctrl_c_and_then_leaves_nothing_running(database_url: str) -> None:
    sandbox = await start(DATABASE_URL=database_url, RABBITMQ_URL="in-process")
    assert sandbox.stdout is not None
    async with asyncio.timeout(PATIENCE):
        async for line in sandbox.stdout:
            if b"Ctrl-C stops everything" in line:
                break
        sandbox.send_signal(signal.SIGINT)
        assert await sandbox.wait() == 0


async def test_a_live_key_is_refused(database_url: str) -> None:
    sandbox = await start(DATABASE_URL=database_url, STRIPE_SECRET_KEY="sk_live_1")
    output = (await sandbox.communicate())[0].decode()
    assert sandbox.returncode == 2
    assert "live key" in output
    assert "sk_live_1" not in output
