"""The stand-in for Stripe as one thing that can be started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import uvicorn

from sandbox.stripe import events, jobs, webhook_endpoints
from sandbox.stripe.app import App, Inspect
from sandbox.stripe.clock import MAIN, Clock, Seconds
from sandbox.stripe.control import Control
from sandbox.stripe.ids import Ids
from sandbox.stripe.outbox import Outbox
from sandbox.stripe.store import Json, Store
from sandbox.stripe.world import Billing, World

log = logging.getLogger(__name__)

API_KEY: Final = "sk_test_sandbox0000000000000000"
PUBLISHABLE_KEY: Final = "pk_test_sandbox0000000000000000"
WEBHOOK_SECRET: Final = "whsec_sandbox000000000000000000000000"  # noqa: S105  # opens nothing
# Of what is written down; the number after a change that cannot be read any more.
FORMAT: Final = 1
# Seconds after which the clock is looked at again, as nobody says when a request has set a timer.
_LONGEST_PAUSE: Final = 5.0


class StripeSandbox:
    """Stripe, as far as the service can tell.

    `start` is the first second on its clock, now where none is given; with `runs` the clock goes
    on with the real one. `data` is a file from which it starts and in which it leaves everything.
    Webhooks are signed with the real time, or with `signing_time`, since that is what a receiver
    compares them with; of `deliveries_at_once` one keeps them in order. `inspect` is called with
    everything that is answered, and with every event.
    """

    def __init__(
        self,
        *,
        seed: str = "sandbox",
        start: Seconds | None = None,
        runs: bool = True,
        data: Path | None = None,
        api_key: str = API_KEY,
        publishable_key: str = PUBLISHABLE_KEY,
        webhook_secret: str = WEBHOOK_SECRET,
        signing_time: Callable[[], float] = time.time,
        deliveries_at_once: int = 1,
        inspect: Inspect | None = None,
    ) -> None:
        if not api_key.startswith("sk_test_"):
            raise ValueError("the sandbox refuses a key that is no test key")
        store = Store()
        self.clock = Clock(start, runs=runs)
        self.outbox = Outbox(store, self.clock.now, signing_time, inspect, self._record)
        self.outbox.concurrency = deliveries_at_once
        self.world = World(
            Ids(seed), self.clock, api_key, publishable_key, self.outbox, store=store
        )
        self.control = Control(self.world, self.advance, self.advance_to)
        self.app = App(self.world, self.control, inspect, self._record)
        self.api_key = api_key
        self.publishable_key = publishable_key
        self.webhook_secret = webhook_secret
        self._data = data
        self._server: uvicorn.Server | None = None
        self._living: asyncio.Task[None] | None = None
        self._resting = False
        self._jumping = asyncio.Lock()
        self._recording = asyncio.Lock()
        # How often something was to be written down, and how often it was when it was last done.
        self._changes = self._recorded = 0

    @property
    def url(self) -> str:
        """Where it is reached."""
        return self.world.url

    @property
    def living(self) -> asyncio.Task[None]:
        """What delivers webhooks and lets time do its work, once it is started."""
        assert self._living is not None, "it is started"
        return self._living

    async def start(self, port: int = 0, host: str = "127.0.0.1", *, resting: bool = False) -> None:
        """Serve on this port, or on any that is free; return once requests are answered.

        With `resting` nothing is sent before `resume`. Raises ValueError where `data` is no file
        that this release has written.
        """
        self._resting = self.outbox.resting = resting
        listener = _listen(host, port)
        self.world.url = f"http://{host}:{listener.getsockname()[1]}"
        try:
            self._load()
        except BaseException:
            listener.close()
            raise
        config = uvicorn.Config(
            self.app,
            log_level="warning",
            log_config=None,  # how its host logs is not for it to say
            lifespan="off",
            access_log=False,
            ws="none",
            # Longer than clients keep a connection, so that none is closed in their face.
            timeout_keep_alive=60,
        )
        config.load()
        # Driven by hand: uvicorn's own `serve` takes over the signals of whoever embeds it.
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[listener])
        self._living = asyncio.create_task(self._live())
        self._living.add_done_callback(_report)

    def rest(self) -> None:
        """Send nothing any more, and have jumps end where they are: nobody would take webhooks.

        What is on its way goes on with `resume`, or the next start on the same data.
        """
        self._resting = self.outbox.resting = True

    def resume(self) -> None:
        """Send again, what has been waiting first of all."""
        self._resting = self.outbox.resting = False
        self.outbox.news.set()

    async def stop(self) -> None:
        """Stop serving, and write everything down where a file for that was given.

        Raises OSError where that fails; where deliveries have failed before, it is only logged.
        """
        self.rest()
        self.control.release_faults()
        failed = False
        if self._living is not None:
            self._living.cancel()
            await asyncio.wait({self._living})  # of its failure it has told already
            failed = not self._living.cancelled() and self._living.exception() is not None
            self._living = None
        if self._server is not None:
            await self._server.shutdown()
            self._server = None
        await self.outbox.close()
        async with self._recording:
            try:
                self.save()
            except OSError:
                if not failed:
                    raise
                # A full disk fails both, and the first failure is the one that is to be told.
                log.exception("What happened last could not be written down")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def listen(self, url: str, *types: str, name: str | None = None) -> Json:
        """Have the webhooks of these types sent there, signed with `webhook_secret`.

        An address that listens already, as after a start on the same data, is not added again;
        nor is one with a `name` that is known: what is on its way to its old address comes too.
        """
        wanted = list(types) or ["*"]
        for endpoint in self.world.store.all("webhook_endpoint"):
            if endpoint["url"] == url or (name and endpoint["description"] == name):
                endpoint.update(url=url, enabled_events=wanted)
                self.world.store.note(endpoint)["secret"] = self.webhook_secret
                return endpoint
        endpoint = webhook_endpoints.add(self.world, url, wanted, self.webhook_secret)
        endpoint["description"] = name
        return endpoint

    async def advance(self, *, days: float = 0, hours: float = 0, seconds: Seconds = 0) -> None:
        """Let so much time pass at once, with all that happens in it.

        Several at the same time add up.
        """
        passed = int(days * 24 * 60 * 60 + hours * 60 * 60) + seconds
        async with self._jumping:
            await self._jump(self.clock.now() + passed)

    async def advance_to(self, moment: Seconds) -> None:
        """Let time pass until this moment: whatever is due happens at its time, in order.

        Webhooks of one moment have been sent, and their answers received, before the next. It ends
        earlier where everything is to stop meanwhile.
        """
        async with self._jumping:
            await self._jump(moment)

    async def settle(self) -> None:
        """Wait until every webhook that is due has been answered."""
        await self.outbox.deliver_due()

    def save(self) -> None:
        """Write everything down, if a file for that was given."""
        if self._data is not None:
            _write(self._data, self._snapshot())

    async def _record(self) -> None:
        """Return once all that has happened so far is on disk; who waits together writes once."""
        if self._data is None:
            return
        self._changes += 1
        mine = self._changes
        async with self._recording:
            if self._recorded < mine:
                now = self._changes
                await _to_its_end(asyncio.to_thread(_write, self._data, self._snapshot()))
                self._recorded = now

    def _snapshot(self) -> bytes:
        return msgspec.json.encode(
            {
                "format": FORMAT,
                "url": self.url,
                "now": self.clock.now(),
                "issued": self.world.ids.issued,
                "store": self.world.store.dump(),
                "timers": self.world.timers.dump(),
                "outbox": self.outbox.dump(),
                "keys": self.app.keys.dump(),
                "billing": asdict(self.world.billing),
            }
        )

    def _load(self) -> None:
        if self._data is None or not self._data.exists():
            return
        written = self._data.read_bytes()
        snapshot = msgspec.json.decode(written)
        if not isinstance(snapshot, dict) or snapshot.get("format") != FORMAT:
            raise ValueError("another release, or another program, has written it")
        if snapshot["url"] != self.url:
            # Links to pages of ours lead to where these are now.
            moved = written.replace(f"{snapshot['url']}/".encode(), f"{self.url}/".encode())
            snapshot = msgspec.json.decode(moved)
        self.world.ids.issued = snapshot["issued"]
        self.world.store.load(snapshot["store"])
        self.world.timers.load(snapshot["timers"])
        self.outbox.load(snapshot["outbox"])
        self.app.keys.load(snapshot["keys"])
        self.world.billing = Billing(**snapshot["billing"])
        self.clock.hold(snapshot["now"])
        self.clock.release()

    async def _jump(self, moment: Seconds) -> None:
        try:
            await self.outbox.deliver_due()
            while (due := self._next_due()) is not None and due <= moment and not self._resting:
                self.clock.hold(due)
                self._do_due()
                events.forget_old(self.world)
                await self.outbox.deliver_due()
            if not self._resting:
                self.clock.hold(moment)
            events.forget_old(self.world)
        finally:
            self.clock.release()
        await self._record()

    def _next_due(self) -> Seconds | None:
        dues = (self.world.timers.next_due(MAIN), self.outbox.next_due())
        return min((due for due in dues if due is not None), default=None)

    def _do_due(self) -> None:
        """Do what is due, each at its own time: a clock that runs is always a little late."""
        timers = self.world.timers
        while (due := timers.next_due(MAIN)) is not None and due <= self.clock.now():
            with self.clock.standing_at(due):
                jobs.do_next(self.world, MAIN)

    async def _live(self) -> None:
        """Deliver webhooks as they come, and do what is due as the clock runs."""
        while True:
            self.outbox.news.clear()
            if self.clock.runs and not self._jumping.locked():
                self._do_due()
            await self.outbox.deliver_due()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.outbox.news.wait(), self._pause())

    def _pause(self) -> float | None:
        """How long nothing is due."""
        if not self.clock.runs:
            return None
        due = self._next_due()
        wait = _LONGEST_PAUSE if due is None else due - self.clock.now()
        return min(max(wait, 0.05), _LONGEST_PAUSE)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do what a cancellation must not leave half done: a thread goes on whoever waits for it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


def _write(file: Path, content: bytes) -> None:
    """Replace a file, so that even after a power loss it is there: the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    with draft.open("wb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _report(living: asyncio.Task[None]) -> None:
    """Say so at once where webhooks and time have stopped for a fault of the sandbox's own."""
    if not living.cancelled() and (error := living.exception()) is not None:
        log.error("The sandbox stopped delivering webhooks", exc_info=error)


def _listen(host: str, port: int) -> socket.socket:
    # Only where a socket names TCP does asyncio turn off the delay of its small packets.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
