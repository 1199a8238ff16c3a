"""What this process counts, under the names that dashboards and alerts rely on.

Every label has a bounded set of values: whatever is not in it counts as `other`, so that nobody
can fill the memory of this process, or of Prometheus, by sending names.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Collection, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

__all__ = ["OTHER", "CollectorRegistry", "PrometheusMetrics"]

OTHER: Final = "other"

# Seconds. A promise of "within a second" has to be visible, and so has an outage of hours.
_PROCESSING: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
# Stripe stamps whole seconds, so nothing below one would mean anything.
_END_TO_END: Final = (1, 2, 3, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
# Up to the deadline of a request.
_ANSWERS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Up to the time-out of an attempt, and the retries after it.
_CALLS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class PrometheusMetrics:
    """Counts in a registry.

    `event_types` and `api_version` are those of the webhooks we act on.
    """

    def __init__(
        self, registry: CollectorRegistry, *, event_types: Collection[str], api_version: str
    ) -> None:
        self._event_types = frozenset(event_types)
        self._api_version = api_version
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Info("payments_build", "What is running.", registry=registry).info(
            {"stripe_api_version": api_version, "python": platform.python_version()}
        )
        self._received = Counter(
            "payments_webhooks_received",
            "Genuine webhooks, by type; outcome is new or repeated.",
            ["type", "outcome"],
            registry=registry,
        )
        self._rejected = Counter(
            "payments_webhooks_rejected",
            "Deliveries that were answered 400, by what was wrong with them.",
            ["reason"],
            registry=registry,
        )
        self._turned_away = Counter(
            "payments_webhooks_turned_away",
            "Genuine webhooks that could not be written down and were answered 503.",
            registry=registry,
        )
        self._other_version = Counter(
            "payments_webhooks_of_other_api_version",
            "Webhooks rendered by an API version other than the one this service is built for.",
            registry=registry,
        )
        self._judged = Counter(
            "payments_webhooks_judged",
            "Times a webhook was worked on, by type; outcome is what became of it.",
            ["type", "outcome"],
            registry=registry,
        )
        self._processing = Histogram(
            "payments_webhook_processing_seconds",
            "From the receipt of a webhook to its being done with, waits and retries included.",
            buckets=_PROCESSING,
            registry=registry,
        )
        self._begun = Counter(
            "payments_subscriptions_created",
            "Subscriptions heard of for the first time, by plan.",
            ["plan"],
            registry=registry,
        )
        self._payments = Counter(
            "payments_invoice_payments",
            "Payments of invoices; outcome is succeeded or why not.",
            ["outcome"],
            registry=registry,
        )
        self._messages = Counter(
            "payments_messages_published",
            "Messages handed to the broker, by type; result is what it said of them.",
            ["type", "result"],
            registry=registry,
        )
        self._end_to_end = Histogram(
            "payments_end_to_end_seconds",
            "From what happened at Stripe to the broker's confirmation of the message about it.",
            buckets=_END_TO_END,
            registry=registry,
        )
        self._calls = Counter(
            "payments_stripe_calls",
            "Calls to Stripe, retries by the SDK included in one; by operation and result.",
            ["operation", "result"],
            registry=registry,
        )
        # Without a label, so that it is there, and zero, before the first of them.
        self._key_refused = Counter(
            "payments_stripe_key_refused",
            "Calls that Stripe refused because of the secret key, or a right it lacks.",
            registry=registry,
        )
        self._call_seconds = Histogram(
            "payments_stripe_call_seconds",
            "How long a call to Stripe took, its retries included.",
            ["operation"],
            buckets=_CALLS,
            registry=registry,
        )
        self._answers = Counter(
            "payments_http_requests",
            "Requests that were answered, but for probes and scrapes.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._answer_seconds = Histogram(
            "payments_http_request_seconds",
            "How long a request of a user took until its answer began.",
            ["route"],
            buckets=_ANSWERS,
            registry=registry,
        )
        # Looking a series up by its labels takes longer than counting.
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._tasks = Counter(
            "payments_task_runs",
            "Periodic jobs that came to their end (result ok) or failed, by name.",
            ["task", "result"],
            registry=registry,
        )
        self._last_success = Gauge(
            "payments_task_last_success_timestamp_seconds",
            "When this process last brought a periodic job to its end.",
            ["task"],
            registry=registry,
        )
        self._errors = Counter(
            "payments_errors_logged",
            "Lines of the level error, by their name: what an operator should look at.",
            ["event"],
            registry=registry,
        )
        self._error_names: frozenset[str] = frozenset()
        self._partitions = Gauge(
            "payments_partitions_held",
            "Partitions of the work that this worker holds; over all workers they should be 64.",
            registry=registry,
        )

        # What is counted for each webhook and message: finding the series by its labels takes the
        # library several times as long as counting.
        self._received_as = functools.cache(self._received.labels)
        self._judged_as = functools.cache(self._judged.labels)
        self._messages_as = functools.cache(self._messages.labels)

    def expect(
        self,
        *,
        rejections: Iterable[str] = (),
        payments: Iterable[str] = (),
        messages: Iterable[str] = (),
        errors: Collection[str] = (),
    ) -> None:
        """Begin these at zero, so that the first of them is seen as a rise.

        What is logged as an error under another name than one of `errors` counts as `other`.
        """
        for event_type in (*self._event_types, OTHER):
            self._received.labels(event_type, "new")
        self._error_names = frozenset(errors)
        for event in (*errors, OTHER):
            self._errors.labels(event)
        for reason in rejections:
            self._rejected.labels(reason)
        for outcome in payments:
            self._payments.labels(outcome)
        for message_type in messages:
            self._messages.labels(message_type, "unroutable")

    def webhook_received(self, event_type: str, api_version: str | None, *, new: bool) -> None:
        """A genuine webhook was written down, or was known already."""
        self._received_as(self._type(event_type), "new" if new else "repeated").inc()
        if api_version != self._api_version:
            self._other_version.inc()

    def webhook_rejected(self, reason: str) -> None:
        """A delivery was not genuine."""
        self._rejected.labels(reason).inc()

    def webhook_turned_away(self) -> None:
        """A genuine webhook could not be written down."""
        self._turned_away.inc()

    def webhook_judged(self, event_type: str, outcome: str, age: float) -> None:
        """A webhook was worked on."""
        self._judged_as(self._type(event_type), outcome).inc()
        if outcome not in _UNDER_WAY:
            self._processing.observe(max(age, 0.0))

    def subscription_begun(self, plan: str) -> None:
        """A subscription was heard of for the first time."""
        self._begun.labels(plan).inc()

    def payment(self, outcome: str) -> None:
        """An invoice was paid, or was not."""
        self._payments.labels(outcome).inc()

    def message_judged(self, message_type: str, result: str) -> None:
        """The broker judged a message."""
        self._messages_as(message_type, result).inc()

    def message_arrived(self, age: float) -> None:
        """The broker confirmed a message of what happened this long ago."""
        self._end_to_end.observe(max(age, 0.0))

    def provider_called(self, operation: str, result: str, duration: float) -> None:
        """A call to the provider ended."""
        self._calls.labels(operation, result).inc()
        if result == "forbidden":
            self._key_refused.inc()
        if result != "not_tried":
            self._call_seconds.labels(operation).observe(duration)

    def answers_expected(self, route: str, method: str, statuses: Iterable[int]) -> None:
        """Requests of this kind are going to be answered."""
        for status in statuses:
            self._answers.labels(route, method, str(status))

    def request_answered(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """A request over HTTP was answered."""
        key = (route, method if method in _METHODS else OTHER, status)
        series = self._answered.get(key)
        if series is None:
            counter = self._answers.labels(key[0], key[1], str(status))
            series = self._answered[key] = (counter, self._answer_seconds.labels(route))
        series[0].inc()
        if seconds is not None:
            series[1].observe(seconds)

    def task_done(self, task: str, *, well: bool) -> None:
        """A periodic job came to its end, or failed."""
        self._tasks.labels(task, "ok" if well else "failed").inc()
        if well:
            self._last_success.labels(task).set_to_current_time()

    def error_logged(self, event: str) -> None:
        """A line of the level error was logged."""
        self._errors.labels(event if event in self._error_names else OTHER).inc()

    def partitions_held(self, count: int) -> None:
        """This worker now works on so many of the partitions."""
        self._partitions.set(count)

    def _type(self, event_type: str) -> str:
        return event_type if event_type in self._event_types else OTHER


# These are looked at again: how long they took is not known yet.
_UNDER_WAY: Final = frozenset({"retrying", "held"})
