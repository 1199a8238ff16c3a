"""Hear that a webhook of one's own making was worked off."""

from contextlib import AbstractContextManager
from typing import Final, Protocol

# Event ids that begin like this are our own; only for these anybody waits.
OWN_EVENT: Final = "sync:"


class Settlement(Protocol):
    """One webhook's end."""

    async def wait(self, timeout: float) -> bool:
        """Return True once it was worked off, False after `timeout` seconds."""
        ...


class Settlements(Protocol):
    """Who waits for which webhook. May miss one while its connection is down."""

    def expect(self, event_id: str) -> AbstractContextManager[Settlement]:
        """Listen for this webhook from now on: call it before the webhook is recorded."""
        ...

    async def listen(self) -> None:
        """Hear of webhooks that were worked off, until cancelled. Reconnects by itself."""
        ...
