"""Deliveries from the provider: are they genuine, and what do they mean?"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.commands import Command
from ports.inbox import ClaimedWebhook, ReceivedWebhook


class RejectionReason(StrEnum):
    """The class of what is wrong with a delivery; it goes into the answer and into metrics."""

    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_MALFORMED = "signature_malformed"
    SIGNATURE_MISMATCH = "signature_mismatch"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    NOT_UTF8 = "body_not_utf8"
    NOT_JSON = "body_not_json"
    NOT_AN_OBJECT = "body_not_an_object"
    NOT_AN_EVENT = "body_not_an_event"
    THIN_EVENT = "thin_event"


class RejectedWebhook(Exception):
    """A delivery that is not taken. `hint` says what to do, and holds nothing secret."""

    def __init__(self, reason: RejectionReason, hint: str) -> None:
        super().__init__(f"{reason}: {hint}")
        self.reason = reason
        self.hint = hint


class UnreadableWebhook(Exception):
    """A genuine event that does not have the shape we rely on: it will not read better later."""


@dataclass(frozen=True, slots=True)
class Unhandled:
    """An event that asks nothing of us, and why."""

    note: str
    foreign: bool = False


class WebhookReader(Protocol):
    """Reads what the provider sends."""

    def receive(
        self, payload: bytes, signature: str | None, *, now: datetime, traceparent: str
    ) -> ReceivedWebhook:
        """Check the signature over the raw bytes and read the envelope.

        `signature` is the value of the provider's signature header. Raises RejectedWebhook.
        """
        ...

    def translate(self, webhook: ClaimedWebhook) -> Command | Unhandled:
        """What a stored webhook tells us to do. Raises UnreadableWebhook."""
        ...
