"""What is called meanwhile: enough of Stripe's API for the peers (any object, made after the
recorded one of its kind), and a collector of traces.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final, Self

from tests.stripe_payloads import price

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_ACCOUNT: Final = {
    "id": "acct_1Benchmark000000",
    "object": "account",
    "business_profile": {"name": "Benchmark"},
    "country": "US",
    "default_currency": "usd",
    "email": "owner@example.com",
    "metadata": {},
    "settings": {"branding": {}, "dashboard": {"display_name": "Benchmark"}},
    "type": "standard",
}


class _Answering:
    """Serves on a port of its own, with keep-alive, whatever `_answer` says."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        assert self._server is not None, "it was started"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "it was started"
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                target = head.split(b" ", 2)[1].decode()
                length = _LENGTH.search(head)
                if length is not None:
                    await reader.readexactly(int(length[1]))
                status, body = self._answer(target.partition("?")[0])
                content = json.dumps(body).encode()
                writer.write(
                    b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\n" % status
                    + b"Content-Length: %d\r\n\r\n" % len(content)
                    + content
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Each kind of server has its own."""
        raise NotImplementedError


class Collector(_Answering):
    """Takes traces over OTLP and keeps none."""

    def __init__(self) -> None:
        super().__init__()
        self.exports = 0

    def _answer(self, path: str) -> tuple[int, dict[str, Any]]:
        self.exports += 1
        return 200, {}


class StripeApi(_Answering):
    """Answers with objects; `unknown` are the paths that it has none for."""

    def __init__(self, objects: Mapping[str, dict[str, Any]]) -> None:
        super().__init__()
        self._objects = objects
        self.unknown: set[str] = set()

    def _answer(self, path: str) -> tuple[int, dict[str, Any]]:
        # The last part of a path is an id, the one before it the plural of an object.
        *_, kinds, id_ = path.rsplit("/", 2)
        if id_ == "prices":
            keys = ("general_monthly", "general_annual", "event_organizer_monthly")
            data = [price(key) for key in (*keys, "event_organizer_annual")]
            return 200, {"object": "list", "url": path, "has_more": False, "data": data}
        if id_ == "events" or id_.removesuffix("s") in self._objects:
            # What the service compares itself with, once a day: it has missed none.
            return 200, {"object": "list", "url": path, "has_more": False, "data": []}
        if id_ == "account":
            return 200, _ACCOUNT
        kind = kinds.removesuffix("s")
        if kind in self._objects:
            return 200, self._objects[kind] | {"id": id_}
        self.unknown.add(path)
        error = {"type": "invalid_request_error", "code": "resource_missing", "message": "none"}
        return 404, {"error": error}
