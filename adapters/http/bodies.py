"""Reads bodies of webhooks within limits of size, time and, over all requests, memory.

The server holds back what a client sends until it is read here, so what is counted here is what
is held. No framework has a limit over all requests, hence our own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import Receive

from ports.inbox import Overloaded

# Stripe's largest events are far below this; what is above is not from Stripe.
LARGEST_BODY: Final = 512 * 1024
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
    async def read(self, receive: Receive, announced: int) -> AsyncIterator[bytes | None]:
        """The whole body, held until the end of the block; None where the sender went away.

        `announced` is what its Content-Length says, in bytes. Raises Overloaded where too much is
        held already, SlowBody, and RequestEntityTooLarge.
        """
        if self.requests >= self._most_requests:
            raise Overloaded(f"{self.requests} webhooks are being taken")
        if announced > LARGEST_BODY:
            raise RequestEntityTooLarge
        taken = _Taken()
        self.requests += 1
        try:
            try:
                async with asyncio.timeout(self._patience):
                    whole = await self._take(receive, taken)
            except TimeoutError:
                raise SlowBody from None
            yield b"".join(taken.chunks) if whole else None
        finally:
            self.requests -= 1
            self.bytes -= taken.size

    async def _take(self, receive: Receive, taken: _Taken) -> bool:
        """Whether the body was taken to its end."""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return False
            chunk = message["body"]
            taken.chunks.append(chunk)
            taken.size += len(chunk)
            self.bytes += len(chunk)
            if taken.size > LARGEST_BODY:
                raise RequestEntityTooLarge
            if self.bytes > self._most_bytes:
                raise Overloaded(f"{self.requests} webhooks hold {self.bytes} bytes")
            more = message.get("more_body", False)
        return True


@dataclass(slots=True)
class _Taken:
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
