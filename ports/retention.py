"""What was kept long enough goes, a little at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Kept:
    """How long things are kept, counted from when they came in or were written.

    `payloads` and errors of processed webhooks, and what payloads of those that wait or were given
    up say of people; then their `event_ids`, `messages` that were published or given up, and
    `answers` to requests with a key, which hold what users were told.
    """

    payloads: timedelta
    event_ids: timedelta
    messages: timedelta
    answers: timedelta


@dataclass(frozen=True, slots=True)
class Swept:
    """How many of each."""

    payloads: int
    event_ids: int
    messages: int
    answers: int = 0
    masked: int = 0


class Retention(Protocol):
    """Old rows of the inbox, the outbox and the keys of requests.

    Any method may raise StorageUnavailable. What is not done with (a webhook that waits, is retried
    or was given up, a message that was not published) stays for however long. Each call is one
    transaction, waits for nobody's lock and returns how many rows it changed; fewer than `limit`
    means that this was all it could have now.
    """

    async def erase_payloads(self, age: timedelta, *, limit: int) -> int:
        """Erase payloads and errors; the rows stay, so that a repeat is still recognised."""
        ...

    async def mask_payloads(
        self, age: timedelta, mask: Callable[[bytes], bytes], *, limit: int
    ) -> int:
        """Put the masked payload in the place of the payload of webhooks that wait, are retried or
        were given up, which go on being all that. None is masked twice.
        """
        ...

    async def remove_webhooks(self, age: timedelta, *, limit: int) -> int:
        """Remove processed webhooks altogether."""
        ...

    async def remove_messages(self, age: timedelta, *, limit: int) -> int:
        """Remove messages that are done with."""
        ...

    async def remove_answers(self, age: timedelta, *, limit: int) -> int:
        """Remove what requests with a key were answered with, and the key."""
        ...

    async def count(self, kept: Kept) -> Swept:
        """How many there are that are too old now."""
        ...
