"""Which part of the work is this worker's.

The work is divided by a hash of its ordering key into PARTITIONS parts, shared out among the
workers that are alive. Only the worker whose share a part is can commit work of it.
"""

from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID
from zlib import crc32

# More than any sensible number of workers, few enough to share out in one statement.
# Rows carry their partition, so changing it means draining inbox and outbox first.
PARTITIONS: Final = 64


def partition_of(ordering_key: str) -> int:
    """The partition that everything with this ordering key belongs to."""
    return crc32(ordering_key.encode()) % PARTITIONS


@dataclass(frozen=True, slots=True)
class Share:
    """The partitions of one worker. `epoch` grows whenever the worker loses some of them."""

    worker: UUID
    epoch: int
    partitions: frozenset[int] = frozenset()


class LeaseLost(Exception):
    """This share is no longer the worker's: nothing of it may be committed any more."""


class HeldPartitions(Protocol):
    """What there is to work on."""

    def held(self) -> Share:
        """The share as far as is known here; a claim finds out whether it still holds."""
        ...


class Partitions(HeldPartitions, Protocol):
    """This worker's share of the partitions."""

    async def renew(self) -> bool:
        """Say that this worker is alive; take a fair share of what is free or was a dead
        worker's, give back what is beyond it. Returns whether the share changed.
        """
        ...

    async def release(self) -> None:
        """Give everything back at once, so that others need not wait until it expires."""
        ...
