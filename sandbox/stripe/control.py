"""What a test or a scenario steers the sandbox with: its own small API under /sandbox/.

It is no part of Stripe. Bodies are JSON.

GET  /sandbox/status               the time, the version spoken, how many objects and deliveries
POST /sandbox/clock/advance        {"seconds": n} or {"to": moment}: jump, and wait for what is due
POST /sandbox/webhooks/mischief    {"duplicate", "lose", "delay": shares, "delay_seconds", "types"}
POST /sandbox/webhooks/hold        keep deliveries back
POST /sandbox/webhooks/release     {"order": "created" | "reversed" | "shuffled"}
POST /sandbox/webhooks/recover     send everything again that has not arrived
GET  /sandbox/webhooks             every delivery, the last one first
POST /sandbox/events/{id}/resend   deliver one event once more
POST /sandbox/faults               {"path", "method", "status", "times", "executed", "hold"}
POST /sandbox/faults/release       let requests that are held go
POST /sandbox/billing              {"retry_days", "finally"}: how failed renewals are dealt with
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from sandbox.stripe.clock import Seconds
from sandbox.stripe.outbox import Mischief, Order
from sandbox.stripe.store import Json
from sandbox.stripe.world import API_VERSION, Billing, World


@dataclass(slots=True)
class Fault:
    """What befalls the next requests to an endpoint.

    With a `status`, they are answered that: one from 500 on after having been `executed` or
    instead of it, and kept under the request's idempotency key as Stripe keeps it; a lesser one,
    such as 429, before anything is done, and with this `code`. A fault that holds keeps them
    waiting for its release.
    """

    path: str
    method: str = "POST"
    status: int | None = 500
    times: int = 1
    executed: bool = False
    code: str | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)


class Control:
    """Everything that can be steered, from within or over HTTP."""

    def __init__(
        self,
        world: World,
        advance: Callable[..., Awaitable[None]],
        advance_to: Callable[[Seconds], Awaitable[None]],
    ) -> None:
        self._world = world
        self._advance = advance
        self._advance_to = advance_to
        self._faults: list[Fault] = []
        self._held: list[Fault] = []

    def add_fault(
        self,
        path: str,
        *,
        method: str = "POST",
        status: int | None = 500,
        times: int = 1,
        executed: bool = False,
        code: str | None = None,
        hold: bool = False,
    ) -> None:
        """Have the next requests to an endpoint fail or wait; `path` is the routing table's."""
        fault = Fault(path, method, status, times, executed, code)
        if hold:
            self._held.append(fault)
        else:
            fault.released.set()
        self._faults.append(fault)

    def release_faults(self) -> None:
        """Let the requests go that are held."""
        for fault in self._held:
            fault.released.set()
        self._held.clear()

    def fault_for(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, if any."""
        for fault in self._faults:
            if (fault.method, fault.path) == (method, path):
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
                return fault
        return None

    async def do(self, method: str, path: str, given: Json) -> Json | None:
        """Do what a request asks; None where there is no such thing to do."""
        match method, path.strip("/").split("/")[1:]:
            case "GET", ["status"]:
                status: Json = self._status()
                return status
            case "POST", ["clock", "advance"]:
                if "to" in given:
                    await self._advance_to(int(given["to"]) + int(given.get("seconds", 0)))
                else:
                    await self._advance(seconds=int(given.get("seconds", 0)))
            case "POST", ["faults"]:
                self.add_fault(given.pop("path"), **given)
            case "POST", ["faults", "release"]:
                self.release_faults()
            case "POST", ["billing"]:
                self._world.billing = Billing(list(given["retry_days"]), given["finally"])
            case _, ["webhooks", *rest]:
                done: Json | None = self._webhooks(method, rest, given)
                return done
            case "POST", ["events", id_, "resend"]:
                event = self._world.store.find(id_)
                if event is None:
                    return None
                self._world.outbox.send_again(event)
            case _:
                return None
        return {"done": True}

    def _webhooks(self, method: str, path: list[str], given: Json) -> Json | None:
        outbox = self._world.outbox
        match method, path:
            case "GET", []:
                return {"deliveries": [asdict(delivery) for delivery in outbox.deliveries[::-1]]}
            case "POST", ["mischief"]:
                outbox.mischief = Mischief(**given)
            case "POST", ["hold"]:
                outbox.hold()
            case "POST", ["release"]:
                order: Order = given.get("order", "created")
                if order not in get_args(Order):
                    raise ValueError(f"order must be one of {', '.join(get_args(Order))}")
                outbox.release(order)
            case "POST", ["recover"]:
                outbox.recover()
            case _:
                return None
        return {"done": True}

    def _status(self) -> Any:
        deliveries = self._world.outbox.deliveries
        return {
            "api_version": API_VERSION,
            "now": self._world.clock.now(),
            "customers": sum(1 for _ in self._world.store.all("customer")),
            "subscriptions": sum(1 for _ in self._world.store.all("subscription")),
            "events": sum(1 for _ in self._world.store.all("event")),
            "deliveries": {
                state: sum(1 for delivery in deliveries if delivery.state == state)
                for state in sorted({delivery.state for delivery in deliveries})
            },
        }
