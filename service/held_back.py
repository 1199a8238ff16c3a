"""Which subscriptions wait until the broker may take their next message."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Final
from uuid import UUID

from ports.outbox import Message
from ports.partitions import partition_of
from service.retry import RetryPolicy

# How long a subscription is held back whose next message the broker would not take.
HOLD_BACK: Final = RetryPolicy(base=0.5, cap=30.0)
# Seconds. What is not here any more by so long after its time went to another worker with its
# partition.
_GONE: Final = 300.0


@dataclass(frozen=True, slots=True)
class _Blocked:
    partition: int
    until: float
    failures: int


class HeldBack:
    """One for all lanes of a worker, so that none waits for what another has published."""

    def __init__(
        self, retry: RetryPolicy = HOLD_BACK, *, monotonic: Callable[[], float] = monotonic
    ) -> None:
        self._retry = retry
        self._monotonic = monotonic
        self._blocked: dict[UUID, _Blocked] = {}

    def present(self) -> list[UUID]:
        """The subscriptions whose time has not come."""
        now = self._monotonic()
        return [id_ for id_, blocked in self._blocked.items() if blocked.until > now]

    def first(self, partitions: Collection[int]) -> timedelta | None:
        """How long until the first in these partitions is tried again; None without any."""
        due = (one.until for one in self._blocked.values() if one.partition in partitions)
        first = min(due, default=None)
        return None if first is None else timedelta(seconds=max(0.0, first - self._monotonic()))

    def add(self, message: Message) -> int:
        """Hold the subscription of this message back; returns how often in a row that was."""
        before = self._blocked.get(message.subscription_id)
        failures = before.failures + 1 if before else 1
        until = self._monotonic() + self._retry.delay(failures).total_seconds()
        partition = partition_of(message.ordering_key)
        self._blocked[message.subscription_id] = _Blocked(partition, until, failures)
        return failures

    def release(self, subscription_id: UUID) -> None:
        """Its messages were taken."""
        self._blocked.pop(subscription_id, None)

    def forget_all_but(self, present: Collection[UUID], partitions: Collection[int]) -> None:
        """Forget whose time has come and who has nothing in these partitions any more: it was
        published by another worker, to whom the partition has gone.
        """
        now = self._monotonic()
        for id_, blocked in list(self._blocked.items()):
            looked_for = blocked.partition in partitions or blocked.until <= now - _GONE
            if blocked.until <= now and looked_for and id_ not in present:
                del self._blocked[id_]
