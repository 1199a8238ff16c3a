"""What operators hear of webhooks that were worked on: a line, a count and a span for each."""

from __future__ import annotations

from datetime import timedelta

import structlog

from domain.events import PaymentFailed, PaymentSucceeded
from ports.inbox import ClaimedWebhook, Dead, Postponed, Processed, State, Verdict
from ports.metrics import Metrics
from service.event_messages import MESSAGE_TYPES
from service.tracing import TracedStep, trace_id_of
from service.working_set import Change

log = structlog.get_logger(__name__)


class ProcessingReport:
    """Tells of what was committed, and of nothing else."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def judged(
        self, webhook: ClaimedWebhook, verdict: Verdict, age: timedelta, traced: TracedStep | None
    ) -> None:
        """A webhook was worked on, this long after it came in, and this is what became of it."""
        about = _about(webhook)
        error: str | None = None
        match verdict:
            case Processed(outcome=reached, note=note):
                outcome = str(reached)
                log.info("webhook_processed", **about, outcome=outcome, note=note)
            case Postponed(reason=reason, failed=True):
                outcome, error = str(State.RETRYING), reason
                log.warning("webhook_retry", **about, error=reason, attempts=webhook.attempts + 1)
            case Postponed(reason=reason):
                outcome = str(State.HELD)
                log.info("webhook_held", **about, reason=reason)
            case Dead(error=reason):
                outcome, error = str(State.DEAD), reason
                log.error("webhook_dead", **about, error=reason)
        self._metrics.webhook_judged(webhook.event_type, outcome, age.total_seconds())
        if traced:
            traced.end(error=error, outcome=outcome)

    def changed(self, webhook: ClaimedWebhook, change: Change) -> None:
        """A webhook changed a subscription."""
        subscription = change.subscription
        new_status = str(subscription.status)
        if change.old_status is None:
            self._metrics.subscription_begun(str(subscription.facts.plan))
        for occurrence in change.occurrences:
            match occurrence.event:
                case PaymentSucceeded():
                    self._metrics.payment("succeeded")
                case PaymentFailed(reason=reason):
                    self._metrics.payment(str(reason))
        if change.occurrences or change.old_status != new_status:
            log.info(
                "subscription_changed",
                **_about(webhook),
                subscription_id=str(subscription.id),
                user_id=str(subscription.user_id),
                old_status=change.old_status,
                new_status=new_status,
                messages=[MESSAGE_TYPES[type(one.event)].routing_key for one in change.occurrences],
            )


def _about(webhook: ClaimedWebhook) -> dict[str, str]:
    return {
        "event_id": webhook.event_id,
        "event_type": webhook.event_type,
        "ordering_key": webhook.ordering_key,
        "trace_id": trace_id_of(webhook.traceparent),
    }
