"""A TCP proxy that can be told to misbehave as networks do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Forwards connections to the server of a URL until it is cut or stalled."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answers_flow = True
        self._allowance = 0
        self._answered = asyncio.Event()
        self._accepted = asyncio.Event()
        self._cut = False
        self._connections: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None, "the proxy was not started"
        self._server.close()
        self.drop()
        self._flowing.set()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    @property
    def url(self) -> str:
        """The target's URL, by way of this proxy."""
        assert self._server is not None, "the proxy was not started"
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._target.netloc.rpartition("@")[0]
        return self._target._replace(netloc=f"{credentials}@127.0.0.1:{port}").geturl()

    def drop(self) -> None:
        """Reset every connection; new ones are served."""
        for writer in self._connections:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Reset every connection and each new one."""
        self._cut = True
        self.drop()
        try:
            yield
        finally:
            self._cut = False

    @contextlib.asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Keep the connections but forward nothing, in either direction."""
        async with self.half_stalled(after=0):
            self._answers_flow = False
            try:
                yield
            finally:
                self._answers_flow = True

    @contextlib.asynccontextmanager
    async def half_stalled(self, *, after: int) -> AsyncIterator[None]:
        """Forward what the server says, but no more than this many bytes from its clients."""
        self._allowance = after
        self._answered.clear()
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    async def answered(self) -> None:
        """Return once the server has said something since its clients were stalled."""
        await self._answered.wait()

    async def connected(self) -> None:
        """Return once another client has connected."""
        self._accepted.clear()
        await self._accepted.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self._connections.add(writer)
        self._accepted.set()
        try:
            if not self._cut:
                await self._forward(reader, writer)
        finally:
            writer.transport.abort()
            self._connections.discard(writer)
            self._handlers.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._target.hostname, self._target.port
        server_reader, server_writer = await asyncio.open_connection(host, port)
        self._connections.add(server_writer)
        try:
            await asyncio.gather(
                self._forward_request(reader, server_writer),
                self._forward_answer(server_reader, writer),
            )
        finally:
            server_writer.transport.abort()
            self._connections.discard(server_writer)

    async def _forward_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self._flowing.is_set():
                    allowed, data = data[: self._allowance], data[self._allowance :]
                    self._allowance -= len(allowed)
                    writer.write(allowed)
                    await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def _forward_answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self._answers_flow:
                    await self._flowing.wait()
                writer.write(data)
                await writer.drain()
                self._answered.set()
        writer.transport.abort()
