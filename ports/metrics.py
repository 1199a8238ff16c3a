"""What operators count and time, and how they read it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Metrics(Protocol):
    """Counts what happens. Never raises and never waits; times are in seconds."""

    def webhook_received(self, event_type: str, api_version: str | None, *, new: bool) -> None:
        """A genuine webhook was written down, or was known already. `api_version` rendered it."""
        ...

    def webhook_rejected(self, reason: str) -> None:
        """A delivery was not genuine; the reason is a RejectionReason."""
        ...

    def webhook_turned_away(self) -> None:
        """A genuine webhook could not be written down: the sender is to send it again."""
        ...

    def webhook_judged(self, event_type: str, outcome: str, age: float) -> None:
        """A webhook was worked on. `outcome` is an Outcome or State; `age` is since its receipt."""
        ...

    def subscription_begun(self, plan: str) -> None:
        """A subscription was heard of for the first time."""
        ...

    def payment(self, outcome: str) -> None:
        """An invoice was paid (`succeeded`), or was not: the outcome is a PaymentFailure."""
        ...

    def message_judged(self, message_type: str, result: str) -> None:
        """The broker judged a message: a Delivery's value, or `unjudged`."""
        ...

    def message_arrived(self, age: float) -> None:
        """The broker confirmed a message of what happened at the provider this long ago."""
        ...

    def provider_called(self, operation: str, result: str, duration: float) -> None:
        """A call to the provider ended. Operation and result are names from a fixed list."""
        ...

    def answers_expected(self, route: str, method: str, statuses: Iterable[int]) -> None:
        """Requests of this kind are going to be answered: what counts them begins at zero."""
        ...

    def request_answered(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """A request over HTTP was answered, after so many seconds where that is known.

        `route` is a path as it is declared, or `unknown`.
        """
        ...

    def task_done(self, task: str, *, well: bool) -> None:
        """A periodic job came to its end, or failed."""
        ...

    def error_logged(self, event: str) -> None:
        """A line of the level error was logged: something that an operator should look at."""
        ...

    def partitions_held(self, count: int) -> None:
        """This worker now works on so many of the partitions."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """What a scraper is answered."""

    content_type: str
    body: bytes


class MetricsPage(Protocol):
    """Everything counted in this process, and the levels of the database, to be scraped."""

    async def render(self, accept: str) -> Page:
        """The page in the format of this `Accept` header, without levels that cannot be read."""
        ...
