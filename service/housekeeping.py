"""What is done from time to time, by one worker at a time, and never in the way of the work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from ports.metrics import Metrics
from ports.payment_provider import ProviderUnavailable
from ports.schedule import Schedule, Turn
from ports.unit_of_work import StorageUnavailable
from service.uncounted import UNCOUNTED

log = structlog.get_logger(__name__)

# After so long a worker that died over a job is replaced.
LEASE: Final = timedelta(hours=1)
# How long one run may take: it is cut off well before another worker takes over, and goes on the
# next time.
TIME: Final = timedelta(minutes=50)
# After a failure, sooner than the next regular run.
AGAIN: Final = timedelta(minutes=10)
# Seconds between looking whether something is due.
LOOK_EVERY: Final = 60.0


class Progress:
    """How far a job has come, kept for the run after one that was cut off."""

    def __init__(self, schedule: Schedule, turn: Turn) -> None:
        self._schedule = schedule
        self._turn = turn

    @property
    def kept(self) -> str | None:
        """What the last run has kept; None after one that came to its end."""
        return self._turn.progress

    async def keep(self, progress: str | None) -> None:
        """Go on from here the next time. Raises TurnLost and StorageUnavailable."""
        if not await self._schedule.keep(self._turn, progress):
            raise TurnLost("another worker has taken the job over")


class TurnLost(Exception):
    """The job is another worker's by now."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done about this often. It may be cut off anywhere, and done twice."""

    name: str
    every: timedelta
    run: Callable[[Progress], Awaitable[object]]


class Housekeeping:
    """Does the jobs that are due."""

    def __init__(
        self, schedule: Schedule, jobs: Sequence[Job], metrics: Metrics = UNCOUNTED
    ) -> None:
        self._schedule = schedule
        self._metrics = metrics
        self._jobs = jobs

    async def run(self) -> None:
        """Do what is due, for ever, until cancelled."""
        while True:
            await self.run_once()
            await asyncio.sleep(_about(LOOK_EVERY))

    async def run_once(self) -> int:
        """Do every job that is due, one after the other; returns how many were. Never raises."""
        done = 0
        for job in self._jobs:
            try:
                turn = await self._schedule.take(job.name, lease=LEASE)
                if turn is not None:
                    done += 1
                    again = await self._do(job, Progress(self._schedule, turn))
                    await self._schedule.put_off(turn, timedelta(seconds=_about(again)))
            except StorageUnavailable as error:
                log.warning("job_waits", job=job.name, error=str(error))
        return done

    async def _do(self, job: Job, progress: Progress) -> float:
        """Do it; returns the seconds until the next time."""
        try:
            async with asyncio.timeout(TIME.total_seconds()):
                await job.run(progress)
        except (ProviderUnavailable, StorageUnavailable, TimeoutError, TurnLost) as error:
            log.warning("job_failed", job=job.name, error=str(error) or "it took too long")
        except Exception:
            log.exception("job_failed", job=job.name)
        else:
            self._metrics.task_done(job.name, well=True)
            return job.every.total_seconds()
        self._metrics.task_done(job.name, well=False)
        return min(AGAIN, job.every).total_seconds()


def _about(seconds: float) -> float:
    # Jitter, so that many installations do not ask the provider at the same moment.
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - spread, not a secret
