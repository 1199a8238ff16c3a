"""A line to a server that can be cut: how the sandbox loses a database or a broker.

It works on any server, also on one that was given and that nobody here may stop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

# Where a URL's scheme alone says where the server is.
_PORTS: Final = {"postgresql": 5432, "postgres": 5432, "amqp": 5672}


class Line:
    """Forwards connections until it is cut; then it resets them, and each new one."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._cut = False
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """Have nothing come through meanwhile."""
        self._cut = True
        self.drop()
        try:
            yield
        finally:
            self._cut = False

    def drop(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._writers.add(writer)
        try:
            if not self._cut:
                await self._join(reader, writer)
        except OSError:
            pass  # either end has gone, which is all that there is to it
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(*self._target)
        self._writers.add(other_writer)
        ways = [
            asyncio.create_task(_pump(reader, other_writer)),
            asyncio.create_task(_pump(other_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers.discard(other_writer)
            other_writer.transport.abort()


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[tuple[Line, str]]:
    """A line to the server of a URL, and the URL by way of it.

    Raises ValueError for a URL that names no host, or another protocol.
    """
    line = Line(*_target_of(url))
    server = await asyncio.start_server(line.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    try:
        yield line, parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}").geturl()
    finally:
        server.close()
        line.drop()


def why_it_cannot_be_cut(url: str) -> str | None:
    """What stands in the way of a line to the server of a URL; None where nothing does."""
    try:
        _target_of(url)
    except ValueError as error:
        return str(error)
    return None


def _target_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    scheme = parts.scheme.partition("+")[0]
    if scheme not in _PORTS:
        raise ValueError(f"a line can be put only into {', '.join(_PORTS)}, not into {scheme}")
    if parts.hostname is None:
        raise ValueError("it names no host, so that there is no TCP connection to cut")
    return parts.hostname, parts.port or _PORTS[scheme]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
