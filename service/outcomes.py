"""What a handler says of a command it has carried out."""

from __future__ import annotations

from dataclasses import dataclass

from ports.inbox import Outcome


@dataclass(frozen=True, slots=True)
class Done:
    """Carried out, or found to ask nothing."""

    outcome: Outcome
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Not sayable yet: to be repeated once the subscription may be spoken of.

    `orphan`: we have never heard of the subscription itself.
    """

    reason: str
    subscription_ref: str
    orphan: bool


Result = Done | Held

APPLIED = Done(Outcome.APPLIED)
STALE = Done(Outcome.STALE)
FOREIGN = Done(Outcome.FOREIGN, "no user of ours and no price of ours")
