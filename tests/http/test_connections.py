"""What reaches the port before there is a request is bounded in bytes and in time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from litestar import Litestar

from adapters.http import server
from adapters.http.connections import MOST_HEAD, BoundedConnection


@asynccontextmanager
async def connected(
    app: Litestar,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A raw connection to the service."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stop = asyncio.Event()
    serving = asyncio.create_task(server.serve(app, "127.0.0.1", port, stop))
    await asyncio.sleep(0)  # it listens from its first step on
    try:
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            yield reader, writer
            writer.close()
    finally:
        stop.set()
        await serving


@pytest.mark.parametrize("endless", [b"x-more: " + b"y" * 1000 + b"\r\n", b"y" * 1000])
async def test_a_head_without_an_end_is_broken_off(app: Litestar, endless: bytes) -> None:
    async with connected(app) as (reader, writer):
        writer.write(b"GET /health/live HTTP/1.1\r\nhost: payments\r\nx-first: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof() and sent < 1_000 * MOST_HEAD:
                writer.write(endless)
                await writer.drain()
                sent += len(endless)
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
        assert sent < 1_000 * MOST_HEAD


@pytest.mark.parametrize("begun", [b"", b"GET /health/live HTTP/1.1\r\nhost: pay"])
async def test_who_does_not_come_to_the_point_is_let_go(
    app: Litestar, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedConnection, "patience", 0.05)
    async with connected(app) as (reader, writer):
        writer.write(begun)
        assert await reader.read() == b""


@pytest.mark.parametrize("begun", [b"\r\n", b"GET /health/live HTTP/1.1\r\nhost: pay"])
async def test_who_does_not_come_to_the_point_the_second_time_is_let_go(
    app: Litestar, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(app) as (reader, writer):
        writer.write(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n")
        await answered(reader)
        monkeypatch.setattr(BoundedConnection, "patience", 0.05)
        writer.write(begun)
        assert await reader.read() == b""


async def test_a_request_of_ordinary_size_is_answered_and_the_next_one_too(app: Litestar) -> None:
    async with connected(app) as (reader, writer):
        for _ in range(2):
            writer.write(
                b"GET /health/live HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 30_000 + b"\r\n\r\n"
            )
            await answered(reader)


async def answered(reader: asyncio.StreamReader) -> None:
    """Read one answer, which must be a good one."""
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().splitlines()
        if line.startswith(b"content-length")
    )
    await reader.readexactly(length)


_COLLECTOR = """
import asyncio, gc
from adapters.http import server

async def look():
    print(gc.get_freeze_count() > 10_000, gc.get_threshold()[0] > 500 * 50)

server.run(look())
"""


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
async def test_a_request_that_would_rather_speak_another_protocol_is_answered_in_this_one(
    app: Litestar, protocol: bytes
) -> None:
    async with connected(app) as (reader, writer):
        for _ in range(2):
            writer.write(
                b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n"
                b"upgrade: " + protocol + b"\r\n\r\n"
            )
            await answered(reader)


async def test_the_garbage_collector_passes_over_what_was_imported_and_what_a_batch_makes() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _COLLECTOR, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()

    assert said.decode().split() == ["True"] * 2
