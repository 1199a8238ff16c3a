"""What is done from time to time, by one worker at a time, and never in the way of the work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from ports.payment_provider import ProviderUnavailable
from ports.schedule import Schedule
from ports.unit_of_work import StorageUnavailable

log = structlog.get_logger(__name__)

# How long one run may take. It is cut off then and goes on the next time; after as long a worker
# that died over it is replaced.
LEASE: Final = timedelta(hours=1)
# After a failure, sooner than the next regular run.
AGAIN: Final = timedelta(minutes=10)
# Seconds between looking whether something is due.
LOOK_EVERY: Final = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done about this often. It may be cut off anywhere, and done twice."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[object]]


class Housekeeping:
    """Does the jobs that are due."""

    def __init__(self, schedule: Schedule, jobs: Sequence[Job]) -> None:
        self._schedule = schedule
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
                if await self._schedule.take(job.name, lease=LEASE):
                    done += 1
                    again = await self._do(job)
                    await self._schedule.put_off(job.name, timedelta(seconds=_about(again)))
            except StorageUnavailable as error:
                log.warning("job_waits", job=job.name, error=str(error))
        return done

    async def _do(self, job: Job) -> float:
        """Do it; returns the seconds until the next time."""
        try:
            async with asyncio.timeout(LEASE.total_seconds()):
                await job.run()
        except (ProviderUnavailable, StorageUnavailable, TimeoutError) as error:
            log.warning("job_failed", job=job.name, error=str(error) or "it took too long")
        except Exception:
            log.exception("job_failed", job=job.name)
        else:
            return job.every.total_seconds()
        return min(AGAIN, job.every).total_seconds()


def _about(seconds: float) -> float:
    # Jitter, so that many installations do not ask the provider at the same moment.
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - spread, not a secret
