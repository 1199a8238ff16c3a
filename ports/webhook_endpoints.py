"""Have the provider send us exactly what we act on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Subscribed(StrEnum):
    """What was done about an endpoint."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class SyncedEndpoint:
    """The endpoint that serves an address now.

    `secret` signs what is sent to it; the provider shows it only to whom has created it.
    `others` are enabled endpoints of the same address with another API version.
    """

    ref: str
    outcome: Subscribed
    secret: str | None = field(default=None, repr=False)
    others: Sequence[str] = ()


class WebhookEndpoints(Protocol):
    """The endpoints of our account at the provider.

    Raises ProviderUnavailable, ProviderRefused and OperationConflict.
    """

    async def sync(self, url: str) -> SyncedEndpoint:
        """Make sure that this address is sent what we act on, as the API version we speak."""
        ...

    async def retire(self, endpoints: Sequence[str]) -> None:
        """Send nothing to these any more. What is under way is still tried again."""
        ...
