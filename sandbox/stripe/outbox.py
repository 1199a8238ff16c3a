"""Webhooks on their way: signed, delivered, tried again, and mistreated on demand.

Stripe promises delivery at least once and no order. In a sandbox it tries three times more over
a few hours; the clock that counts is the sandbox's. (Stripe: Webhooks, Retry behavior)
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import httpx

from sandbox.stripe.clock import Seconds
from sandbox.stripe.store import Json, Store, text_of

# From one attempt to the next. Stripe says "over a few hours" and no more.
RETRY_AFTER: Final[tuple[Seconds, ...]] = (5 * 60, 60 * 60, 3 * 60 * 60)
# Seconds an endpoint has to answer.
TIMEOUT: Final = 10.0

State = Literal["waiting", "delivered", "failed", "lost", "held"]
Order = Literal["created", "reversed", "shuffled"]


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint. `due` is a moment on the sandbox's clock."""

    event: str
    endpoint: str
    due: Seconds
    state: State = "waiting"
    attempts: int = 0
    # The last answer: an HTTP status, or what went wrong on the way.
    answer: str | None = None


@dataclass(slots=True)
class Mischief:
    """What befalls deliveries, each as the share of events it befalls (0 to 1).

    Which ones is decided by the event's id, so that a run can be repeated.
    """

    duplicate: float = 0.0
    lose: float = 0.0
    delay: float = 0.0
    # How late a delayed one is at most, in seconds.
    delay_seconds: Seconds = 60
    # The types of event concerned; all where none is named.
    types: list[str] = field(default_factory=list)

    def befalls(self, fate: str, event: Json) -> bool:
        """Whether this fate is this event's."""
        share: float = getattr(self, fate)
        return (not self.types or event["type"] in self.types) and _chance(fate, event) < share

    def delay_of(self, event: Json) -> Seconds:
        """How late this event is."""
        if not self.befalls("delay", event):
            return 0
        return 1 + int(_chance("how late", event) * self.delay_seconds)


