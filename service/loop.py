"""A stage that works for as long as there is work, and is woken when there is more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from ports.event_publisher import BrokerUnavailable
from ports.partitions import LeaseLost
from ports.unit_of_work import StorageUnavailable
from ports.wakeups import Stage, Wakeups
from service.retry import RetryPolicy

log = structlog.get_logger(__name__)

# After a batch of so many there is probably more: the stages take 500 and more at a time.
FULL: Final = 400
# How long after a small batch a wake-up is waited for before the next look. Long enough for the
# next webhook wherever they come often, short for what is due by the clock meanwhile.
LINGER: Final = timedelta(milliseconds=50)
# What is due but cannot be claimed just yet must not make the loop spin.
SHORTEST_IDLE: Final = timedelta(milliseconds=10)
# A lost wake-up (the listener was just reconnecting) costs at most this.
LONGEST_IDLE: Final = timedelta(seconds=5)
_BACKOFF: Final = RetryPolicy(base=0.1, cap=5.0)


async def run(
    stage: Stage,
    run_once: Callable[[], Awaitable[int]],
    idle_time: Callable[[], Awaitable[timedelta | None]],
    wakeups: Wakeups,
    stop: asyncio.Event,
) -> None:
    """Call `run_once` until `stop` is set, waiting for a wake-up whenever it found little.

    After a full batch there is more, and after a smaller one there is not, unless somebody says so:
    looking again right away would cost as much as working on a small batch.

    What is away comes back: an unreachable database or broker, a lost lease and even an error
    nobody foresaw are logged and retried with growing pauses, never the end of the loop.
    """
    failures = 0
    while not stop.is_set():
        try:
            done = await run_once()
            idle = LINGER if done else await idle_time()
            failures = 0
            if done >= FULL:
                continue
        except LeaseLost as error:
            log.warning("lease_lost", stage=stage, error=str(error))
            idle = None
        except (StorageUnavailable, BrokerUnavailable) as error:
            failures += 1
            idle = _BACKOFF.delay(failures)
            log.warning("stage_waits", stage=stage, error=str(error), seconds=idle.total_seconds())
        except Exception:
            failures += 1
            idle = _BACKOFF.delay(failures)
            log.exception("stage_failed", stage=stage)
        pause = LONGEST_IDLE if idle is None else min(max(idle, SHORTEST_IDLE), LONGEST_IDLE)
        if failures:
            await _pause(pause, stop)
        else:
            await wakeups.wait(stage, pause.total_seconds())


async def _pause(pause: timedelta, stop: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), pause.total_seconds())
