"""A stand-in for the users service, and the living example of a consumer of our events.

It knows nothing but the messages: no code, no table and no call of Payments. What a consumer
owes them is in `UsersView.apply`: ignore a repeat, refuse a gap, take a snapshot over whatever was
missed before it, and grant access to a user while any of their subscriptions grants it. What a
message changes is written down, the version with the status in one row, before it is believed, and
believed before the message is acknowledged: after a crash it comes again, as a repeat, and what
cannot be written down is tried again before anything that follows.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import aio_pika
import msgspec
import structlog
from aio_pika.abc import AbstractIncomingMessage

log = structlog.get_logger(__name__)

EXCHANGE = "payments.events"
QUEUE = "users.payments"

# Seconds until a message is tried again that could not be kept.
_RETRY_SECONDS = 0.5
# Milliseconds after which the broker removes what a consumer that was killed left behind.
_TEMPORARY_MS = 24 * 60 * 60 * 1000

GRANTING = frozenset({"trialing", "active", "past_due"})


class RefusedError(Exception):
    """A message that is not taken in, and goes to the dead letters."""


class GapError(RefusedError):
    """A message of this subscription is missing before this one."""


class MalformedError(RefusedError):
    """A message is not what the contract says."""


@dataclass(slots=True)
class SubscriptionView:
    """What the messages said of one subscription."""

    version: int = 0
    status: str = "none"
    plan: str = "unknown"
    interval: str | None = None
    access_until: str | None = None


class News(msgspec.Struct, frozen=True):
    """What a message makes of a subscription."""

    user: str
    subscription: str
    view: SubscriptionView


@dataclass(slots=True)
class UsersView:
    """Every user's subscriptions, by the messages alone."""

    users: dict[str, dict[str, SubscriptionView]] = field(default_factory=dict)
    repeats: int = 0

    def apply(self, message: Mapping[str, Any]) -> bool:
        """Take a message in; False where it is a repeat. Raises GapError."""
        news = self.news_of(message)
        if news is not None:
            self.believe(news)
        return news is not None

    def believe(self, news: News) -> None:
        """Take in what a message told."""
        self.users.setdefault(news.user, {})[news.subscription] = news.view

    def news_of(self, message: Mapping[str, Any]) -> News | None:
        """What a message tells, which is not believed yet; None where it is a repeat.

        What a gap hides comes with the next snapshot, for which `payments republish` asks. Raises
        GapError, and ValueError, LookupError or TypeError for what is no message.
        """
        data = message["data"]
        user, subscription = data["userId"], data["subscriptionId"]
        view = replace(self.users.get(user, {}).get(subscription, SubscriptionView()))
        version = int(message["sequence"])
        if message["type"] == "payments.subscription.snapshot.v1":
            if version < view.version:  # a late repeat of an old one
                self.repeats += 1
                return None
            view.status, view.plan, view.interval = data["status"], data["plan"], data["interval"]
            return _news(user, subscription, view, version, data["accessUntil"])
        if version <= view.version:
            self.repeats += 1
            return None
        if version != view.version + 1:
            raise GapError(f"{subscription}: version {version} came after {view.version}")
        match message["type"]:
            case "payments.subscription.activated.v1":
                view.status = data["status"]
                view.plan, view.interval = data["plan"], data["interval"]
            case "payments.subscription.status_changed.v1":
                view.status = data["newStatus"]
            case "payments.subscription.plan_changed.v1":
                view.plan, view.interval = data["newPlan"], data["newInterval"]
            case _:
                pass  # no other message says anything that is kept here
        return _news(user, subscription, view, version, data["accessUntil"])

    def status_of(self, subscription_id: str) -> str:
        """The status of one subscription."""
        for subscriptions in self.users.values():
            if subscription_id in subscriptions:
                return subscriptions[subscription_id].status
        return "none"

    def has_access(self, user_id: str, at: str) -> bool:
        """Whether any subscription grants access at this moment (RFC 3339)."""
        now = datetime.fromisoformat(at)
        return any(
            view.status in GRANTING
            # As times, not as texts: fractions of a second may come, and `Z` sorts after them.
            and (view.access_until is None or now < datetime.fromisoformat(view.access_until))
            for view in self.users.get(user_id, {}).values()
        )


