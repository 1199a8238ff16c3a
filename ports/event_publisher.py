"""Publish to the rest of the platform, and know that it arrived."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from ports.outbox import Message


class Delivery(StrEnum):
    """What the broker said of one message."""

    CONFIRMED = "confirmed"
    UNROUTABLE = "unroutable"  # no queue is bound for it
    REFUSED = "refused"  # the broker could not take it; the same message may be sent again


class BrokerUnavailable(Exception):
    """The broker cannot be reached, or did not answer in time."""


class EventPublisher(Protocol):
    """The way out."""

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        """Send these messages side by side and return when the broker has judged each of them.

        No order among them is promised: whoever needs one message to arrive before another
        sends the second after the first is confirmed. A message the broker did not judge before
        the connection was lost is missing from the result: it may or may not have arrived.

        Raises BrokerUnavailable where none could be sent.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...
