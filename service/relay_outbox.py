"""What was written to the outbox goes out, in order per subscription.

A message leaves only after its predecessor of the same subscription was confirmed; messages of
different subscriptions travel side by side. Exactly the confirmed ones are marked. A crash in
between publishes some again, with the same ids.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Final
from uuid import UUID

import structlog
from opentelemetry.trace import SpanKind

from ports.clock import Clock
from ports.event_publisher import Delivery, EventPublisher
from ports.metrics import Metrics
from ports.outbox import Message
from ports.partitions import HeldPartitions, LeaseLost, Share
from ports.unit_of_work import UnitOfWork
from service.event_messages import origin_of
from service.held_back import HeldBack
from service.tracing import UNTRACED, TracedStep, Traces, trace_id_of
from service.uncounted import UNCOUNTED

log = structlog.get_logger(__name__)

# Every subscription held back is listed in each claim; with this many the topology is broken
# for everybody, and nothing is lost by waiting.
MOST_BLOCKED: Final = 10_000
# Seconds. A share that was found to hold so lately needs no second look: a worker that stalls loses
# it only after several times as long.
_LOOK_AGAIN: Final = 1.0

_HINTS: Final = {
    Delivery.UNROUTABLE: "no queue takes it: bind the consumer's queue to the exchange",
    Delivery.REFUSED: "the broker refused it: see the broker's log",
    None: "the connection was lost before the broker confirmed it",
}


@dataclass(slots=True)
class _Round:
    confirmed: list[UUID] = field(default_factory=list)
    unrouted: list[UUID] = field(default_factory=list)
    blocked: dict[UUID, tuple[Message, Delivery | None]] = field(default_factory=dict)


class RelayOutbox:
    """Publishes what waits in the partitions this worker holds."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        publisher: EventPublisher,
        partitions: HeldPartitions,
        clock: Clock,
        *,
        held_back: HeldBack | None = None,
        batch_size: int = 1_000,
        monotonic: Callable[[], float] = monotonic,
        metrics: Metrics = UNCOUNTED,
        traces: Traces = UNTRACED,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._publisher = publisher
        self._partitions = partitions
        self._clock = clock
        self._held_back = held_back or HeldBack(monotonic=monotonic)
        self._monotonic = monotonic
        self._batch_size = batch_size
        self._metrics = metrics
        self._traces = traces

    async def run_once(self) -> int:
        """Publish one batch; returns how many messages are done with.

        Raises BrokerUnavailable, StorageUnavailable and LeaseLost; it may be called again.
        """
        looked_at = self._monotonic()
        held_back = self._held_back.present()
        share = self._partitions.held()
        if not share.partitions or len(held_back) >= MOST_BLOCKED:
            return 0
        async with self._unit_of_work() as uow:
            batch = await uow.outbox.claim(share, limit=self._batch_size, excluding=held_back)
        if len(batch) < self._batch_size:
            present = {message.subscription_id for message in batch}
            self._held_back.forget_all_but(present, share.partitions)
        if not batch:
            return 0
        outcome = _Round()
        try:
            await self._publish(batch, outcome, share, looked_at)
        finally:
            await self._mark(outcome)
        self._note_who_waits(outcome, batch)
        return len(outcome.confirmed) + len(outcome.unrouted)

    async def idle_time(self) -> timedelta | None:
        """How long until a message that was held back is tried again; None without any."""
        return self._held_back.first(self._partitions.held().partitions)

    async def _publish(
        self, batch: Sequence[Message], outcome: _Round, share: Share, looked_at: float
    ) -> None:
        chains: dict[UUID, deque[Message]] = {}
        for message in batch:
            chains.setdefault(message.subscription_id, deque()).append(message)
        while chains:
            looked_at = await self._look_again(share, looked_at)
            wave = [chain.popleft() for chain in chains.values()]
            traced = self._begin(wave)
            judged = await self._publisher.publish(wave)
            now = self._clock.now()
            for message in wave:
                delivery = judged.get(message.id)
                self._count(message, delivery, now, traced)
                match delivery:
                    case Delivery.CONFIRMED:
                        outcome.confirmed.append(message.id)
                    case Delivery.UNROUTABLE if not message.must_be_routed:
                        outcome.unrouted.append(message.id)
                    case _:
                        outcome.blocked[message.subscription_id] = (message, delivery)
                        del chains[message.subscription_id]
            chains = {id_: chain for id_, chain in chains.items() if chain}

    async def _look_again(self, share: Share, looked_at: float) -> float:
        """Make sure, where it is not plain, that the share is still ours; returns when that was
        last seen. Raises LeaseLost.

        A worker that stalled for long would otherwise publish what its successor has published.
        One that stalls right here still does: with the same ids, which consumers know.
        """
        held, now = self._partitions.held(), self._monotonic()
        if held.epoch != share.epoch or not share.partitions <= held.partitions:
            raise LeaseLost("partitions went to others while their messages were published")
        if now - looked_at < _LOOK_AGAIN:
            return looked_at
        async with self._unit_of_work() as uow:
            await uow.outbox.claim(share, limit=0)
        return now

    def _begin(self, wave: Iterable[Message]) -> dict[UUID, TracedStep]:
        """A step of each message's trace, where somebody collects them."""
        if not self._traces.collected:
            return {}
        steps = {
            message.id: self._traces.begin(
                "publish message",
                origin_of(message).traceparent,
                SpanKind.PRODUCER,
                message_id=str(message.id),
                message_type=message.type,
            )
            for message in wave
        }
        return {id_: step for id_, step in steps.items() if step is not None}

    def _count(
        self,
        message: Message,
        delivery: Delivery | None,
        now: datetime,
        traced: dict[UUID, TracedStep],
    ) -> None:
        result = str(delivery or "unjudged")
        self._metrics.message_judged(message.type, result)
        confirmed = delivery is Delivery.CONFIRMED
        if confirmed:
            age = now - origin_of(message).time
            self._metrics.message_arrived(age.total_seconds())
        if message.id in traced:
            traced[message.id].end(error=None if confirmed else result, result=result)

    async def _mark(self, outcome: _Round) -> None:
        if not outcome.confirmed and not outcome.unrouted:
            return
        now = self._clock.now()
        async with self._unit_of_work() as uow:
            await uow.outbox.mark_published(outcome.confirmed, now)
            await uow.outbox.mark_unrouted(outcome.unrouted, now)
            await uow.commit()

    def _note_who_waits(self, outcome: _Round, batch: Iterable[Message]) -> None:
        for subscription_id in {message.subscription_id for message in batch}:
            if subscription_id not in outcome.blocked:
                self._held_back.release(subscription_id)
                continue
            message, delivery = outcome.blocked[subscription_id]
            failures = self._held_back.add(message)
            log.warning(
                "message_held_back",
                message_id=str(message.id),
                message_type=message.type,
                failures=failures,
                subscription_id=str(subscription_id),
                trace_id=trace_id_of(origin_of(message).traceparent),
                hint=_HINTS[delivery],
            )
        if outcome.unrouted:
            log.warning("messages_unrouted", count=len(outcome.unrouted))
