"""How full things are now: what waits, what is given up, what is subscribed to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

# No more of each state are counted, or counting would take the longest when there is most to do.
# How old the oldest is does not suffer from it.
MOST_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many, MOST_COUNTED at most, the oldest of which came `oldest` seconds ago; 0 without."""

    count: int = 0
    oldest: float = 0.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is under way. `inbox` is by State; a state without any webhook may be left out."""

    inbox: Mapping[str, Waiting] = field(default_factory=dict)
    outbox: Waiting = field(default_factory=Waiting)


@dataclass(frozen=True, slots=True)
class Population:
    """What is subscribed to.

    `subscriptions` is by status and plan, `trials_ending` by a number of days within which they
    do, each window holding the shorter ones. `duplicates` are subscriptions that were found
    running beside another one of the same user and still run.
    """

    subscriptions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    trials_ending: Mapping[int, int] = field(default_factory=dict)
    duplicates: int = 0


class Levels(Protocol):
    """Reads levels. Each may raise StorageUnavailable, after a few seconds at the latest."""

    async def backlog(self) -> Backlog:
        """What is under way now; quick at any size of the tables, but for what is postponed."""
        ...

    async def population(self) -> Population:
        """What is subscribed to now; reads every subscription."""
        ...
