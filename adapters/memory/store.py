"""What the stand-ins keep, and what a transaction over it is.

A transaction sees what was committed by now and its own writes on top; the commit repeats those
writes on what is there by then, all of them or none. So a transaction is a list of writes, and
concurrent ones need no locks: there are no threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from adapters.memory.clock import SettableClock
from domain.customer import Customer
from domain.subscription import Subscription
from ports.inbox import ClaimedWebhook
from ports.outbox import Message
from ports.partitions import LeaseLost, Share
from ports.unit_of_work import StorageUnavailable
from ports.wakeups import Stage


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A received webhook and what became of it: an Outcome, `dead`, or None while pending."""

    webhook: ClaimedWebhook
    received_at: datetime
    next_attempt_at: datetime | None = None
    waiting_for: str | None = None
    processed: bool = False
    outcome: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message and when it was done with."""

    message: Message
    published_at: datetime | None = None
    unrouted_at: datetime | None = None


@dataclass(slots=True)
class Tables:
    """Everything transactions are about. Rows are replaced, never changed; order is arrival."""

    customers: dict[str, Customer] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    trials: set[UUID] = field(default_factory=set)
    duplicates: set[UUID] = field(default_factory=set)
    paid_invoices: set[str] = field(default_factory=set)
    webhooks: dict[str, WebhookRow] = field(default_factory=dict)
    messages: dict[UUID, MessageRow] = field(default_factory=dict)

    def copy(self) -> Tables:
        """The same rows in tables of their own."""
        return replace(
            self,
            customers=dict(self.customers),
            subscriptions=dict(self.subscriptions),
            trials=set(self.trials),
            duplicates=set(self.duplicates),
            paid_invoices=set(self.paid_invoices),
            webhooks=dict(self.webhooks),
            messages=dict(self.messages),
        )


@dataclass(slots=True)
class Lease:
    """A worker that is believed alive until `expires_at`."""

    epoch: int
    expires_at: datetime


class MemoryStore:
    """The state of all stand-ins that are to see each other. Not `available`: it is away.

    It has a clock of its own, as a database has.
    """

    def __init__(self, clock: SettableClock | None = None) -> None:
        self.clock = clock or SettableClock()
        self.available = True
        self.tables = Tables()
        self.workers: dict[UUID, Lease] = {}
        self.owners: dict[int, UUID] = {}
        # How many open transactions rely on the lease of each worker.
        self.relied_on: Counter[UUID] = Counter()
        self.listeners: list[Callable[[Stage], None]] = []

    def require_available(self) -> None:
        """Raise StorageUnavailable where a test has made it so."""
        if not self.available:
            raise StorageUnavailable("the store was made unavailable")

    def bury(self, now: datetime) -> None:
        """Remove the workers that expired, unless one is just committing; their partitions are
        free.
        """
        for worker, lease in list(self.workers.items()):
            if lease.expires_at < now and not self.relied_on[worker]:
                del self.workers[worker]
        self.owners = {part: who for part, who in self.owners.items() if who in self.workers}

    def notify(self, stage: Stage) -> None:
        """Wake the stage wherever somebody listens."""
        for wake in self.listeners:
            wake(stage)


class Transaction:
    """Writes to a store, committed together or not at all."""

    def __init__(self, store: MemoryStore) -> None:
        store.require_available()
        self._store = store
        self._writes: list[Callable[[Tables], None]] = []
        self._stages: set[Stage] = set()
        self._relied_on: list[UUID] = []

    def now(self) -> datetime:
        """The present moment by the store's clock."""
        return self._store.clock.now()

    def read(self) -> Tables:
        """What this transaction sees; changing it changes nothing."""
        self._store.require_available()
        tables = self._store.tables.copy()
        for write in self._writes:
            write(tables)
        return tables

    def write(self, change: Callable[[Tables], None], wakes: Stage | None = None) -> None:
        """Do this with the commit, and then wake this stage."""
        self._writes.append(change)
        if wakes is not None:
            self._stages.add(wakes)
        self.read()  # what cannot be written is found out here

    def rely_on(self, share: Share) -> None:
        """Keep this share the worker's until the end. Raises LeaseLost."""
        lease = self._store.workers.get(share.worker)
        if lease is None or lease.epoch != share.epoch:
            raise LeaseLost("this worker was presumed dead or gave partitions back")
        self._store.relied_on[share.worker] += 1
        self._relied_on.append(share.worker)

    def commit(self) -> None:
        """Do what was written so far."""
        self._store.tables = self.read()
        for stage in self._stages:
            self._store.notify(stage)
        self.end()

    def end(self) -> None:
        """Forget what was not committed, and rely on no lease any more."""
        self._writes.clear()
        self._stages.clear()
        self._store.relied_on.subtract(self._relied_on)
        self._relied_on.clear()
