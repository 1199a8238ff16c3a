"""The whole service on in-memory adapters: real use cases, no server, no waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from adapters.memory.clock import SettableClock
from adapters.memory.event_publisher import MemoryEventPublisher
from adapters.memory.inbox import MemoryIntake
from adapters.memory.partitions import MemoryPartitions
from adapters.memory.payment_provider import MemoryPaymentProvider
from adapters.memory.store import MemoryStore, WebhookRow
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.memory.wakeups import MemoryWakeups
from adapters.stripe.webhooks import StripeWebhooks
from domain.money import Money
from domain.plans import Interval, Offer, Plan, PriceList
from domain.subscription import AccessPolicy
from ports.metrics import Metrics
from ports.outbox import Message
from ports.payment_provider import ProviderCustomer
from ports.wakeups import Stage
from service.process_inbox import ProcessInbox, ProcessingRules
from service.provider_lookups import ProviderLookups
from service.receive_webhook import Receipt, ReceiveWebhook
from service.relay_outbox import RelayOutbox
from service.retry import RetryPolicy
from service.tracing import UNTRACED, Traces
from service.uncounted import UNCOUNTED
from tests.stripe_payloads import SECRET, USER, Payload, at, signed

PRICES = (
    Offer("general_monthly", Plan.GENERAL, Interval.MONTH, Money(1000, "usd")),
    Offer("event_organizer_monthly", Plan.EVENT_ORGANIZER, Interval.MONTH, Money(1500, "usd")),
)


class House:
    """One process of the service. Several may share a store, by whose clock they live, unless
    theirs is another one.
    """

    def __init__(
        self,
        *,
        store: MemoryStore | None = None,
        clock: SettableClock | None = None,
        provider: MemoryPaymentProvider | None = None,
        retry: RetryPolicy | None = None,
        livemode: bool = False,
        batch_size: int = 500,
        metrics: Metrics = UNCOUNTED,
        traces: Traces = UNTRACED,
    ) -> None:
        self.store = store or MemoryStore()
        self.clock = clock or self.store.clock
        self.provider = provider or MemoryPaymentProvider()
        self.provider.customers.setdefault(
            "cus_1", ProviderCustomer("cus_1", USER, "alice@example.com", "Alice")
        )
        self.publisher = MemoryEventPublisher()
        self.queue = self.publisher.subscribe()
        self.wakeups = MemoryWakeups(self.store)
        self.partitions = MemoryPartitions(self.store)
        prices = PriceList(PRICES)
        prices.learn({f"price_{offer.lookup_key}": offer for offer in PRICES}, {})
        reader = StripeWebhooks([SECRET], prices)
        self.receive = ReceiveWebhook(
            reader,
            MemoryIntake(self.store),
            self.clock,
            metrics=metrics,
            traces=traces,
        )
        self.lookups = ProviderLookups(
            self.provider, answered=lambda: self.wakeups.wake(Stage.INBOX), monotonic=self.monotonic
        )
        self.process = ProcessInbox(
            self.unit_of_work,
            reader,
            self.lookups,
            self.partitions,
            self.wakeups,
            ProcessingRules(
                livemode=livemode,
                access=AccessPolicy(past_due_grace=timedelta(days=7)),
                retry=retry or RetryPolicy(),
                batch_size=batch_size,
            ),
            monotonic=self.monotonic,
            metrics=metrics,
            traces=traces,
        )
        self.relay = RelayOutbox(
            self.unit_of_work,
            self.publisher,
            self.partitions,
            self.clock,
            batch_size=batch_size,
            monotonic=self.monotonic,
            metrics=metrics,
            traces=traces,
        )

    def monotonic(self) -> float:
        """Seconds that have passed for this house, whatever its clock is set to."""
        return self.store.clock.now().timestamp()

    def unit_of_work(self) -> MemoryUnitOfWork:
        """A transaction on this house's store."""
        return MemoryUnitOfWork(self.store)

    async def deliver(self, *events: Payload) -> list[Receipt]:
        """Receive these events, signed now."""
        receipts = []
        for event in events:
            request = signed(event, timestamp=int(self.clock.now().timestamp()))
            receipts.append(await self.receive(request.body, request.header))
        return receipts

    async def work(self) -> None:
        """Work off everything that is due, the answers of the provider included."""
        await self.partitions.renew()
        while await self.process.run_once() or self.lookups.busy_keys:
            if self.lookups.busy_keys:
                await self.wakeups.wait(Stage.INBOX, 5)

    async def publish(self) -> None:
        """Empty the outbox."""
        while await self.relay.run_once():
            pass

    async def run(self, *events: Payload) -> None:
        """Deliver these, then do everything that follows."""
        await self.deliver(*events)
        await self.work()
        await self.publish()

    def row(self, event: Payload) -> WebhookRow:
        """What is kept of a delivered event."""
        return self.store.tables.webhooks[event["id"]]

    def outcomes(self, events: Iterable[Payload]) -> list[str | None]:
        """What became of each of these."""
        return [self.row(event).outcome for event in events]

    def published(self) -> list[Message]:
        """Every message published since the last call."""
        messages = []
        while True:
            try:
                messages.append(self.queue.get_nowait())
            except asyncio.QueueEmpty:
                return messages

    def told(self) -> list[str]:
        """The types of these messages, without their common prefix and version."""
        return [
            message.type.removeprefix("payments.").removesuffix(".v1")
            for message in self.published()
        ]


def data(message: Message) -> dict[str, Any]:
    """What a message says."""
    body: dict[str, Any] = json.loads(message.body)
    found: dict[str, Any] = body["data"]
    return found


__all__ = ["House", "at", "data"]
