"""A delivery from the provider comes in: check it, write it down, answer."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from ports.clock import Clock
from ports.inbox import Intake
from ports.webhooks import RejectedWebhook, WebhookReader
from service.tracing import continue_trace

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is told. `duplicate`: the event was known before."""

    received: bool
    duplicate: bool


class ReceiveWebhook:
    """Takes a webhook in. When this returns the event is durable, and so may be answered 200."""

    def __init__(self, reader: WebhookReader, intake: Intake, clock: Clock) -> None:
        self._reader = reader
        self._intake = intake
        self._clock = clock

    async def __call__(
        self, payload: bytes, signature: str | None, traceparent: str | None = None
    ) -> Receipt:
        """Take the raw body and its signature header.

        Raises RejectedWebhook for what is not a genuine event, Overloaded and
        StorageUnavailable where it could not be written down and must be sent again.
        """
        try:
            webhook = self._reader.receive(
                payload,
                signature,
                now=self._clock.now(),
                traceparent=continue_trace(traceparent),
            )
        except RejectedWebhook as rejection:
            log.warning("webhook_rejected", reason=str(rejection.reason), size=len(payload))
            raise
        created = await self._intake.record(webhook)
        log.info(
            "webhook_received" if created else "webhook_repeated",
            event_id=webhook.event_id,
            event_type=webhook.event_type,
            trace_id=webhook.traceparent[3:35],
        )
        return Receipt(received=True, duplicate=not created)
