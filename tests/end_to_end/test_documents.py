"""What the documents say one can type does what they say."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest

from sandbox.stripe.server import StripeSandbox
from tests.documents import DOCUMENTS, LIVE, MAKE, ROOT, commands_of, of_this_month, run_by
from tests.end_to_end.service import deliver
from tests.stripe_payloads import START, event, subscription

PATIENCE = 120.0  # seconds for one command
STAYING = re.compile(r"payments (serve|api|worker)\b")
AFTER_RESTORE = "payments republish --after-restore"


def told(test: str) -> list[str]:
    """Every command that this test is to run, in the order of the documents."""
    return [c for document in DOCUMENTS for c in commands_of(document) if run_by(c) == test]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def shell(command: str, environment: dict[str, str], directory: Path) -> tuple[int, str]:
    """Run it as it stands; its exit status and what it wrote."""
    process = await asyncio.create_subprocess_shell(
        command,
        env=environment,
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@asynccontextmanager
async def staying(command: str, environment: dict[str, str], directory: Path) -> AsyncIterator[str]:
    """Run what stays until it is stopped; the address at which it answers, once it is ready."""
    process = await asyncio.create_subprocess_shell(
        f"exec {command}",
        env=environment,
        cwd=directory,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    port = command.split("--port ")[1].split(maxsplit=1)[0]
    address = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient() as client:
            while True:
                assert process.returncode is None, f"`{command}` has ended"
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{address}/health/ready")).is_success:
                        break
                await asyncio.sleep(0.05)  # a starting process gives no event to wait on
        yield address
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.fixture
async def account() -> AsyncIterator[StripeSandbox]:
    async with StripeSandbox(start=int(time.time()), runs=False) as sandbox:
        yield sandbox


async def test_what_operators_are_told_works(
    database_url: str, environment: dict[str, str], account: StripeSandbox, tmp_path: Path
) -> None:
    claims: dict[str, Any] = {
        "sub": str(uuid4()),
        "email": "one@example.org",
        "name": "One",
        "iss": environment["JWT_ISSUER"],
        "aud": environment["JWT_AUDIENCE"],
        "exp": datetime.now(UTC) + timedelta(hours=1),
    }
    given = environment | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATABASE_URL": database_url,
        "STRIPE_SECRET_KEY": account.api_key,
        "STRIPE_API_BASE": account.url,
        "TOKEN": jwt.encode(claims, environment["JWT_SECRET"], algorithm="HS256"),
    }
    ports = {port: str(free_port()) for port in ("8000", "8001", "8002")}
    begun = subscription("sub_1", status="trialing", user_id=UUID(claims["sub"]), customer="cus_1")
    # What cannot be read is given up at once, as operators meet it.
    dead = event("customer.subscription.created", {"object": "subscription"}, created=START)

    def here(command: str) -> str:
        for port, free in ports.items():
            command = command.replace(port, free)
        return of_this_month(command.replace("evt_1RrExample", dead["id"]))

    commands = list(dict.fromkeys(told(LIVE)))
    serve = next(command for command in commands if command.startswith("payments serve"))

    async def is_given_up() -> None:
        async with asyncio.timeout(30):
            listing = ""
            while dead["id"] not in listing:
                _, listing = await shell("payments events list --state dead", given, tmp_path)

    async with staying(here(serve), given, tmp_path) as address:
        await deliver(address, [event("customer.subscription.created", begun, created=START)])
        await deliver(address, [dead])
        await is_given_up()
        for command in commands:
            if command in (serve, AFTER_RESTORE):
                continue
            if "events discard" in command:
                await is_given_up()  # again, for it was replayed
            if STAYING.match(command):
                async with staying(here(command), given, tmp_path):
                    continue
            status, output = await shell(here(command), given, tmp_path)
            assert status == 0, f"`{command}`: {output}"
        # A worker is alive, and it would tell something else under numbers that are left out.
        status, output = await shell(AFTER_RESTORE, given, tmp_path)
        assert status == 1, output
        assert "a worker is alive" in output
    status, output = await shell(AFTER_RESTORE, given, tmp_path)
    assert status == 0, output
    assert output.startswith("1 snapshots will be published"), output


async def test_what_developers_are_told_works(tmp_path: Path) -> None:
    """In a copy, which is the same afterwards: everything generated is up to date."""
    copy = tmp_path / "copy"
    made = (".*_cache", "__pycache__", ".hypothesis", ".git", ".venv", ".sandbox", "node_modules")
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*made))
    (copy / ".venv").symlink_to(ROOT / ".venv")
    modules = ROOT / "web" / "node_modules"
    if modules.is_dir():
        (copy / "web" / "node_modules").symlink_to(modules)
    # What is installed stays as it is: it is this checkout's.
    for name in ("requirements-dev.lock", "pyproject.toml", "web/package.json"):
        os.utime(copy / name, (0, 0))
    os.utime(copy / "web" / "package-lock.json", (0, 0))

    def contents() -> dict[str, bytes]:
        files = [*copy.glob("*.md"), *copy.glob("*.lock"), *copy.glob("*/**/*.*")]
        return {
            str(path.relative_to(copy)): path.read_bytes()
            for path in files
            if path.is_file()
            and not {*path.parts} & {".venv", "node_modules", ".ruff_cache", "__pycache__"}
        }

    before = contents()
    # The locks last, since newer ones would be installed by the next command.
    commands = sorted(set(told(MAKE)), key=lambda command: command == "make lock")
    assert commands[-1] == "make lock"
    unreachable = ""
    for command in commands:
        status, output = await shell(command, dict(os.environ), copy)
        if command == "make lock" and status != 0:
            unreachable = output
            continue
        assert status == 0, f"`{command}`: {output}"
    after = contents()
    assert [name for name in before | after if before.get(name) != after.get(name)] == []
    if unreachable:
        pytest.skip(f"all but `make lock`, for which no registry answers: {unreachable[-200:]}")
