"""Passes requests on to the service and its answers back, as they are and as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

import httpx
import msgspec
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

# Headers that concern one connection only. (RFC 9110, section 7.6.1)
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# What a client could use to pass for somebody else, or is the gateway's own business.
_DROPPED: Final = frozenset(
    {b"authorization", b"cookie", b"forwarded", b"host", b"x-forwarded-for", b"x-real-ip"}
)
_TIMEOUT: Final = 60.0  # seconds
# Connections are let go of before the service does so (after 5 s), which would be an error.
_LIMITS: Final = httpx.Limits(keepalive_expiry=2.0)

Header = tuple[bytes, bytes]


class Proxy:
    """Everything below /api/payments/. `token_of` reads the user's token out of the cookies;
    `refuses` says whether a method is not for pages of an origin.
    """

    def __init__(
        self,
        target: str,
        token_of: Callable[[bytes], str | None],
        refuses: Callable[[str, str | None], bool],
    ) -> None:
        self._target = target
        self._token_of = token_of
        self._refuses = refuses
        # A proxy of this machine is no way to another port of this machine.
        self._http = httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, limits=_LIMITS)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        assert scope["type"] == ScopeType.HTTP, "the service speaks nothing else"
        path = scope["raw_path"]
        # Whoever resolves these later would leave the part of the service that is meant.
        if b".." in unquote_to_bytes(path).split(b"/"):
            await _problem(send, 400, "bad-request", "a path must not contain dot segments")
            return
        origin = dict(scope["headers"]).get(b"origin")
        if self._refuses(scope["method"], origin.decode("latin-1") if origin else None):
            await _problem(send, 403, "foreign-origin", "another page may change nothing here")
            return
        query = scope["query_string"]
        request = httpx.Request(
            scope["method"],
            f"{self._target}{path.decode('ascii')}{'?' if query else ''}{query.decode('latin-1')}",
            headers=self._headers(scope["headers"]),
            content=_body(receive) if _has_body(scope["headers"]) else None,
        )
        try:
            answer = await self._http.send(request, stream=True)
        except httpx.TransportError:
            await _problem(
                send, 502, "service-away", "the service does not answer: try again in a moment"
            )
            return
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": answer.status_code,
                    # Our own server says what time it is.
                    "headers": [h for h in _end_to_end(answer.headers.raw) if h[0] != b"date"],
                }
            )
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await answer.aclose()

    def _headers(self, given: Iterable[Header]) -> list[Header]:
        given = [(name.lower(), value) for name, value in given]
        headers = [header for header in _end_to_end(given) if header[0] not in _DROPPED]
        token = self._token_of(b"; ".join(value for name, value in given if name == b"cookie"))
        if token is not None:
            headers.append((b"authorization", b"Bearer " + token.encode("ascii")))
        return headers


def _end_to_end(headers: Iterable[Header]) -> Iterable[Header]:
    headers = [(name.lower(), value) for name, value in headers]
    named = {
        name.strip().lower()
        for header, value in headers
        if header == b"connection"
        for name in value.split(b",")
    }
    return (header for header in headers if header[0] not in _HOP_BY_HOP | named)


def _has_body(headers: Iterable[Header]) -> bool:
    return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers)


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise httpx.ReadError("the client has gone")
        if message["type"] == "http.request":
            yield message.get("body", b"")
            if not message.get("more_body"):
                return


async def _problem(send: Send, status: int, kind: str, detail: str) -> None:
    type_ = f"urn:payments-sandbox:problem:{kind}"
    problem = {"type": type_, "title": kind, "status": status, "detail": detail}
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    body = msgspec.json.encode(problem)
    await send({"type": "http.response.body", "body": body, "more_body": False})
