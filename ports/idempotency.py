"""Requests that clients gave a key to, so that repeating one does nothing twice."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request of a user under their key. `digest` is the same for equal requests."""

    user_id: UUID
    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered with."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Begun:
    """The request is the caller's to carry out; then it calls `finish` or `forget` with this.

    `since` tells it from whoever began the same request before or after.
    """

    since: datetime


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The same request is being carried out."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used for another request."""


class IdempotencyKeys(Protocol):
    """Remembers keyed requests for a day. Any method may raise StorageUnavailable."""

    async def begin(
        self, request: KeyedRequest, now: datetime, *, replayed_for: timedelta
    ) -> Begun | Answer | UnderWay | Mismatch:
        """Begin a request, or say why not; of several at once exactly one begins.

        One that was begun and neither finished nor forgotten is taken for crashed after a while,
        and may be begun again; so may one whose answer is older than `replayed_for`.
        """
        ...

    async def finish(self, request: KeyedRequest, begun: Begun, answer: Answer) -> bool:
        """Keep the answer, to be given again. False where another has taken the request over
        meanwhile: then it is that one's answer that counts.
        """
        ...

    async def forget(self, request: KeyedRequest, begun: Begun) -> None:
        """Let the key be used again, unless another has taken the request over."""
        ...
