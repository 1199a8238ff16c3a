"""Who works on what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from adapters.memory.store import Lease, MemoryStore
from ports.partitions import PARTITIONS, Share

# How long a worker is believed alive without a sign of life.
LEASE = timedelta(seconds=10)


class MemoryPartitions:
    """The share of one worker. Leases expire by the store's clock."""

    def __init__(
        self,
        store: MemoryStore,
        *,
        lease: timedelta = LEASE,
        worker: UUID | None = None,
    ) -> None:
        self._store = store
        self._lease = lease
        self._share = Share(worker or uuid4(), epoch=0)

    def held(self) -> Share:
        """The share as far as is known here."""
        return self._share

    async def renew(self) -> bool:
        """Say that this worker is alive and take a fair share; whether the share changed."""
        self._store.require_available()
        me, now = self._share.worker, self._store.clock.now()
        mine = self._store.workers.setdefault(me, Lease(self._share.epoch + 1, now))
        mine.expires_at = now + self._lease
        self._store.bury(now)
        self._take_fair_share(mine)
        held = frozenset(part for part, owner in self._store.owners.items() if owner == me)
        share = Share(me, mine.epoch, held)
        changed, self._share = share != self._share, share
        return changed

    async def release(self) -> None:
        """Give everything back at once."""
        self._store.require_available()
        me = self._share.worker
        self._share = Share(me, self._share.epoch)
        if me in self._store.workers:
            self._store.workers[me].expires_at = _LONG_AGO
            self._store.bury(self._store.clock.now())

    def _take_fair_share(self, lease: Lease) -> None:
        me, owners = self._share.worker, self._store.owners
        fair = -(-PARTITIONS // len(self._store.workers))
        surplus = sorted(part for part, owner in owners.items() if owner == me)[fair:]
        if surplus and not self._store.relied_on[me]:  # else next time
            lease.epoch += 1
            for part in surplus:
                del owners[part]
        lacking = fair - sum(owner == me for owner in owners.values())
        for part in [part for part in range(PARTITIONS) if part not in owners][: max(0, lacking)]:
            owners[part] = me


_LONG_AGO = datetime.min.replace(tzinfo=UTC)
