"""Everything the sandbox holds while it runs, in one place that every resource is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from stripe._api_version import _ApiVersion

from sandbox.stripe.clock import MAIN, Clock, Seconds, Timers
from sandbox.stripe.ids import Ids
from sandbox.stripe.outbox import Outbox
from sandbox.stripe.store import Json, Store

# The version of the API that the installed SDK pins, and so the one that is spoken here.
API_VERSION: Final = _ApiVersion.CURRENT


@dataclass(frozen=True, slots=True)
class Call:
    """A request to an endpoint, its parameters read."""

    params: dict[str, Any]
    request_id: str = ""
    idempotency_key: str | None = None
    # A publishable key may only do what a browser does, with an object's client secret.
    publishable: bool = False


@dataclass(slots=True)
class Billing:
    """How failed renewals are dealt with, as an account's settings at Stripe have it.

    `retry_days` are the days from one attempt to the next; when they are used up, the
    subscription becomes what `finally_` says: canceled, unpaid, or it stays past_due.
    """

    retry_days: list[int] = field(default_factory=lambda: [3, 5, 7])
    finally_: str = "canceled"


@dataclass(slots=True)
class World:
    """The state of the account."""

    ids: Ids
    clock: Clock
    api_key: str
    publishable_key: str
    outbox: Outbox
    store: Store = field(default_factory=Store)
    timers: Timers = field(default_factory=Timers)
    billing: Billing = field(default_factory=Billing)
    # Where the sandbox is reached; pages and invoices link to it.
    url: str = ""
    # The request that is being worked on; None while time does the work.
    call: Call | None = None
    # The clock that what is being worked on lives by.
    timeline: str = MAIN

    def now(self) -> Seconds:
        """The present second, on the clock of what is being worked on."""
        if self.timeline == MAIN:
            return self.clock.now()
        moment: Seconds = self.store.get("test_helpers.test_clock", self.timeline)["frozen_time"]
        return moment

    @contextmanager
    def working(self, timeline: str, call: Call | None = None) -> Iterator[None]:
        """Live by a clock, on behalf of a request or of time itself."""
        before = self.timeline, self.call
        self.timeline, self.call = timeline, call
        try:
            yield
        finally:
            self.timeline, self.call = before

    def wake(self, after: Seconds, job: str, obj: Json) -> None:
        """Have a job look at an object once so many seconds have passed."""
        self.timers.set(self.timeline, self.now() + after, job, obj["id"])

    def wake_at(self, due: Seconds, job: str, obj: Json) -> None:
        """Have a job look at an object at this moment, or at once where it has passed."""
        self.timers.set(self.timeline, max(due, self.now()), job, obj["id"])

    def timeline_of(self, *ids: Any) -> str:
        """The clock by which the objects with these ids live."""
        for id_ in ids:
            obj = self.store.find(id_) if isinstance(id_, str) else None
            if obj is None:
                continue
            if obj["object"] == "test_helpers.test_clock":
                return str(obj["id"])
            owner = obj.get("customer")
            timeline = obj.get("test_clock") or (owner and self.timeline_of(owner))
            if timeline:
                return str(timeline)
        return MAIN
