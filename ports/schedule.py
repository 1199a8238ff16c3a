"""Whose turn it is to do what is done from time to time."""

from datetime import timedelta
from typing import Protocol


class Schedule(Protocol):
    """When each periodic job is due, agreed among all workers. May raise StorageUnavailable."""

    async def take(self, job: str, *, lease: timedelta) -> bool:
        """Take the job if it is due: of several who ask at once exactly one gets it.

        Unless `put_off` is called, it is due again after `lease`: whoever had it is taken for
        dead then.
        """
        ...

    async def put_off(self, job: str, delay: timedelta) -> None:
        """The job is due again after this delay."""
        ...
