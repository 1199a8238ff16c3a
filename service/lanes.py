"""A stage in several lanes, side by side in one process.

While the database or the broker works for one lane, this process works for another. Each has a
part of the worker's partitions to itself, so a subscription is always in one lane, and its order
is kept exactly as it is between two workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Final, Protocol

from ports.partitions import HeldPartitions, Share
from service.loop import FULL

# Seconds. However much there is to do, somebody may want to stop this process: after so long no
# lane begins another batch.
AT_A_STRETCH: Final = 1.0


class Stage(Protocol):
    """What `loop.run` runs."""

    async def run_once(self) -> int:
        """Work off one batch; returns how much was done."""
        ...

    async def idle_time(self) -> timedelta | None:
        """How long until something is due; None where nothing waits."""
        ...


class PartOfShare:
    """One of several equal parts of a worker's partitions."""

    def __init__(self, partitions: HeldPartitions, number: int, lanes: int) -> None:
        self._partitions = partitions
        self._number = number
        self._lanes = lanes

    def held(self) -> Share:
        """The part of this lane."""
        share = self._partitions.held()
        mine = (p for p in share.partitions if p % self._lanes == self._number)
        return replace(share, partitions=frozenset(mine))


class Lanes:
    """Runs lanes of one stage as if they were one, once there is work for several.

    `whole` has all their partitions. It takes what little there is by itself; only when it has had
    a batch of at least `full` do the lanes go on, and never at the same time as it. They end when
    one of them has less: what comes in for that one must not wait for what the others still have.
    """

    def __init__(
        self,
        whole: Stage,
        lanes: Sequence[Stage],
        full: int = FULL,
        *,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._whole = whole
        self._lanes = lanes
        self._full = full
        self._monotonic = monotonic
        self._until = 0.0

    async def run_once(self) -> int:
        """Work off a batch, and several in each lane where it was full; returns how much was done.

        Raises what a lane raises, after the others have finished what they had in hand.
        """
        done = await self._whole.run_once()
        if done < self._full:
            return done
        self._until = self._monotonic() + AT_A_STRETCH
        results = await asyncio.gather(
            *(self._run_repeatedly(lane) for lane in self._lanes), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
            done += result
        return done

    async def idle_time(self) -> timedelta | None:
        """How long until something is due in any lane; None where nothing waits."""
        return await self._whole.idle_time()

    async def _run_repeatedly(self, lane: Stage) -> int:
        done = 0
        try:
            while True:
                count = await lane.run_once()
                done += count
                if count < self._full or self._monotonic() >= self._until:
                    return done
        finally:
            self._until = 0.0  # for the others, too
