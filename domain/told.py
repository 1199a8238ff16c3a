"""What the messages said of a subscription so far.

Facts may change without a message: before anything may be said, after the end, or where nothing
depends on them. Whoever starts late has to learn what the others were told, no less and no more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from domain import events
from domain.events import Event, SubscriptionSnapshot
from domain.plans import Plan


def nothing_told(user_id: UUID) -> SubscriptionSnapshot:
    """What is known to who has heard nothing of this user's subscription."""
    return SubscriptionSnapshot(
        user_id=user_id,
        status="none",
        plan=str(Plan.UNKNOWN),
        interval=None,
        trial_end=None,
        cancel_at=None,
        end=None,
        access_until=None,
    )


def told_after(told: SubscriptionSnapshot, event: Event) -> SubscriptionSnapshot:
    """What is known to who knew `told` and then heard this."""
    if isinstance(event, SubscriptionSnapshot):
        return event
    return replace(told, access_until=event.access_until, **_sums_up(event))


def _sums_up(event: Event) -> dict[str, Any]:
    """What of the summary this event changes, besides when access ends."""
    match event:
        case events.SubscriptionActivated():
            return {
                "status": event.status,
                "plan": event.plan,
                "interval": event.interval,
                "trial_end": event.trial_end,
            }
        case events.SubscriptionStatusChanged():
            return {"status": event.new_status}
        case events.SubscriptionCanceled():
            return {"end": event.end, "cancel_at": None}
        case events.SubscriptionTrialEnding():
            return {"trial_end": event.trial_end}
        case events.SubscriptionCancellationScheduled():
            return {"cancel_at": event.cancel_at}
        case events.SubscriptionCancellationWithdrawn():
            return {"cancel_at": None}
        case events.SubscriptionPlanChanged():
            return {"plan": event.new_plan, "interval": event.new_interval}
        case _:
            return {}  # payments say nothing else that is summed up