def _news(
    user: str, subscription: str, view: SubscriptionView, version: int, access_until: str | None
) -> News:
    view.version, view.access_until = version, access_until
    # Raises ValidationError where a message had something else in the place of a word.
    return msgspec.convert(msgspec.to_builtins(News(user, subscription, view)), News)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was refused, and whom it is about, as far as that can be read."""

    reason: str
    user: str | None = None
    subscription: str | None = None


class Records:
    """The view on disk: one row for each subscription."""

    def __init__(self, file: Path) -> None:
        self._file = sqlite3.connect(file, isolation_level=None)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS subscriptions (id TEXT PRIMARY KEY, user TEXT NOT NULL,"
            " version INTEGER NOT NULL, status TEXT NOT NULL, plan TEXT, interval TEXT,"
            " access_until TEXT)"
        )
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS dead_letters"
            " (reason TEXT, user TEXT, subscription TEXT, body BLOB)"
        )

    def load(self) -> UsersView:
        """Everything that was kept."""
        view = UsersView()
        rows = "SELECT user, id, version, status, plan, interval, access_until FROM subscriptions"
        with closing(self._file.execute(rows)) as found:
            for user, subscription, *kept in found:
                view.users.setdefault(user, {})[subscription] = SubscriptionView(*kept)
        return view

    def keep(self, news: News) -> None:
        """Return once this is on disk."""
        self._file.execute(
            "INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (news.subscription, news.user, *astuple(news.view)),
        )

    def dead_letters(self) -> list[DeadLetter]:
        """What was refused, the oldest first."""
        rows = "SELECT reason, user, subscription FROM dead_letters ORDER BY rowid"
        with closing(self._file.execute(rows)) as found:
            return [DeadLetter(*row) for row in found]

    def bury(self, letter: DeadLetter, body: bytes) -> None:
        """Return once a message that was refused is on disk."""
        self._file.execute(
            "INSERT INTO dead_letters VALUES (?, ?, ?, ?)",
            (letter.reason, letter.user, letter.subscription, body),
        )

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class UsersService:
    """Takes messages in, from wherever they come, and tells who waits for them.

    `dead_letters` are the messages that were refused.
    """

    def __init__(
        self, heard: Callable[[Mapping[str, Any]], None], records: Records | None = None
    ) -> None:
        self.view = records.load() if records is not None else UsersView()
        self.dead_letters = records.dead_letters() if records is not None else []
        self._heard = heard
        self._records = records
        self._changed = asyncio.Condition()

    async def take(self, body: bytes) -> None:
        """Take one message in.

        Raises RefusedError, of which a note has been made, and what the records raise: then nothing
        has changed, and the message can be given again.
        """
        async with self._changed:
            message: Any = None
            try:
                message = _read(body)
                news = self._news_of(message)
            except RefusedError as error:
                self._bury(_letter(str(error), message), body)
                self._changed.notify_all()
                raise
            if news is None:
                return
            if self._records is not None:
                self._records.keep(news)
            self.view.believe(news)
            self._changed.notify_all()
            self._heard(message)

    async def until(self, condition: Callable[[UsersView], bool], seconds: float) -> None:
        """Return once the condition holds. Raises TimeoutError after this many seconds."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: condition(self.view))

    def _news_of(self, message: Any) -> News | None:
        try:
            return self.view.news_of(message)
        except (ValueError, LookupError, TypeError) as error:
            raise MalformedError(f"no message of Payments: {error!r}") from error

    def _bury(self, letter: DeadLetter, body: bytes) -> None:
        log.warning("message_refused", error=letter.reason)
        if self._records is not None:
            self._records.bury(letter, body)
        self.dead_letters.append(letter)


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"no message of Payments: {error!r}") from error


def _letter(reason: str, message: Any) -> DeadLetter:
    data = message.get("data") if isinstance(message, dict) else None
    told = data if isinstance(data, dict) else {}
    user, subscription = (
        found if isinstance(found := told.get(name), str) else None
        for name in ("userId", "subscriptionId")
    )
    return DeadLetter(reason, user, subscription)


class Consumer:
    """Feeds a users service from a quorum queue of its own.

    What it refuses goes to a dead-letter queue instead of around in circles. What fails otherwise
    is tried again until it works, and whatever follows waits: back in the queue it would come after
    what was sent ahead, which would be a gap then. Its queues stay when it goes, so that nothing is
    missed, unless they are `temporary`: then they are gone with it, or a day after it was killed.
    """

    def __init__(
        self, url: str, users: UsersService, *, queue: str = QUEUE, temporary: bool = False
    ) -> None:
        self._url = url
        self._users = users
        self._queue = queue
        self._temporary = temporary
        self._connection: aio_pika.abc.AbstractRobustConnection | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect_robust(self._url, reconnect_interval=0.5)
        channel = await self._connection.channel()
        await channel.set_qos(prefetch_count=100)
        events = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        dead = await channel.declare_exchange(
            f"{self._queue}.dead",
            aio_pika.ExchangeType.FANOUT,
            durable=True,
            auto_delete=self._temporary,
        )
        kind: dict[str, Any] = {"x-queue-type": "quorum"}
        if self._temporary:
            kind["x-expires"] = _TEMPORARY_MS
        dead_queue = await channel.declare_queue(
            f"{self._queue}.dead", durable=True, arguments=kind
        )
        await dead_queue.bind(dead)
        queue = await channel.declare_queue(
            self._queue,
            durable=True,
            arguments={
                **kind,
                "x-dead-letter-exchange": f"{self._queue}.dead",
                # Order matters to us, so only one consumer at a time may have the queue.
                "x-single-active-consumer": True,
            },
        )
        await queue.bind(events, routing_key="payments.#")
        await queue.consume(self._take)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is None:
            return
        if self._temporary:
            channel = await self._connection.channel()
            for name in (self._queue, f"{self._queue}.dead"):
                # Quorum queues know no "if unused, if empty", which would be the default.
                await channel.queue_delete(name, if_unused=False, if_empty=False)
            await channel.exchange_delete(f"{self._queue}.dead")
        await self._connection.close()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        try:
            async with self._turn, message.process(requeue=False):
                await self._until_taken(message.body)
        except RefusedError:
            pass  # the broker has it among the dead letters now
        except (
            aio_pika.exceptions.AMQPError,
            aio_pika.exceptions.ChannelInvalidStateError,
            ConnectionError,
        ):
            pass  # the broker has gone before it heard of it, and sends the message again

    async def _until_taken(self, body: bytes) -> None:
        while True:
            try:
                return await self._users.take(body)
            except RefusedError:
                raise
            except Exception as error:  # whatever it is, the message is not at fault
                log.warning("message_not_kept", error=repr(error))
            await asyncio.sleep(_RETRY_SECONDS)
