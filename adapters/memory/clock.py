"""A clock that goes only when told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SettableClock:
    """Stands at `moment` until it is advanced or set."""

    def __init__(self, moment: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.moment = moment

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.moment

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.moment += by
