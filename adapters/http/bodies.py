"""Reads bodies of webhooks within limits of size, time and, over all requests, memory.

The server holds back what a client sends until it is read here, so what is counted here is what
is held. No framework has a limit over all requests, hence our own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from litestar import Request

from ports.inbox import Overloaded

# What the requests of a process may hold at once. Twice what may wait to be written, because a
# body is held until its request is answered.
MOST_BYTES: Final = 128 * 1024 * 1024
MOST_REQUESTS: Final = 5_000
# Seconds for a whole body. Stripe sends its few kilobytes at once and gives up after 20 itself.
PATIENCE: Final = 10.0


class SlowBody(Exception):
    """The body did not arrive in time."""


class Bodies:
    """The bodies that are held by a process."""

    def __init__(
        self,
        *,
        most_bytes: int = MOST_BYTES,
        most_requests: int = MOST_REQUESTS,
        patience: float = PATIENCE,
    ) -> None:
        self._most_bytes = most_bytes
        self._most_requests = most_requests
        self._patience = patience
        self.bytes = 0
        self.requests = 0

    @asynccontextmanager
    async def read(self, request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
        """The whole body, held until the end of the block.

        Raises Overloaded where too much is held already, SlowBody, and what the framework does
        where the body is too large.
        """
        if self.requests >= self._most_requests:
            raise Overloaded(f"{self.requests} webhooks are being taken")
        held = 0
        self.requests += 1
        try:
            chunks = []
            try:
                async with asyncio.timeout(self._patience):
                    async for chunk in request.stream():
                        held += len(chunk)
                        self.bytes += len(chunk)
                        if self.bytes > self._most_bytes:
                            raise Overloaded(f"{self.requests} webhooks hold {self.bytes} bytes")
                        chunks.append(chunk)
            except TimeoutError:
                raise SlowBody from None
            yield b"".join(chunks)
        finally:
            self.requests -= 1
            self.bytes -= held
