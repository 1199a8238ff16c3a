"""A receiver of webhooks, as small as can be."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self


class Receiver:
    """Remembers every delivery, and answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        # Every delivery as (headers, body).
        self.deliveries: list[tuple[dict[str, str], bytes]] = []
        self._server: asyncio.Server | None = None
        self.url = ""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in the order of their arrival."""
        return [json.loads(body) for _, body in self.deliveries]

    @property
    def types(self) -> list[str]:
        """The types of the events in the order of their arrival."""
        return [event["type"] for event in self.events]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/webhook"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
        headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in head if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.deliveries.append((headers, body))
        answer = f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(answer.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
