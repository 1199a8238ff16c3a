"""Whose turn it is to do what is done from time to time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to do a job until then, and how far it had come the last time."""

    job: str
    until: datetime
    progress: str | None


class Schedule(Protocol):
    """When each periodic job is due, agreed among all workers. May raise StorageUnavailable."""

    async def take(self, job: str, *, lease: timedelta) -> Turn | None:
        """Take the job if it is due: of several who ask at once exactly one gets it.

        Unless `put_off` is called, it is due again after `lease`: whoever had it is taken for
        dead then.
        """
        ...

    async def keep(self, turn: Turn, progress: str | None) -> bool:
        """Note how far the job has come; False, and nothing is noted, where it is another's turn
        by now.
        """
        ...

    async def put_off(self, turn: Turn, delay: timedelta) -> bool:
        """The job is due again after this delay; False, and nothing is changed, where it is
        another's turn by now.
        """
        ...
