"""When a stage looks for work again: after a full batch, when it is woken, and by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from ports.unit_of_work import StorageUnavailable
from ports.wakeups import Stage
from service import loop
from service.loop import FULL, LINGER, LONGEST_IDLE

IDLE = timedelta(seconds=2)


class Life:
    """A stage, its wake-ups and the end of both: notes what happens, in its order."""

    def __init__(self, batches: Sequence[int | Exception]) -> None:
        self._batches = list(batches)
        self._stop = asyncio.Event()
        self.happened: list[str | float] = []

    async def run(self) -> list[str | float]:
        """Live until the batches are used up; what happened, waits as seconds."""
        await loop.run(Stage.INBOX, self._run_once, self._idle_time, self, self._stop)
        return self.happened

    async def _run_once(self) -> int:
        batch = self._batches.pop(0)
        self.happened.append("run")
        if not self._batches:
            self._stop.set()
        if isinstance(batch, Exception):
            raise batch
        return batch

    async def _idle_time(self) -> timedelta | None:
        self.happened.append("asked")
        return IDLE

    async def wait(self, stage: Stage, timeout: float) -> None:
        self.happened.append(timeout)

    def wake(self, stage: Stage) -> None:
        raise AssertionError("it wakes nobody")

    async def listen(self) -> None:
        raise AssertionError("it does not listen")


async def test_after_a_full_batch_the_next_one_follows_at_once() -> None:
    assert await Life([FULL, FULL]).run() == ["run", "run"]


async def test_after_a_small_batch_it_waits_a_moment_to_be_woken_and_asks_nothing() -> None:
    moment = LINGER.total_seconds()
    assert await Life([1, 1, 1]).run() == ["run", moment, "run", moment, "run", moment]


async def test_when_nothing_came_in_that_moment_it_waits_for_what_is_due() -> None:
    happened = await Life([1, 0, 1]).run()
    assert happened[:5] == ["run", LINGER.total_seconds(), "run", "asked", IDLE.total_seconds()]


async def test_what_is_due_by_the_clock_is_late_by_a_moment_at_most() -> None:
    assert timedelta(milliseconds=100) > LINGER
    assert LONGEST_IDLE > LINGER


async def test_an_absent_database_is_tried_again_without_waiting_to_be_woken() -> None:
    assert await Life([StorageUnavailable("gone"), FULL]).run() == ["run", "run"]
