"""Requests with an Idempotency-Key: the same key and request get the same answer, once done.

As the IETF's draft of this header has it, and as Stripe does, but for one thing: what is kept is
what was done, so successes alone. A refusal did nothing that could be done twice, and most can be
mended: who signs in anew, takes another card or waits may send the same request under the same
key, and it is looked at afresh. Failures of ours are looked at afresh, too; that nothing is done
twice then is owed to the names under which Stripe knows our operations.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from adapters.http.openapi import IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED
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

# How long an answer is given again.
A_DAY: Final = timedelta(hours=24)
# An address that is given again has to open yet: a page to buy on is handed out with a quarter of
# an hour left, or more; the portal's address opens for five minutes. (Stripe: Portal sessions)
WHILE_A_CHECKOUT_OPENS: Final = timedelta(minutes=10)
WHILE_A_PORTAL_OPENS: Final = timedelta(minutes=2)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
# Seconds to keep an answer that has begun to go out, or to let go of the key of a request that was
# broken off: the request's own deadline does not hold for either.
_LETTING_GO: Final = 2.0


class Idempotency:
    """Stands before the handlers of requests that change something, behind Authentication."""

    def __init__(
        self, app: ASGIApp, keys: IdempotencyKeys, clock: Clock, replayed_for: timedelta
    ) -> None:
        self._app = app
        self._keys = keys
        self._clock = clock
        self._replayed_for = replayed_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the request out, or answer it as before."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request: Request[User, Any, Any] = Request(scope, receive, send)
        key = request.headers.get(IDEMPOTENCY_KEY)
        if key is None:
            await self._app(scope, receive, send)
            return
        keyed = await _keyed(request, key)
        if isinstance(keyed, Response):
            await _send(keyed, request)
            return
        match await self._keys.begin(keyed, self._clock.now(), replayed_for=self._replayed_for):
            case Begun() as begun:
                await self._carry_out(keyed, begun, scope, receive, send)
            case Answer() as answer:
                log.info("idempotency_hit", user_id=str(request.user.id), status=answer.status)
                again = Response(
                    answer.body,
                    status_code=answer.status,
                    media_type=answer.media_type,
                    headers={IDEMPOTENT_REPLAYED: "true"},
                )
                await _send(again, request)
            case UnderWay():
                await _send(
                    problem(
                        "request-under-way",
                        "a request with this Idempotency-Key is being worked on: wait for it",
                        headers={"Retry-After": "1"},
                    ),
                    request,
                )
            case Mismatch():
                await _send(
                    problem(
                        "idempotency-key-reused",
                        "this Idempotency-Key was used for another request: take a new one",
                    ),
                    request,
                )

    async def _carry_out(
        self, keyed: KeyedRequest, begun: Begun, scope: Scope, receive: Receive, send: Send
    ) -> None:
        heard = _Heard()

        async def hear(message: Message) -> None:
            # Kept before the last part goes out: who has the answer can have it again.
            if heard.ends_with(message):
                await self._conclude(keyed, begun, heard)
            await send(message)

        try:
            await self._app(scope, receive, hear)
        finally:
            if not heard.complete:  # it was broken off, by its deadline or by a lost connection
                with suppress(TimeoutError, StorageUnavailable):
                    async with asyncio.timeout(_LETTING_GO):
                        await self._keys.forget(keyed, begun)

    async def _conclude(self, keyed: KeyedRequest, begun: Begun, heard: _Heard) -> None:
        try:
            async with asyncio.timeout(_LETTING_GO):
                if not heard.is_success:
                    await self._keys.forget(keyed, begun)
                elif not await self._keys.finish(keyed, begun, heard.answer()):
                    log.warning("answer_not_kept", error="the request was taken over meanwhile")
        except (StorageUnavailable, TimeoutError) as error:
            # What was done is done, and is told; only repeating it will be answered with a 409.
            log.warning(
                "answer_not_kept", error=str(error) or "the database did not answer in time"
            )


def idempotent(
    keys: IdempotencyKeys, clock: Clock, *, replayed_for: timedelta = A_DAY
) -> list[Callable[[ASGIApp], ASGIApp]]:
    """The middleware of a route that honours the header."""

    # A closure, because Litestar copies whatever else it is given, connections included.
    def middleware(app: ASGIApp) -> ASGIApp:
        return Idempotency(app, keys, clock, replayed_for)

    return [middleware]


class _Heard:
    """An answer as it passes by."""

    def __init__(self) -> None:
        self.complete = False
        self._status = 0
        self._media_type = ""
        self._body = bytearray()

    @property
    def is_success(self) -> bool:
        """Whether something was done."""
        return 200 <= self._status < 300

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
        return Answer(self._status, self._media_type, bytes(self._body))

    def _begin(self, start: HTTPResponseStartEvent) -> None:
        self._status = start["status"]
        headers = {name.lower(): value for name, value in start["headers"]}
        self._media_type = headers.get(b"content-type", b"").decode()


async def _keyed(request: Request[User, Any, Any], key: str) -> KeyedRequest | Response[Any]:
    if not _KEY.fullmatch(key):
        return problem("bad-request", "an Idempotency-Key is 1 to 255 visible ASCII characters")
    # Litestar keeps the body it has read, so that the handler can read it too.
    body = await request.body()
    asked = f"{request.method} {request.url.path}?{request.url.query}"
    digest = sha256(asked.encode() + b"\0" + body).digest()
    return KeyedRequest(request.user.id, key, digest)


async def _send(response: Response[Any], request: Request[User, Any, Any]) -> None:
    answer = response.to_asgi_response(app=None, request=request)
    await answer(request.scope, request.receive, request.send)
