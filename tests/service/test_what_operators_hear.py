"""What is counted, logged and traced while webhooks become messages."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from adapters.memory.clock import SettableClock
from adapters.memory.event_publisher import MemoryEventPublisher
from adapters.memory.payment_provider import MemoryPaymentProvider
from adapters.memory.store import MemoryStore
from adapters.prometheus.metrics import CollectorRegistry, PrometheusMetrics
from adapters.stripe.translation import HANDLED_TYPES
from domain.subscription import subscription_id
from ports.unit_of_work import StorageUnavailable
from ports.webhooks import RejectedWebhook, RejectionReason
from service.relay_outbox import RelayOutbox
from service.retry import RetryPolicy
from service.tracing import MOST_A_SECOND, Traces
from tests.service.house import House
from tests.stripe_payloads import DAY, START, USER, event, invoice, signed, subscription

Line = MutableMapping[str, Any]
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Watched(House):
    """A process whose counts can be read."""

    def __init__(self, **more: Any) -> None:
        self.registry = CollectorRegistry()
        self.metrics = PrometheusMetrics(
            self.registry, event_types=HANDLED_TYPES, api_version="2026-10-28.endive"
        )
        super().__init__(metrics=self.metrics, **more)

    def count(self, name: str, **labels: str) -> float:
        """A sample, 0 where there is none yet."""
        return self.registry.get_sample_value(f"payments_{name}", labels) or 0.0


def created(ref: str = "sub_1", status: str = "trialing") -> dict[str, Any]:
    return event(
        "customer.subscription.created",
        subscription(ref, status=status) | {"trial_end": START + 180 * DAY},
        created=START,
    )


def lines(logged: list[Line], name: str) -> list[Line]:
    return [line for line in logged if line["event"] == name]


async def test_the_way_of_a_webhook_is_counted() -> None:
    house = Watched()
    webhook = created()
    await house.deliver(webhook, webhook)
    house.clock.advance(timedelta(seconds=3))
    await house.work()
    await house.publish()

    kind = "customer.subscription.created"
    assert house.count("webhooks_received_total", type=kind, outcome="new") == 1
    assert house.count("webhooks_received_total", type=kind, outcome="repeated") == 1
    assert house.count("webhooks_judged_total", type=kind, outcome="applied") == 1
    assert house.count("webhook_processing_seconds_sum") == 3
    assert house.count("subscriptions_created_total", plan="general") == 1
    activated = "payments.subscription.activated.v1"
    assert house.count("messages_published_total", type=activated, result="confirmed") == 1
    assert house.count("end_to_end_seconds_count") == 1


async def test_payments_are_counted_by_outcome() -> None:
    house = Watched()
    await house.run(
        created(status="active"),
        event("invoice.paid", invoice("in_1", subscription="sub_1"), created=START + 1),
        event("invoice.payment_failed", invoice("in_2", subscription="sub_1"), created=START + 2),
        event(
            "invoice.payment_action_required",
            invoice("in_3", subscription="sub_1"),
            created=START + 3,
        ),
    )

    assert house.count("invoice_payments_total", outcome="succeeded") == 1
    assert house.count("invoice_payments_total", outcome="declined") == 1
    assert house.count("invoice_payments_total", outcome="action_required") == 1


async def test_what_is_not_genuine_is_counted_and_logged_by_reason(logged: list[Line]) -> None:
    house = Watched()
    body = signed(created()).body
    with pytest.raises(RejectedWebhook):
        await house.receive(body, "t=1,v1=00")
    with pytest.raises(RejectedWebhook):
        await house.receive(body, None)

    reasons = [str(line["reason"]) for line in lines(logged, "webhook_rejected")]
    assert len(reasons) == 2
    assert reasons[1] == RejectionReason.SIGNATURE_MISSING
    for reason in reasons:
        assert house.count("webhooks_rejected_total", reason=reason) == 1
    assert all(line["trace_id"] for line in lines(logged, "webhook_rejected"))


async def test_what_cannot_be_written_down_is_counted() -> None:
    house = Watched()
    house.store.available = False
    with pytest.raises(StorageUnavailable):
        await house.deliver(created())
    assert house.count("webhooks_turned_away_total") == 1


async def test_retries_and_dead_letters_are_counted() -> None:
    house = Watched(
        provider=MemoryPaymentProvider(), retry=RetryPolicy(max_attempts=2, base=1.0, cap=1.0)
    )
    nobodys = event(
        "customer.subscription.created",
        subscription("sub_9", status="active", user_id=None, customer="cus_gone"),
        created=START,
    )
    await house.deliver(nobodys)
    for _ in range(3):
        await house.work()
        house.clock.advance(timedelta(days=5))

    kind = "customer.subscription.created"
    assert house.count("webhooks_judged_total", type=kind, outcome="retrying") >= 1
    assert house.count("webhooks_judged_total", type=kind, outcome="dead") == 1


async def test_messages_that_no_queue_takes_are_counted() -> None:
    house = Watched()
    # Somebody else's queue, and none for what is told.
    house.publisher = MemoryEventPublisher()
    house.relay = RelayOutbox(
        house.unit_of_work, house.publisher, house.partitions, house.clock, metrics=house.metrics
    )
    await house.deliver(created())
    await house.work()
    await house.publish()
    activated = "payments.subscription.activated.v1"
    assert house.count("messages_published_total", type=activated, result="unroutable") == 1
    assert house.count("end_to_end_seconds_count") == 0


async def test_a_transition_is_one_line_with_all_its_ids(logged: list[Line]) -> None:
    house = House()
    first = created()
    await house.deliver(first)
    await house.work()
    last = event(
        "customer.subscription.deleted",
        subscription("sub_1", status="canceled") | {"ended_at": START + DAY},
        created=START + DAY,
    )
    await house.deliver(last, first)
    await house.work()

    began, ended = lines(logged, "subscription_changed")
    assert (began["old_status"], began["new_status"]) == (None, "trialing")
    assert (ended["old_status"], ended["new_status"]) == ("trialing", "canceled")
    assert began["messages"] == ["payments.subscription.activated.v1"]
    assert len(ended["messages"]) == 2
    received = {line["event_id"]: line for line in lines(logged, "webhook_received")}
    for line, webhook in ((began, first), (ended, last)):
        assert line["event_id"] == webhook["id"]
        assert line["event_type"] == webhook["type"]
        assert line["user_id"] == str(USER)
        assert line["subscription_id"] == str(subscription_id("sub_1"))
        assert line["trace_id"] == received[webhook["id"]]["trace_id"]
        assert len(line["trace_id"]) == 32
    (repeated,) = lines(logged, "webhook_repeated")
    assert repeated["event_id"] == first["id"]


async def test_a_snapshot_that_changes_nothing_to_be_seen_is_no_transition(
    logged: list[Line],
) -> None:
    house = House()
    await house.run(created(status="active"))
    logged.clear()
    again = event(
        "customer.subscription.updated",
        subscription("sub_1", status="active") | {"trial_end": START + 180 * DAY},
        created=START + 5,
    )
    await house.run(again)
    assert lines(logged, "webhook_processed")
    assert lines(logged, "subscription_changed") == []


# Traces


class Collector:
    """Collects the spans of one process."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.now = 0.0
        self.traces = Traces(provider.get_tracer("test"), monotonic=lambda: self.now)

    def spans(self, name: str) -> list[ReadableSpan]:
        """The spans of this name, in the order of their end."""
        return [span for span in self._spans.get_finished_spans() if span.name == name]


