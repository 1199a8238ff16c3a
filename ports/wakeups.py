"""Stages wake each other instead of polling."""

from enum import StrEnum
from typing import Protocol


class Stage(StrEnum):
    """A stage that can be woken."""

    INBOX = "payments_inbox"
    OUTBOX = "payments_outbox"


class Wakeups(Protocol):
    """Waiting for work. A wake-up may come without work, and is never relied on alone."""

    async def wait(self, stage: Stage, timeout: float) -> None:
        """Return when the stage is woken, or after `timeout` seconds.

        A wake-up that came since the last call returns at once.
        """
        ...

    async def listen(self) -> None:
        """Hear the wake-ups of other processes, until cancelled. Reconnects by itself."""
        ...

    def wake(self, stage: Stage) -> None:
        """Wake the stage within this process."""
        ...
