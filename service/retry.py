"""When to try again, and when to give up."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter. Times are in seconds.

    Full jitter, because many webhooks fail together when what they need is down, and should not
    come back together.
    """

    base: float = 1.0
    cap: float = 900.0
    max_attempts: int = 12

    def delay(self, attempts: int) -> timedelta:
        """How long to wait after this many failures."""
        # The exponent is bounded because 2.0**1024 overflows.
        ceiling = min(self.cap, self.base * 2.0 ** min(attempts - 1, 63))
        return timedelta(seconds=random.uniform(0, ceiling))  # noqa: S311 - spread, not a secret

    def delay_after(self, waited: timedelta) -> timedelta:
        """How long to wait where this long was waited for something else than this one: as long
        again at the most, so that an outage is asked about ever more seldom.
        """
        ceiling = min(self.cap, max(self.base, waited.total_seconds()))
        return timedelta(seconds=random.uniform(0, ceiling))  # noqa: S311 - spread, not a secret

    def gives_up(self, attempts: int) -> bool:
        """Whether this many failures are enough."""
        return attempts >= self.max_attempts