class Outbox:
    """The deliveries of one sandbox."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], Seconds],
        signing_time: Callable[[], float],
        inspect: Callable[[Any], None] | None = None,
        record: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._now = now
        self._signing_time = signing_time
        self._inspect = inspect
        # Awaited before anything leaves, so that nothing is told that might be forgotten.
        self._record = record
        self._http: httpx.AsyncClient | None = None
        self._turn = asyncio.Lock()
        self.deliveries: list[Delivery] = []
        self._open: list[Delivery] = []
        self.mischief = Mischief()
        self.holding = False
        # Nothing is sent any more, and nothing counts as refused for that.
        self.resting = False
        # How many deliveries are under way at once; one keeps them in order.
        self.concurrency = 1
        # Set whenever there may be something to do.
        self.news = asyncio.Event()

    def post(self, event: Json) -> None:
        """Send an event to every endpoint that listens to its type."""
        endpoints = [
            endpoint
            for endpoint in self._store.all("webhook_endpoint")
            if endpoint["status"] == "enabled"
            and {event["type"], "*"} & set(endpoint["enabled_events"])
        ]
        event["pending_webhooks"] = len(endpoints)
        if self._inspect is not None:
            self._inspect(event)
        for endpoint in endpoints:
            self._post(event, endpoint)

    def send_again(self, event: Json) -> None:
        """Send an event once more to every endpoint that it was sent to."""
        for endpoint in sorted({d.endpoint for d in self.deliveries if d.event == event["id"]}):
            self._add(Delivery(event["id"], endpoint, self._now()))

    def recover(self) -> None:
        """Send everything that has not arrived, whatever became of it."""
        self._open = [d for d in self.deliveries if d.state != "delivered"]
        for delivery in self._open:
            delivery.state, delivery.due = "waiting", self._now()
        self.news.set()

    def undelivered(self) -> set[str]:
        """The events that have not arrived everywhere, whatever became of them."""
        return {delivery.event for delivery in self.deliveries if delivery.state != "delivered"}

    def hold(self) -> None:
        """Keep everything back until `release`, attempts that are due again included."""
        self.holding = True

    def release(self, order: Order = "created") -> None:
        """Let what was kept back go, in this order."""
        self.holding = False
        held = [delivery for delivery in self._open if delivery.state == "held"]
        rest = [delivery for delivery in self._open if delivery.state != "held"]
        if order == "reversed":
            held.reverse()
        elif order == "shuffled":
            held.sort(key=lambda delivery: _chance("order", {"id": delivery.event}))
        for delivery in held:
            delivery.state, delivery.due = "waiting", self._now()
        self._open = rest + held
        self.news.set()

    def next_due(self) -> Seconds | None:
        """When the next delivery is due; none is while everything is kept back."""
        if self.holding:
            return None
        return min((d.due for d in self._open if d.state == "waiting"), default=None)

    async def deliver_due(self) -> int:
        """Deliver what is due by now, and what becomes due meanwhile; return how much it was."""
        count = 0
        async with self._turn:
            while due := self._due():
                if self._record is not None:
                    await self._record()
                count += len(due)
                for start in range(0, len(due), self.concurrency):
                    batch = due[start : start + self.concurrency]
                    await asyncio.gather(*map(self._attempt, batch))
                self._open = [d for d in self._open if d.state in ("waiting", "held")]
        return count

    async def close(self) -> None:
        """Let go of the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def dump(self) -> Json:
        """Everything, for a snapshot."""
        return {
            "deliveries": [asdict(delivery) for delivery in self.deliveries],
            "mischief": asdict(self.mischief),
            "holding": self.holding,
        }

    def load(self, snapshot: Json) -> None:
        """Take over what was dumped."""
        self.mischief = Mischief(**snapshot["mischief"])
        self.holding = snapshot["holding"]
        for dumped in snapshot["deliveries"]:
            delivery = Delivery(**dumped)
            self.deliveries.append(delivery)
            if delivery.state in ("waiting", "held"):
                self._open.append(delivery)

    def _post(self, event: Json, endpoint: Json) -> None:
        delivery = Delivery(event["id"], endpoint["id"], self._now())
        if self.mischief.befalls("lose", event):
            delivery.state = "lost"
            self.deliveries.append(delivery)
            return
        delivery.due += self.mischief.delay_of(event)
        self._add(delivery)
        if self.mischief.befalls("duplicate", event):
            self._add(Delivery(event["id"], endpoint["id"], delivery.due))

    def _add(self, delivery: Delivery) -> None:
        if self.holding:
            delivery.state = "held"
        self.deliveries.append(delivery)
        self._open.append(delivery)
        self.news.set()

    def _due(self) -> list[Delivery]:
        if self.holding or self.resting:
            return []
        now = self._now()
        return sorted(
            (d for d in self._open if d.state == "waiting" and d.due <= now), key=lambda d: d.due
        )

    async def _attempt(self, delivery: Delivery) -> None:
        if self.holding or self.resting:  # since it was found to be due
            return
        event, endpoint = self._store.find(delivery.event), self._store.find(delivery.endpoint)
        if event is None or endpoint is None or endpoint["status"] != "enabled":
            delivery.state, delivery.answer = "failed", "the endpoint is gone"
            return
        delivery.attempts += 1
        delivery.answer = await self._send(event, endpoint)
        if delivery.answer.startswith("2"):
            self._arrived(delivery, event)
        elif delivery.attempts > len(RETRY_AFTER):
            delivery.state = "failed"
        else:
            delivery.due = self._now() + RETRY_AFTER[delivery.attempts - 1]

    def _arrived(self, delivery: Delivery, event: Json) -> None:
        delivery.state = "delivered"
        before = self._store.note(event).setdefault("arrived_at", [])
        if delivery.endpoint not in before:
            before.append(delivery.endpoint)
            event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)

    async def _send(self, event: Json, endpoint: Json) -> str:
        """The answer: an HTTP status, or what went wrong."""
        version = endpoint["api_version"] or event["api_version"]
        payload = text_of(event | {"api_version": version})
        secret = self._store.note(endpoint)["secret"]
        if self._http is None:
            # A proxy of this machine is no way to another port of this machine.
            self._http = httpx.AsyncClient(
                timeout=TIMEOUT,
                trust_env=False,
                # Rather a new connection than one that the receiver is just closing.
                limits=httpx.Limits(keepalive_expiry=2.0),
            )
        try:
            answer = await self._http.post(
                endpoint["url"],
                content=payload,
                headers={
                    "Content-Type": "application/json; charset=utf-8",
                    "Stripe-Signature": signature(payload, secret, int(self._signing_time())),
                    "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                },
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__
        return str(answer.status_code)


def signature(payload: bytes, secret: str, timestamp: Seconds) -> str:
    """The value of Stripe-Signature. (Stripe: Webhooks, Verify manually)"""
    signed = f"{timestamp}.".encode() + payload
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def _chance(what: str, event: dict[str, Any]) -> float:
    """A number from 0 up to 1 that is always the same for the same event."""
    digest = hashlib.sha256(f"{what}:{event['id']}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
