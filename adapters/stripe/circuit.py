"""Fails fast while Stripe is down, so that nobody waits for time-outs in a row.

Our own because the rule is shorter than a dependency: after a few failures in a row nothing is
sent for a while; then a single request probes, and its success lets all others through again.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

# Each failure is a call that failed after its retries: as many in a row are no accident.
FAILURES: Final = 5
# Seconds until the next probe. Short, because a probe costs one request.
PAUSE: Final = 10.0
# Seconds that a probe is waited for: longer than any call takes, so that there is only one.
PROBE: Final = 15.0


class CircuitOpen(Exception):
    """Nothing is sent now; `retry_after` seconds from now something may be."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"Stripe has been down; trying again in {retry_after:.0f} s")
        self.retry_after = retry_after


class Circuit:
    """Counts failures in a row."""

    def __init__(self, *, monotonic: Callable[[], float] = monotonic) -> None:
        self._now = monotonic
        self._failures = 0
        self._next_probe = 0.0

    def admit(self) -> None:
        """Let a request through, or raise CircuitOpen. The first after the pause is the probe."""
        if self._failures < FAILURES:
            return
        wait = self._next_probe - self._now()
        if wait > 0:
            raise CircuitOpen(wait)
        self._next_probe = self._now() + PROBE

    def record(self, *, answered: bool) -> None:
        """Note how a request ended: whether Stripe answered it, in whatever way."""
        self._failures = 0 if answered else self._failures + 1
        if self._failures >= FAILURES:
            self._next_probe = self._now() + PAUSE
