"""What time it is at Stripe, and what is due when.

The sandbox's clock runs with the real one or stands still, and jumps in both cases. A test clock
is a second clock that stands still, for the customers created on it. Every wait of the sandbox
is a timer; a clock that jumps stops at each timer on its way, in order.
(Stripe: Test clocks)
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sandbox.stripe.store import Json

# The id of the sandbox's own clock; a test clock has the id of its object.
MAIN: Final = ""

Seconds = int


class Clock:
    """Whole seconds since the epoch."""

    def __init__(
        self,
        start: Seconds | None = None,
        *,
        runs: bool = True,
        real: Callable[[], float] = time.time,
    ) -> None:
        self._real = real
        self.runs = runs
        self._offset = 0.0 if start is None else start - real()
        self._held = None if runs else int(real() + self._offset)

    def now(self) -> Seconds:
        """The present second on this clock."""
        return int(self.exact())

    def exact(self) -> float:
        """The present moment, in seconds and their fractions, for what lives by this clock."""
        return self._real() + self._offset if self._held is None else self._held

    def hold(self, moment: Seconds) -> None:
        """Stand at this moment, which is not before the present one."""
        self._held = max(moment, self.now())

    @contextmanager
    def standing_at(self, moment: Seconds) -> Iterator[None]:
        """Stand at this moment, past or not, while what was due then is done."""
        before, self._held = self._held, moment
        try:
            yield
        finally:
            self._held = before

    def release(self) -> None:
        """Run on from where it was held, if this clock runs."""
        if self.runs and self._held is not None:
            self._offset = self._held - self._real()
            self._held = None


class Timers:
    """What is due when, by the clock it waits for; of two due at once, the older one first.

    A timer is never taken back: whoever is woken looks whether there is still something to do.
    """

    def __init__(self) -> None:
        self._queues: dict[str, list[tuple[Seconds, int, str, str]]] = {}
        self._set = 0

    def set(self, clock: str, due: Seconds, job: str, id_: str) -> None:
        """Have a job wake for an object at this moment."""
        self._set += 1
        heapq.heappush(self._queues.setdefault(clock, []), (due, self._set, job, id_))

    def next_due(self, clock: str) -> Seconds | None:
        """When the next timer of a clock is due."""
        queue = self._queues.get(clock)
        return queue[0][0] if queue else None

    def pop(self, clock: str) -> tuple[str, str]:
        """The job of the next timer, and its object."""
        _, _, job, id_ = heapq.heappop(self._queues[clock])
        return job, id_

    def drop(self, clock: str) -> None:
        """Forget the timers of a clock that was deleted."""
        self._queues.pop(clock, None)

    def dump(self) -> Json:
        """Everything, for a snapshot."""
        return {"queues": self._queues, "set": self._set}

    def load(self, snapshot: Json) -> None:
        """Take over what was dumped."""
        self._queues = {
            clock: [(due, number, job, id_) for due, number, job, id_ in queue]
            for clock, queue in snapshot["queues"].items()
        }
        self._set = snapshot["set"]
