"""What people do on the page, in a real browser: from click to table to consumed event."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from sandbox import platform
from sandbox.platform import Options

WEB = Path(__file__).parents[2] / "web"
PATIENCE = 450.0  # seconds, for one and a half dozen stories

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
MISSING = [
    what
    for what, there in (
        ("Node with npm", shutil.which("npm")),
        ("Chromium (or set CHROMIUM)", CHROMIUM),
        ("the built page (make web)", (WEB / "dist" / "index.html").is_file()),
    )
    if not there
]


# A machine may lack all of it; one that says it is there to test everything may not.
@pytest.mark.skipif(
    bool(MISSING) and os.environ.get("CI") != "true", reason=f"missing here: {', '.join(MISSING)}"
)
async def test_what_people_do_on_the_page_reaches_the_tables_and_the_users_service(
    database_url: str, rabbitmq_url: str, tmp_path: Path
) -> None:
    assert not MISSING, f"missing here: {', '.join(MISSING)}"
    options = Options(
        data=tmp_path,
        environment={"DATABASE_URL": database_url, "RABBITMQ_URL": rabbitmq_url},
        port=0,
        stripe_port=0,
        passing=True,
    )
    told = tmp_path / "outcomes"
    async with platform.start(options) as running:
        stories = await asyncio.create_subprocess_exec(
            *("npm", "run", "--silent", "sandbox"),
            cwd=WEB,
            env={
                **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                "CHROMIUM": str(CHROMIUM),
                "SANDBOX": running.address,
                "OUTCOMES": str(told),
            },
            stdout=PIPE,
            stderr=STDOUT,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                output = (await stories.communicate())[0].decode()
        finally:
            if stories.returncode is None:
                stories.terminate()
                await stories.wait()
        assert stories.returncode == 0, output
        lines = [json.loads(line) for line in told.read_text().splitlines()]
        # Whoever has bought something, and what they had in the end.
        outcomes = {line["user"]: (line["status"], line["plan"]) for line in lines}
        assert len(outcomes) >= 11
        for user, expected in outcomes.items():
            assert await _rows(database_url, user) == [expected]
            believed = running.users.view.users[user].values()
            assert [(seen.status, seen.plan) for seen in believed] == [expected]


async def _rows(database_url: str, user: str) -> list[tuple[str, str]]:
    """What the tables say of a user."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "SELECT status, plan FROM payments.subscriptions WHERE user_id = $1", UUID(user)
        )
    finally:
        await connection.close()
    return [(row["status"], row["plan"]) for row in rows]
