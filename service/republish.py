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
from ports.unit_of_work import UnitOfWork
from service.event_messages import write_message
from service.tracing import continue_trace

# One transaction each: some milliseconds for which webhooks of these subscriptions wait.
PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Selection:
    """Which subscriptions: one, those of one user, or all that were ever spoken of."""

    user_id: UUID | None = None
    subscription_id: UUID | None = None


class Republish:
    """Writes snapshots to the outbox."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        clock: Clock,
        policy: AccessPolicy,
        *,
        page: int = PAGE,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock
        self._policy = policy
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

    async def _tell(self, references: Collection[str], trace: str, *, wait: bool) -> set[str]:
        """Write down the snapshots of these; returns those that could be held."""
        async with self._unit_of_work() as uow:
            held = await uow.subscriptions.hold(references, wait=wait)
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
