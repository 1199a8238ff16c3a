"""The wire between the service and Stripe, where answers get lost and others come first."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import stripe

Fate = Literal["unsent", "unanswered", "garbled", "answered"]
# What a proxy may put in the place of an answer; and what is no object of the kind asked for.
GARBAGE: Final = {"page": b"<html>one moment please", "shape": b'{"id": 7, "object": "it"}'}
# Longer than any answer: who hears less of it than that knows that the rest was lost.
_TOO_LONG: Final = b"1000000"
_EITHER: Final = "a wire has rules or a rival: where there is a rival the rules are not looked at"
# The SDK tries as often before it gives up.
TRIES: Final = 3


@dataclass(slots=True)
class _Rule:
    method: str
    path: re.Pattern[str]
    fate: Fate
    times: int
    first: Callable[[], Awaitable[object]] | None = None
    then: Callable[[], Awaitable[object]] | None = None
    garbage: bytes = b""


class Rival:
    """Somebody who does something at one moment of what another does."""

    def __init__(self, do: Callable[[], Awaitable[object]], number: int, *, before: bool) -> None:
        self._do: Callable[[], Awaitable[object]] | None = do
        self._number = number
        self._before = before
        self._won = False
        self.came_last = False
        self._done = asyncio.Event()

    async def won(self) -> bool:
        """Whether Stripe let it be done. Where the moment has not come it is done now, and last."""
        self.came_last = self._do is not None
        self._number = -1  # what it asks for itself is no moment
        await self._act()
        return self._won

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Let a request be carried out, and act where this is the moment."""
        now = self._number == 0
        self._number -= 1
        if now and self._before:
            await self._act()
        yield
        if now:
            await self._act()

    async def _act(self) -> None:
        do, self._do = self._do, None
        if do is None:
            # Once its answer is out, the request that this comes after goes on beside it.
            await self._done.wait()
            return
        try:
            await do()
            self._won = True
        except stripe.StripeError:
            pass
        finally:
            self._done.set()


class Wire:
    """Passes requests on to Stripe's stand-in, except where it was told otherwise."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._rules: list[_Rule] = []
        self._rival: Rival | None = None
        self._down = False
        self.sent: list[tuple[str, str]] = []
        self._arrivals: list[tuple[tuple[str, str], asyncio.Event]] = []

    def arrival(self, method: str, path: str) -> asyncio.Event:
        """Set when the next such request has arrived."""
        arrived = asyncio.Event()
        self._arrivals.append(((method, path), arrived))
        return arrived

    def lose_answers(self, method: str, path: str, *, times: int = TRIES) -> None:
        """Have the next such requests carried out, and the connection break before the answer."""
        self._add(_Rule(method, re.compile(path), "unanswered", times))

    def garble_answers(self, method: str, path: str, garbage: str, *, times: int = TRIES) -> None:
        """Have the next such requests carried out, and answered 200 with this GARBAGE."""
        rule = _Rule(method, re.compile(path), "garbled", times, garbage=GARBAGE[garbage])
        self._add(rule)

    def lose_requests(self, method: str, path: str, *, times: int = TRIES) -> None:
        """Have the connection break before the next such requests arrive."""
        self._add(_Rule(method, re.compile(path), "unsent", times))

    def before(self, method: str, path: str, first: Callable[[], Awaitable[object]]) -> None:
        """Have this happen just before the next such request is carried out."""
        self._add(_Rule(method, re.compile(path), "answered", 1, first=first))

    def vanish_after(self, method: str, path: str) -> None:
        """Have the next such request carried out, and from then on nothing answered or taken."""
        self._add(_Rule(method, re.compile(path), "unanswered", 1, then=self._be_down))

    def be_up(self) -> None:
        """Have everything arrive again."""
        self._down = False

    async def _be_down(self) -> None:
        self._down = True

    def rival(self, do: Callable[[], Awaitable[object]], number: int, *, before: bool) -> Rival:
        """Have somebody do this right before or after the request that follows so many others."""
        assert not self._rules, _EITHER
        self._rival = Rival(do, number, before=before)
        return self._rival

    @property
    def rival_came_last(self) -> bool:
        """Whether what the last rival came into was over by then."""
        assert self._rival is not None, "there was none"
        return self._rival.came_last

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Take a request."""
        method, path = scope["method"], scope["path"]
        self.sent.append((method, path))
        for expected, arrived in self._arrivals:
            if expected == (method, path):
                arrived.set()
        if self._down:
            await _break_off(send)
            return
        rule, rival = self._rule_for(method, path), self._rival
        if rival is not None:
            async with rival.turn():
                await self._app(scope, receive, send)
            return
        if rule is None:
            await self._app(scope, receive, send)
            return
        if rule.first is not None:
            await rule.first()
        if rule.fate == "unsent":
            await _break_off(send)
            return
        answer: list[Any] = []

        async def hear(message: Any) -> None:
            answer.append(message)

        await self._app(scope, receive, hear)
        if rule.then is not None:
            await rule.then()
        if rule.fate == "unanswered":
            await _break_off(send)
            return
        if rule.fate == "garbled":
            await _answer(send, rule.garbage)
            return
        for message in answer:
            await send(message)

    def _add(self, rule: _Rule) -> None:
        assert self._rival is None, _EITHER
        self._rules.append(rule)

    def _rule_for(self, method: str, path: str) -> _Rule | None:
        for rule in self._rules:
            if rule.method == method and rule.path.fullmatch(path):
                rule.times -= 1
                if not rule.times:
                    self._rules.remove(rule)
                return rule
        return None


async def _answer(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"text/html"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _break_off(send: Any) -> None:
    """The server closes a connection on which less was sent than was promised."""
    headers = [(b"content-type", b"application/json"), (b"content-length", _TOO_LONG)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
