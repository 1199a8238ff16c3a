"""Requests with an Idempotency-Key: the same key and body get the same answer, once done."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from adapters.http.problems import problem
from ports.authentication import User
from ports.clock import Clock
from ports.idempotency import (
    Answer,
    Begun,
    IdempotencyKeys,
    KeyedRequest,
    Mismatch,
    UnderWay,
)
from ports.unit_of_work import StorageUnavailable

log = structlog.get_logger(__name__)

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
# Answers that say nothing lasting: whoever gets one may try again under the same key.
_PASSING: Final = frozenset({409, 429})


class Idempotency:
    """Stands before the handlers of requests that create something, behind Authentication."""

    def __init__(self, app: ASGIApp, keys: IdempotencyKeys, clock: Clock) -> None:
        self._app = app
        self._keys = keys
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the request out, or answer it as before."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request: Request[User, Any, Any] = Request(scope, receive, send)
        key = request.headers.get(HEADER)
        if key is None:
            await self._app(scope, receive, send)
            return
        keyed = await _keyed(request, key)
        if isinstance(keyed, Response):
            await _send(keyed, request)
            return
        match await self._keys.begin(keyed, self._clock.now()):
            case Begun():
                await self._carry_out(keyed, scope, receive, send)
            case Answer() as answer:
                log.info("idempotency_hit", user_id=str(request.user.id), status=answer.status)
                again = Response(
                    answer.body,
                    status_code=answer.status,
                    media_type=answer.media_type,
                    headers={REPLAYED: "true"},
                )
                await _send(again, request)
            case UnderWay():
                await _send(
                    problem(
                        409,
                        "request-under-way",
                        "a request with this Idempotency-Key is being worked on: wait for it",
                        headers={"Retry-After": "1"},
                    ),
                    request,
                )
            case Mismatch():
                await _send(
                    problem(
                        422,
                        "idempotency-key-reused",
                        "this Idempotency-Key was used for another request: take a new one",
                    ),
                    request,
                )

    async def _carry_out(
        self, keyed: KeyedRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        heard = _Heard()

        async def hear(message: Message) -> None:
            # Kept before the last part goes out: who has the answer can have it again.
            if heard.ends_with(message):
                await self._conclude(keyed, heard)
            await send(message)

        try:
            await self._app(scope, receive, hear)
        finally:
            if not heard.complete:  # the request was cancelled, or its connection lost
                await self._keys.forget(keyed)

    async def _conclude(self, keyed: KeyedRequest, heard: _Heard) -> None:
        try:
            if heard.status >= 500 or heard.status in _PASSING:
                await self._keys.forget(keyed)
            else:
                await self._keys.finish(keyed, heard.answer())
        except StorageUnavailable as error:
            # What was done is done, and is told; only repeating it will be answered with a 409.
            log.warning("answer_not_kept", error=str(error))


class _Heard:
    """An answer as it passes by."""

    def __init__(self) -> None:
        self.status = 0
        self.complete = False
        self._media_type = ""
        self._body = bytearray()

    def ends_with(self, message: Message) -> bool:
        """Take note of a part; True where it is the last one."""
        if message["type"] == "http.response.start":
            self._begin(message)
        elif message["type"] == "http.response.body":
            self._body += message["body"]
            self.complete = not message["more_body"]
        return self.complete

    def answer(self) -> Answer:
        """The whole of it."""
        return Answer(self.status, self._media_type, bytes(self._body))

    def _begin(self, start: HTTPResponseStartEvent) -> None:
        self.status = start["status"]
        headers = {name.lower(): value for name, value in start["headers"]}
        self._media_type = headers.get(b"content-type", b"").decode()


async def _keyed(request: Request[User, Any, Any], key: str) -> KeyedRequest | Response[Any]:
    if not _KEY.fullmatch(key):
        return problem(
            400, "bad-request", "an Idempotency-Key is 1 to 255 visible ASCII characters"
        )
    # Litestar keeps the body it has read, so that the handler can read it too.
    body = await request.body()
    parts = (request.method.encode(), request.url.path.encode(), body)
    return KeyedRequest(request.user.id, key, sha256(b"\0".join(parts)).digest())


async def _send(response: Response[Any], request: Request[User, Any, Any]) -> None:
    answer = response.to_asgi_response(app=None, request=request)
    await answer(request.scope, request.receive, request.send)
