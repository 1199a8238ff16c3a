"""The clock of this host."""

from datetime import UTC, datetime


class SystemClock:
    """What time it is here. Kept right by the host (NTP)."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)
