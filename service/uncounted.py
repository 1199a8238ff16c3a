"""Nobody counts: what use cases are given where no metrics are wanted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final


class Uncounted:
    """Keeps the promise of `ports/metrics.py` by doing nothing."""

    def webhook_received(self, event_type: str, api_version: str | None, *, new: bool) -> None:
        """Nothing."""

    def webhook_rejected(self, reason: str) -> None:
        """Nothing."""

    def webhook_turned_away(self) -> None:
        """Nothing."""

    def webhook_judged(self, event_type: str, outcome: str, age: float) -> None:
        """Nothing."""

    def subscription_begun(self, plan: str) -> None:
        """Nothing."""

    def payment(self, outcome: str) -> None:
        """Nothing."""

    def message_judged(self, message_type: str, result: str) -> None:
        """Nothing."""

    def message_arrived(self, age: float) -> None:
        """Nothing."""

    def provider_called(self, operation: str, result: str, duration: float) -> None:
        """Nothing."""

    def answers_expected(self, route: str, method: str, statuses: Iterable[int]) -> None:
        """Nothing."""

    def request_answered(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Nothing."""

    def task_done(self, task: str, *, well: bool) -> None:
        """Nothing."""

    def error_logged(self, event: str) -> None:
        """Nothing."""

    def partitions_held(self, count: int) -> None:
        """Nothing."""


UNCOUNTED: Final = Uncounted()
