"""A delivery from the provider comes in: check it, write it down, answer."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from opentelemetry.trace import SpanKind

from ports.clock import Clock
from ports.inbox import Intake, Overloaded
from ports.metrics import Metrics
from ports.unit_of_work import StorageUnavailable
from ports.webhooks import RejectedWebhook, WebhookReader
from service.tracing import UNTRACED, Traces, trace_id_of
from service.uncounted import UNCOUNTED

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is told. `duplicate`: the event was known before."""

    received: bool
    duplicate: bool


class ReceiveWebhook:
    """Takes a webhook in. When this returns the event is durable, and so may be answered 200."""

    def __init__(
        self,
        reader: WebhookReader,
        intake: Intake,
        clock: Clock,
        *,
        metrics: Metrics = UNCOUNTED,
        traces: Traces = UNTRACED,
    ) -> None:
        self._reader = reader
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._traces = traces

    async def __call__(
        self, payload: bytes, signature: str | None, traceparent: str | None = None
    ) -> Receipt:
        """Take the raw body and its signature header.

        Raises RejectedWebhook for what is not a genuine event, Overloaded and
        StorageUnavailable where it could not be written down and must be sent again.
        """
        traced = self._traces.begin("receive webhook", traceparent, SpanKind.SERVER)
        ours = traced.traceparent if traced else self._traces.unrecorded(traceparent)
        try:
            webhook = self._reader.receive(
                payload, signature, now=self._clock.now(), traceparent=ours
            )
            created = await self._intake.record(webhook)
        except RejectedWebhook as rejection:
            reason = str(rejection.reason)
            log.warning(
                "webhook_rejected", reason=reason, size=len(payload), trace_id=trace_id_of(ours)
            )
            self._metrics.webhook_rejected(reason)
            if traced:
                traced.end(error=reason)
            raise
        except (Overloaded, StorageUnavailable) as error:
            self._metrics.webhook_turned_away()
            if traced:
                traced.end(error=type(error).__name__)
            raise
        log.info(
            "webhook_received" if created else "webhook_repeated",
            event_id=webhook.event_id,
            event_type=webhook.event_type,
            ordering_key=webhook.ordering_key,
            trace_id=trace_id_of(ours),
        )
        self._metrics.webhook_received(webhook.event_type, webhook.api_version, new=created)
        if traced:
            traced.end(event_id=webhook.event_id, event_type=webhook.event_type)
        return Receipt(received=True, duplicate=not created)