def span_id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


async def test_one_trace_leads_from_the_request_over_a_restart_to_the_message() -> None:
    """Three processes on one store: one receives, the next works off, the last publishes."""
    clock = SettableClock()
    store = MemoryStore(clock)
    collectors = [Collector() for _ in range(3)]
    receiving, working, publishing = (
        House(store=store, clock=clock, traces=collector.traces) for collector in collectors
    )
    request = signed(created(), timestamp=int(clock.now().timestamp()))
    await receiving.receive(request.body, request.header, CALLER)
    await working.work()
    await working.partitions.release()
    await publishing.partitions.renew()
    await publishing.publish()

    (received,) = collectors[0].spans("receive webhook")
    (processed,) = collectors[1].spans("process webhook")
    (published,) = collectors[2].spans("publish message")
    assert received.parent is not None
    assert f"{received.parent.span_id:016x}" == CALLER.split("-")[2]
    assert processed.parent is not None
    assert processed.parent.span_id == span_id(received)
    assert published.parent is not None
    assert published.parent.span_id == span_id(processed)
    (message,) = publishing.published()
    said = json.loads(message.body)["traceparent"].split("-")
    assert said[1] == CALLER.split("-")[1]
    assert said[2] == f"{span_id(processed):016x}"
    for span in (received, processed, published):
        context = span.get_span_context()
        assert context is not None
        assert f"{context.trace_id:032x}" == said[1]


async def test_a_step_says_how_it_ended() -> None:
    collector = Collector()
    house = House(traces=collector.traces)
    with pytest.raises(RejectedWebhook):
        await house.receive(b"{}", None)
    await house.run(created())

    refused, received = collector.spans("receive webhook")
    assert refused.status.description == "signature_missing"
    assert received.status.is_unset
    (processed,) = collector.spans("process webhook")
    assert processed.attributes is not None
    assert processed.attributes["outcome"] == "applied"


async def test_a_trace_is_recorded_whole_or_not_at_all() -> None:
    """Whoever begins it decides: a caller, or how many there are."""
    collector = Collector()
    house = House(traces=collector.traces)
    others = [collector.traces.begin("other", None, SpanKind.SERVER) for _ in range(MOST_A_SECOND)]
    assert all(others)
    await house.run(created())
    assert collector.spans("receive webhook") == collector.spans("process webhook") == []
    collector.now = 1.0
    assert collector.traces.begin("a caller's", f"{CALLER[:-2]}00", SpanKind.SERVER) is None
    past_due = event(
        "customer.subscription.updated", subscription(status="past_due"), created=START + DAY
    )
    await house.run(past_due)

    assert len(collector.spans("receive webhook")) == len(collector.spans("process webhook")) == 1
    flags = [int(json.loads(one.body)["traceparent"][-2:], 16) for one in house.published()]
    assert [flag & 1 for flag in flags] == [0, 1]


async def test_without_a_collector_no_span_is_made_and_the_trace_goes_on() -> None:
    house = House()
    request = signed(created(), timestamp=int(house.clock.now().timestamp()))
    assert Traces().begin("any", CALLER, SpanKind.INTERNAL) is None
    await house.receive(request.body, request.header, CALLER)
    await house.work()
    await house.publish()
    (message,) = house.published()
    assert json.loads(message.body)["traceparent"].split("-")[1] == CALLER.split("-")[1]


async def test_where_the_sdk_is_switched_off_the_trace_goes_on_as_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OTEL_SDK_DISABLED: its spans are of no trace, and no message may say that it is of none."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    house = House(traces=Traces(TracerProvider(shutdown_on_exit=False).get_tracer("test")))
    request = signed(created(), timestamp=int(house.clock.now().timestamp()))
    await house.receive(request.body, request.header, None)
    await house.work()
    await house.publish()
    (message,) = house.published()
    assert set(json.loads(message.body)["traceparent"].split("-")[1]) != {"0"}
