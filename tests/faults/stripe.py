"""Stripe's side: the lives of many subscriptions, each webhook sent until it is answered 200."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx

from tests.faults.lives import Delivery, Life, draw_life
from tests.stripe_payloads import Payload, signed
from tests.stripe_stand_in import StripeStandIn

# Seconds. What is not answered by then counts as refused, as at Stripe.
ANSWER_TIMEOUT = 5.0
# Seconds between two tries of one webhook. Stripe waits for minutes to hours.
RETRY_PAUSE = 0.05
# Seconds until something awaited must have happened.
PATIENCE = 300.0
# Lives that are being sent at a time, and webhooks that are under way at a time.
LIVES_AT_ONCE = 12
SENDERS = 8


class Try(NamedTuple):
    """One delivery of a webhook. `duplicate` is what the answer said, None where it was no 200."""

    event_id: str
    duplicate: bool | None


@dataclass
class Sender:
    """Sends lives that begin for as long as it is told to."""

    addresses: Callable[[], Sequence[str]]
    stand_in: StripeStandIn
    seed: int
    lives: list[Life] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    refusals: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _open: list[list[Delivery]] = field(default_factory=list)
    _ending: bool = False

    def __post_init__(self) -> None:
        # Its own: how often it draws depends on how fast it is answered.
        self._chance = random.Random(f"{self.seed}:sender")  # noqa: S311 - a schedule, not a secret

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send until the block ends, then finish the lives that have begun."""
        async with (
            httpx.AsyncClient(timeout=ANSWER_TIMEOUT) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(SENDERS):
                group.create_task(self._send_all(client))
            try:
                yield
            finally:
                self._ending = True

    async def accepted(self, more: int) -> None:
        """Return once this many more webhooks were answered 200."""
        enough = len(self.answered) + more
        await self._until(lambda: len(self.answered) >= enough)

    async def refused(self, more: int) -> None:
        """Return once this many more tries were not answered 200."""
        enough = self.refusals + more
        await self._until(lambda: self.refusals >= enough)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(condition)

    async def _send_all(self, client: httpx.AsyncClient) -> None:
        while (delivery := self._next()) is not None:
            for _ in range(1 + delivery.repeats):
                await self._send(client, delivery.payload)

    def _next(self) -> Delivery | None:
        while len(self._open) < LIVES_AT_ONCE and not self._ending:
            life = draw_life(self.seed, len(self.lives))
            # What whose a subscription is, and a tie within one second, are decided by.
            self.stand_in.customers[life.customer["id"]] = life.customer
            self.stand_in.subscriptions[life.ref] = life.truth
            self.lives.append(life)
            self._open.append(list(life.deliveries))
        if not self._open:
            return None
        left = self._chance.choice(self._open)
        delivery = left.pop(0)
        if not left:
            self._open.remove(left)
        return delivery

    async def _send(self, client: httpx.AsyncClient, payload: Payload) -> None:
        while True:
            request = signed(payload)
            try:
                answer = await client.post(
                    f"{self._chance.choice(self.addresses())}/api/payments/webhook",
                    content=request.body,
                    headers={"stripe-signature": request.header},
                )
            except httpx.TransportError:
                duplicate = None  # nobody listens, or the connection broke
            else:
                assert answer.status_code in (200, 503), answer.text
                duplicate = answer.json()["duplicate"] if answer.status_code == 200 else None
            async with self._news:
                self.tries.append(Try(payload["id"], duplicate))
                if duplicate is None:
                    self.refusals += 1
                else:
                    self.answered.add(payload["id"])
                self._news.notify_all()
            if duplicate is not None:
                return
            await asyncio.sleep(RETRY_PAUSE)
