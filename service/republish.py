"""What was said of subscriptions is summed up once more, for who has lost it or comes late.

A snapshot takes the way of every message, through the outbox in the order of its subscription. It
is written while the subscription is held, so it stands behind every message whose version it
carries or exceeds, and before every later one: who takes it over and goes on with the next message
has missed nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.events import Occurrence
from domain.subscription import AccessPolicy, Subscription
from ports.clock import Clock
from ports.outbox import Message
from ports.partitions import PARTITIONS, LeaseLost, Partitions
from ports.unit_of_work import UnitOfWork
from service.event_messages import write_message
from service.tracing import continue_trace

# One transaction each: some milliseconds for which webhooks of these subscriptions wait.
PAGE: Final = 200
# More messages than any subscription is told of in the days that a backup may be old.
LEAP: Final = 1_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which subscriptions: one, those of one user, or all that were ever spoken of."""

    user_id: UUID | None = None
    subscription_id: UUID | None = None


class WorkersAlive(Exception):
    """A worker holds part of the work, which has to be all ours."""


class Republish:
    """Writes snapshots to the outbox."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        clock: Clock,
        policy: AccessPolicy,
        partitions: Partitions,
        *,
        page: int = PAGE,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock
        self._policy = policy
        self._partitions = partitions
        self._page = page

    async def __call__(self, selection: Selection, *, dry_run: bool = False) -> int:
        """Write a snapshot of each of these; returns how many, or would be with `dry_run`.

        Raises StorageUnavailable; what was written until then stays, and doing it again is
        harmless.
        """
        trace = continue_trace(None)
        count = 0
        async for references in self._pages(selection):
            count += len(references)
            if dry_run:
                continue
            told = await self._tell(references, trace, wait=False)
            for busy in references:
                if busy not in told:
                    await self._tell([busy], trace, wait=True)
        return count

    async def after_restore(self) -> int:
        """Sum up all of these under numbers that nobody has seen; returns how many.

        A database that was put back in time has forgotten messages that consumers know. It would
        give their numbers and ids again, to messages of other content, and consumers would take
        those for repeats; so the numbers that may be known are left out. Doing it again is
        harmless.

        No worker may run meanwhile. Raises WorkersAlive where one does, and StorageUnavailable;
        what was written until then stays.
        """
        trace = continue_trace(None)
        count = 0
        try:
            async for references in self._pages(Selection()):
                await self._partitions.renew()
                if len(self._partitions.held().partitions) < PARTITIONS:
                    raise WorkersAlive
                count += len(await self._tell(references, trace, wait=True, after_restore=True))
        except LeaseLost:
            raise WorkersAlive from None
        finally:
            await self._partitions.release()
        return count

    async def _pages(self, selection: Selection) -> AsyncIterator[Sequence[str]]:
        after = ""
        while True:
            async with self._unit_of_work() as uow:
                references = await uow.subscriptions.references(
                    after,
                    limit=self._page,
                    user_id=selection.user_id,
                    subscription_id=selection.subscription_id,
                )
            if not references:
                return
            yield references
            after = references[-1]

    async def _tell(
        self, references: Collection[str], trace: str, *, wait: bool, after_restore: bool = False
    ) -> set[str]:
        """Write down the snapshots of these; returns those that could be held."""
        async with self._unit_of_work() as uow:
            if after_restore:  # no worker has read what is changed here
                await uow.outbox.claim(self._partitions.held(), limit=0)
            held = await uow.subscriptions.hold(references, wait=wait)
            if after_restore:
                for subscription in held:
                    subscription.skip_versions(LEAP)
                await uow.subscriptions.save(held)
            customers = await uow.customers.find(
                {s.customer_ref for s in held if s.customer_ref}, ()
            )
            emails = {customer.customer_ref: customer.email for customer in customers}
            await uow.outbox.add(
                [self._snapshot(s, emails.get(s.customer_ref), trace) for s in held]
            )
            await uow.commit()
        return {subscription.subscription_ref for subscription in held}

    def _snapshot(self, subscription: Subscription, email: str | None, trace: str) -> Message:
        now = self._clock.now()
        occurrence = Occurrence(subscription.version, now, subscription.snapshot(now, self._policy))
        return write_message(occurrence, subscription, email, trace)
