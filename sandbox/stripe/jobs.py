"""Everything that time does by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sandbox.stripe import (
    billing,
    checkout_sessions,
    invoice_previews,
    invoices,
    subscription_changes,
)
from sandbox.stripe.world import World

JOBS: Final[Mapping[str, Callable[[World, str], None]]] = {
    "announce_invoice": invoice_previews.announce,
    "cancel_subscription": billing.cancel_when_due,
    "expire_checkout": checkout_sessions.expire_when_due,
    "expire_incomplete": billing.expire_incomplete,
    "expire_pending_update": subscription_changes.expire_pending,
    "finalize_invoice": invoices.finalize_when_due,
    "give_trial_notice": billing.give_trial_notice,
    "resume_collection": billing.resume_collection,
    "retry_invoice": invoices.retry,
    "turn_period": billing.turn_period,
}


def do_next(world: World, timeline: str) -> None:
    """Do what is due next on a clock, which has been set to that moment."""
    job, id_ = world.timers.pop(timeline)
    with world.working(timeline):
        JOBS[job](world, id_)
