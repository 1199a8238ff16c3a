"""What a story has at hand."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

from sandbox import platform
from sandbox.platform import Options, Platform, writing_to
from sandbox.scenarios.browser import Failed
from sandbox.scenarios.buyer import PATIENCE, Buyer
from sandbox.scenarios.timeline import Timeline
from sandbox.users_service import UsersView

# The lock in a scenario's folder.
_PLAYED: Final = "played"


@dataclass(slots=True)
class Stage:
    """The platform, and what has happened on it: `messages` are those of all subscriptions."""

    platform: Platform
    timeline: Timeline
    messages: list[Mapping[str, Any]]
    _connections: httpx.AsyncHTTPTransport
    buyers: list[Buyer] = field(default_factory=list)

    async def buyer(self) -> Buyer:
        """Somebody new, signed in."""
        client = httpx.AsyncClient(
            base_url=self.platform.address, transport=self._connections, timeout=60
        )
        buyer = Buyer(client, self.platform.users, self.timeline)
        await buyer.sign_in()
        self.buyers.append(buyer)
        return buyer

    async def let_pass(self, *, days: int = 0, hours: int = 0) -> None:
        """Let time pass at Stripe, and with it for the service."""
        passing = f"{days} days" if days else f"{hours} hours"
        self.timeline.tell("clock", f"{passing} pass", days=days, hours=hours)
        await self.platform.stripe.advance(days=days, hours=hours)

    def told_of(self, buyer: Buyer) -> list[Mapping[str, Any]]:
        """The messages about one buyer, in their order."""
        return [message for message in self.messages if message["subject"] == buyer.id]

    async def until_told(self, buyer: Buyer, kind: str) -> None:
        """Wait until a message of this kind has come about a buyer. Raises Failed."""

        def told(_: UsersView) -> bool:
            type_ = f"payments.{kind}.v1"
            return any(message["type"] == type_ for message in self.told_of(buyer))

        try:
            await self.platform.users.until(told, PATIENCE)
        except TimeoutError:
            raise Failed(f"no message {kind} has come after {PATIENCE:.0f} s") from None


@asynccontextmanager
async def staged(
    data: Path,
    environment: Mapping[str, str],
    timeline: Timeline,
    *,
    severable: bool = False,
    heard: Callable[[Mapping[str, Any]], None] = lambda message: None,
) -> AsyncIterator[Stage]:
    """A platform of its own for one story, of which nothing is left but rows in a database that
    was given. `heard` is told of every message that the users service takes in.
    """
    messages: list[Mapping[str, Any]] = []

    def hear(message: Mapping[str, Any]) -> None:
        messages.append(message)
        timeline.tell_message(message)
        heard(message)

    with _folder_in(data) as folder:
        options = Options(
            data=folder,
            environment={"LOG_LEVEL": "error", **environment},
            port=0,
            stripe_port=0,
            passing=True,
            severable=severable,
            say=lambda what, which: timeline.tell("sandbox", f"{what}: {which}"),
            heard=hear,
            seen=timeline.tell_event,
        )
        async with platform.start(options) as running:
            timeline.clock = running.stripe.clock.exact
            connections = httpx.AsyncHTTPTransport(
                verify=False, limits=httpx.Limits(max_connections=16, keepalive_expiry=2.0)
            )
            async with connections:
                yield Stage(running, timeline, messages, connections)


def remove_leftovers(data: Path) -> None:
    """Remove the folders of scenarios that were killed; nothing of them is used any more.

    Raises ServerError where the folder cannot be written to.
    """
    with _alone_with_scenarios(data):
        _sweep(data)


@contextmanager
def _folder_in(data: Path) -> Iterator[Path]:
    with ExitStack() as staying:
        with _alone_with_scenarios(data):
            _sweep(data)
            folder = Path(staying.enter_context(TemporaryDirectory(prefix="scenario-", dir=data)))
            # Held for as long as the scenario is played, or its process lives.
            fcntl.flock(staying.enter_context((folder / _PLAYED).open("wb")), fcntl.LOCK_EX)
        yield folder


@contextmanager
def _alone_with_scenarios(data: Path) -> Iterator[None]:
    """Keep others from taking a folder that is just being made for one left behind."""
    with writing_to(data):
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "scenarios.lock").open("wb")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(data: Path) -> None:
    for folder in data.glob("scenario-*"):
        with suppress(FileNotFoundError), (folder / _PLAYED).open("rb") as played:
            try:
                fcntl.flock(played, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
        shutil.rmtree(folder, ignore_errors=True)  # or it goes by itself at this moment
