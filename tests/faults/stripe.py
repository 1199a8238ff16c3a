"""Stripe's side: the lives of many subscriptions, each webhook sent until it is answered 200."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import httpx

from tests.stripe_payloads import (
    DAY,
    START,
    Payload,
    customer,
    event,
    invoice,
    signed,
    subscription,
)
from tests.stripe_stand_in import StripeStandIn

# Seconds. What is not answered by then counts as refused, as at Stripe.
ANSWER_TIMEOUT = 10.0
# Seconds between two tries of one webhook. Stripe waits for minutes to hours.
RETRY_PAUSE = 0.05
# Seconds until something awaited must have happened.
PATIENCE = 120.0
# Lives that are being sent at a time, and webhooks that are under way at a time.
LIVES_AT_ONCE = 12
SENDERS = 8


@dataclass(frozen=True)
class Life:
    """One subscription, of a user of its own, from its trial to its end."""

    user: UUID
    ref: str
    events: Sequence[Payload]


@dataclass
class Sender:
    """Sends lives that begin for as long as it is told to, in an order made from the chance."""

    addresses: Callable[[], Sequence[str]]
    stand_in: StripeStandIn
    chance: random.Random
    lives: list[Life] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    repeats: int = 0
    refusals: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _open: list[list[Payload]] = field(default_factory=list)
    _ending: bool = False

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
        while (payload := self._next()) is not None:
            await self._send(client, payload)
            if self.chance.random() < 0.1:
                self.repeats += 1
                await self._send(client, payload)

    def _next(self) -> Payload | None:
        while len(self._open) < LIVES_AT_ONCE and not self._ending:
            life = self._begin()
            self.lives.append(life)
            self._open.append(self.chance.sample(life.events, len(life.events)))
        if not self._open:
            return None
        left = self.chance.choice(self._open)
        payload = left.pop()
        if not left:
            self._open.remove(left)
        return payload

    async def _send(self, client: httpx.AsyncClient, payload: Payload) -> None:
        while True:
            request = signed(payload)
            try:
                answer = await client.post(
                    f"{self.chance.choice(self.addresses())}/api/payments/webhook",
                    content=request.body,
                    headers={"stripe-signature": request.header},
                )
            except httpx.TransportError:
                pass  # nobody listens, or the connection broke
            else:
                assert answer.status_code in (200, 500, 503), answer.text
                if answer.status_code == 200:
                    async with self._news:
                        self.answered.add(payload["id"])
                        self._news.notify_all()
                    return
            async with self._news:
                self.refusals += 1
                self._news.notify_all()
            await asyncio.sleep(RETRY_PAUSE)

    def _begin(self) -> Life:
        number = len(self.lives)
        user = UUID(int=self.chance.getrandbits(128), version=4)
        ref, cus = f"sub_{number}", f"cus_{number}"
        self.stand_in.customers[cus] = customer(cus, user_id=user, email=f"{ref}@example.org")
        tied = self.chance.random() < 0.3
        steps = [
            ("created", "trialing", START),
            ("updated", "active", START + 180 * DAY),
            ("updated", "past_due", START + 210 * DAY),
            ("updated", "active", START + (210 if tied else 213) * DAY),
            ("deleted", "canceled", START + 240 * DAY),
        ]
        trial = {"trial_end": START + 180 * DAY}
        states = [
            subscription(ref, status=status, user_id=user, customer=cus) | trial
            for _, status, _ in steps
        ]
        # What a tie within one second is decided by.
        self.stand_in.subscriptions[ref] = states[-1]
        events = [
            event(f"customer.subscription.{kind}", state, created=moment)
            for (kind, _, moment), state in zip(steps, states, strict=True)
        ]
        bill = invoice(f"in_{ref}", subscription=ref, user_id=user, customer=cus)
        events += [
            event(kind, bill, created=START + 180 * DAY)
            for kind in ("invoice.paid", "invoice.payment_succeeded")
        ]
        return Life(user, ref, events)
