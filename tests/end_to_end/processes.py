"""The service as an operator runs it: the `payments` command, with nothing but its environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

PAYMENTS = Path(sys.executable).with_name("payments")
PATIENCE = 30.0  # seconds
# A busy machine takes a minute to start four processes at once.
START_PATIENCE = 180.0


class Process:
    """A running `payments` command, and what it wrote to its log."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        log: Path,
        address: str | None,
        metrics: str | None = None,
    ) -> None:
        self._process = process
        self._log = log
        self.address = address
        # A worker listens for nothing else.
        self.metrics = metrics or address

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything logged so far."""
        return self._log.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def wait(self) -> int:
        """The exit status, once it has ended."""
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    async def end(self) -> None:
        """Kill it if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


async def run(environment: Mapping[str, str], *command: str) -> tuple[int, str]:
    """Run a command to its end; its exit status and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        PAYMENTS,
        *command,
        env=_bare(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(START_PATIENCE):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@asynccontextmanager
async def running(
    command: str,
    environment: Mapping[str, str],
    directory: Path,
    *,
    source: Path | None = None,
) -> AsyncIterator[Process]:
    """Start `api`, `worker` or `serve` and wait until it works; it is killed at the end.

    `source` is where another release of the service lies.
    """
    listens = command in ("api", "serve")
    port = _free_port()
    log = directory / f"{command}-{port}.log"
    with log.open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            *(_release() if source else [PAYMENTS]),
            command,
            # Earlier releases had nothing to show of a worker.
            *(["--port", str(port)] if listens or source is None else []),
            env=_bare(environment),
            cwd=source,
            stdout=output,
            stderr=output,
        )
    address = f"http://127.0.0.1:{port}"
    process = Process(child, log, address if listens else None, address)
    try:
        await _until_it_works(process)
        yield process
    finally:
        await process.end()


async def _until_it_works(process: Process) -> None:
    # A starting process gives no event to wait on: its port is not open, its log is a file.
    async with asyncio.timeout(START_PATIENCE), httpx.AsyncClient() as client:
        while True:
            if process.address is None:
                if "partitions_changed" in process.log:
                    return
            else:
                with contextlib.suppress(httpx.TransportError):
                    ready = await client.get(f"{process.address}/health/ready")
                    if ready.is_success:
                        return
            await asyncio.sleep(0.02)


def _release() -> list[str]:
    # What is in the current directory comes before what is installed.
    return [sys.executable, "-m", "service.cli"]


def _bare(environment: Mapping[str, str]) -> dict[str, str]:
    """Only what is given, and what any program needs to start."""
    return {"PATH": os.environ.get("PATH", ""), "LOG_FORMAT": "json", **environment}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
