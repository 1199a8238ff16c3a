"""What was received from the provider: durable before it is answered, worked off in order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from ports.partitions import Share

# Bytes of payloads that are claimed together, give or take one. Five hundred usual ones are an
# eighth of it; five hundred of the largest would be 256 MiB.
LARGEST_CLAIM: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """A genuine delivery, as it came.

    `ordering_key` names what must be worked on one at a time (the subscription, else the
    customer, else the event itself). `created` is the provider's stamp, `payload` the signed
    bytes.
    """

    event_id: str
    event_type: str
    ordering_key: str
    livemode: bool
    api_version: str | None
    created: datetime
    payload: bytes
    traceparent: str


@dataclass(frozen=True, slots=True)
class ClaimedWebhook:
    """A delivery this worker is to work on. `attempts` counts the failures so far, and `age` is how
    long ago it came in when it was claimed.
    """

    id: UUID
    event_id: str
    event_type: str
    ordering_key: str
    livemode: bool
    payload: bytes
    traceparent: str
    age: timedelta
    attempts: int


class Outcome(StrEnum):
    """What became of a processed webhook."""

    APPLIED = "applied"
    STALE = "stale"  # a newer snapshot was applied before it
    IGNORED = "ignored"  # nothing we act on
    FOREIGN = "foreign"  # another product's, on the same account
    WRONG_MODE = "wrong_mode"  # a test event at a live service, or the reverse
    DISCARDED = "discarded"  # given up, and an operator said that it will never be mended


@dataclass(frozen=True, slots=True)
class Processed:
    """A webhook that is done with, and why it came out as it did."""

    id: UUID
    outcome: Outcome
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Postponed:
    """A webhook that is to be tried again after this delay, or sooner: as soon as somebody wakes
    what `waits_for` this key.

    `failed` counts it as an attempt; one that merely waits is none.
    """

    id: UUID
    delay: timedelta
    reason: str
    failed: bool = True
    waits_for: str | None = None


@dataclass(frozen=True, slots=True)
class Dead:
    """A webhook that is given up: kept with its error until an operator replays it."""

    id: UUID
    error: str


Verdict = Processed | Postponed | Dead


class State(StrEnum):
    """Where a webhook stands that no Outcome was reached for."""

    PENDING = "pending"  # not looked at yet
    RETRYING = "retrying"  # failed, and due again later
    HELD = "held"  # waits for something to happen
    DEAD = "dead"  # given up


@dataclass(frozen=True, slots=True)
class KeptWebhook:
    """A webhook as an operator sees it. `state` is a State or an Outcome."""

    event_id: str
    event_type: str
    ordering_key: str
    state: str
    received_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    error: str | None
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class WebhookQuery:
    """Which webhooks: all conditions that are given must hold. The newest first."""

    event_ids: Collection[str] | None = None
    states: Collection[str] | None = None
    event_type: str | None = None
    limit: int = 50


class Overloaded(Exception):
    """More webhooks are waiting to be written than are worth queueing: ask the sender to retry."""


class Intake(Protocol):
    """The receiving end of the inbox, outside any unit of work."""

    async def record(self, webhook: ReceivedWebhook) -> bool:
        """Write it down; True where it is new, False where its event id was known.

        Returns only when the row is durable. Raises Overloaded, or StorageUnavailable where it
        could not be written: then the sender must be told to try again.
        """
        ...

    async def close(self) -> None:
        """Write what still waits."""
        ...


class Inbox(Protocol):
    """The working end of the inbox, inside a unit of work.

    Whether something is due is told by the one clock of the storage: those of the workers need not
    agree with it, nor with each other.
    """

    async def claim(
        self,
        share: Share,
        *,
        limit: int,
        excluding: Collection[str] = (),
    ) -> Sequence[ClaimedWebhook]:
        """The oldest webhooks of these partitions that are due, in the order of their arrival: no
        more than the limit, nor than have LARGEST_CLAIM bytes, but always one. What came at once
        stands in the order in which the provider made it.

        Ordering keys in `excluding` are passed over. Raises LeaseLost where the share is
        no longer this worker's; until the unit of work ends nobody can take it.
        """
        ...

    async def settle(self, verdicts: Sequence[Verdict]) -> None:
        """Write down what became of claimed webhooks."""
        ...

    async def wake_waiting(self, keys: Collection[str]) -> None:
        """Make due what waits for one of these keys."""
        ...

    async def next_due(self, share: Share, *, excluding: Collection[str] = ()) -> timedelta | None:
        """How long until the first webhook of these partitions that was postponed is due, nothing
        where it is already; None without any.
        """
        ...

    async def is_processed(self, event_id: str) -> bool:
        """Whether a webhook with this event id was received and is done with."""
        ...

    async def find(self, query: WebhookQuery) -> Sequence[KeptWebhook]:
        """The webhooks that fit the query, the newest first."""
        ...

    async def count_by_state(self, states: Collection[str] | None = None) -> Mapping[str, int]:
        """How many webhooks are kept in each of these states (by default in every State and
        Outcome); those without any are left out.
        """
        ...

    async def replay(
        self, event_ids: Collection[str], *, states: Collection[str] | None = None
    ) -> Collection[str]:
        """Make these due at once, as if they had just come in; returns the ids of those that are.

        Passed over is what is in none of these states by now (by default any will do), what was
        never received, and what has lost its payload.
        """
        ...

    async def discard(self, event_ids: Collection[str]) -> Collection[str]:
        """Be done with those of these that are dead; returns their ids."""
        ...
