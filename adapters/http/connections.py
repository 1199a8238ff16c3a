"""Bounds on what a connection may send before there is a request."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Bytes. Proxies stop at 8 to 32 KiB; a token and cookies fit in many times over.
MOST_HEAD: Final = 64 * 1024


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's, which by itself waits for the end of a head for ever and keeps all of it."""

    # Seconds for a head, from the connection on or from its first byte.
    patience = 10.0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._head: int | None = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # theirs
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._stop_waiting()
        self._head = 0

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head is not None:
            self._head += len(data)
            if self._head > MOST_HEAD:
                self.send_400_response("The head of the request is too long: send fewer headers.")
                return
        # Most heads come as a whole, and need no timer. Where nothing is under way, uvicorn waits
        # for ever after whatever came.
        if self._deadline is None and (self._head is not None or self.cycle.response_complete):
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self._deadline = self.loop.call_later(self.patience, self.transport.close)

    def _stop_waiting(self) -> None:
        self._head = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
