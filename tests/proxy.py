"""A TCP proxy that can be told to misbehave as networks do."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Forwards connections to the server of a URL until it is cut or stalled."""

    def __init__(self, url: str, *others: str) -> None:
        """Forward to the server of a URL or, one connection each in turn, of the others too.

        One that does not answer is passed over.
        """
        self._target = urlsplit(url)
        self._targets = deque([self._target, *map(urlsplit, others)])
        # How often it hindered something: a connection refused or reset, data held up or lost.
        self.hindered = 0
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answers_flow = True
        self._answers_are_lost = False
        self._allowance = 0
        self._answered = asyncio.Event()
        self._holding = asyncio.Event()
        self._accepted = asyncio.Event()
        self._cut = False
        self._delay = 0.0
        self._connections: set[asyncio.StreamWriter] = set()
        self._abandoned: set[asyncio.StreamWriter] = set()
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
        credentials = "".join(self._target.netloc.rpartition("@")[:2])
        return self._target._replace(netloc=f"{credentials}127.0.0.1:{port}").geturl()

    def move(self, url: str) -> None:
        """Forward new connections to this server instead."""
        self._target = urlsplit(url)
        self._targets = deque([self._target])

    def drop(self) -> None:
        """Reset every connection; new ones are served."""
        self.hindered += len(self._connections)
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
    async def slow(self, seconds: float) -> AsyncIterator[None]:
        """Hold up whatever comes through by so many seconds."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    def abandon(self) -> None:
        """Keep the connections there are, but never forward anything on them again.

        So does a firewall that has forgotten them; new connections are served.
        """
        self._abandoned |= self._connections

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

    @contextlib.asynccontextmanager
    async def unanswered(self) -> AsyncIterator[None]:
        """Forward what clients say and lose what the server says; then reset every connection."""
        self._answers_are_lost = True
        try:
            yield
        finally:
            self.drop()
            self._answers_are_lost = False

    async def answered(self) -> None:
        """Return once the server has said something since its clients were stalled."""
        await self._answered.wait()

    async def holds_up(self) -> None:
        """Return once it is stalled and a client has said something more."""
        self._holding.clear()
        await self._holding.wait()

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
            with contextlib.suppress(OSError):  # its server does not listen: nor does this
                if self._cut:
                    self.hindered += 1
                else:
                    await self._forward(reader, writer)
        finally:
            writer.transport.abort()
            self._forget(writer)
            self._handlers.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await self._connect()
        self._connections.add(server_writer)
        try:
            await asyncio.gather(
                self._forward_request(reader, server_writer),
                self._forward_answer(server_reader, writer),
            )
        finally:
            server_writer.transport.abort()
            self._forget(server_writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        refused = OSError("no server")
        targets = list(self._targets)
        self._targets.rotate(-1)
        for target in targets:
            try:
                return await asyncio.open_connection(target.hostname, target.port)
            except OSError as error:
                refused = error
        raise refused

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        self._connections.discard(writer)
        self._abandoned.discard(writer)

    async def _arrives(self, writer: asyncio.StreamWriter) -> bool:
        """Whether what comes for this connection gets through, once it has been held up."""
        if self._delay:
            self.hindered += 1
            await asyncio.sleep(self._delay)
        if writer not in self._abandoned:
            return True
        self.hindered += 1
        return False

    async def _forward_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not await self._arrives(writer):
                    continue
                if not self._flowing.is_set():
                    allowed, data = data[: self._allowance], data[self._allowance :]
                    self._allowance -= len(allowed)
                    writer.write(allowed)
                    self.hindered += 1
                    self._holding.set()
                    await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def _forward_answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not await self._arrives(writer):
                    continue
                if self._answers_are_lost:
                    self.hindered += 1
                    continue
                if not self._answers_flow:
                    await self._flowing.wait()
                writer.write(data)
                await writer.drain()
                self._answered.set()
        writer.transport.abort()
