"""The situations that a pact may name: how Stripe's webhooks bring each of them about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from tests.stripe_payloads import DAY, START, Payload, event, invoice, subscription

_TRIAL_END: Final = START + 180 * DAY


@dataclass(frozen=True, slots=True)
class Situation:
    """The webhooks of a user's subscription in order, and whether it is republished after them."""

    webhooks: Callable[[UUID, str], list[Payload]]
    republished: bool = False


def _life(until: str, user: UUID, ref: str) -> list[Payload]:
    """A subscription's webhooks up to the step of this name."""

    def changed(kind: str, status: str, at: int, **more: Any) -> Payload:
        about = subscription(ref, status=status, user_id=user, customer=f"cus_{ref}")
        return event(
            f"customer.subscription.{kind}", about | {"trial_end": _TRIAL_END} | more, created=at
        )

    def billed(kind: str, month: int, *, paid: bool) -> Payload:
        bill = invoice(
            f"in_{month}_{ref}", subscription=ref, user_id=user, customer=f"cus_{ref}", paid=paid
        )
        return event(f"invoice.{kind}", bill, created=_TRIAL_END + month * 30 * DAY)

    renewal, end = _TRIAL_END + 30 * DAY, _TRIAL_END + 60 * DAY
    organizer = subscription(lookup_key="event_organizer_monthly")["items"]
    steps = {
        "trial": [changed("created", "trialing", START)],
        "ending": [changed("trial_will_end", "trialing", _TRIAL_END - 3 * DAY)],
        "paid": [billed("paid", 0, paid=True), changed("updated", "active", _TRIAL_END)],
        "declined": [
            billed("payment_failed", 1, paid=False),
            changed("updated", "past_due", renewal),
        ],
        "recovered": [billed("paid", 1, paid=True), changed("updated", "active", renewal + DAY)],
        "upgraded": [changed("updated", "active", renewal + 2 * DAY, items=organizer)],
        "scheduled": [
            changed("updated", "active", renewal + 3 * DAY, items=organizer, cancel_at=end)
        ],
        "withdrawn": [changed("updated", "active", renewal + 4 * DAY, items=organizer)],
        "ended": [changed("deleted", "canceled", end, items=organizer, ended_at=end)],
    }
    wanted = list(steps)[: list(steps).index(until) + 1]
    return [webhook for step in wanted for webhook in steps[step]]


SITUATIONS: Final[Mapping[str, Situation]] = {
    "a trial has begun": Situation(partial(_life, "trial")),
    "a trial is about to end": Situation(partial(_life, "ending")),
    "the first month was paid": Situation(partial(_life, "paid")),
    "a renewal was declined": Situation(partial(_life, "declined")),
    "the plan was changed": Situation(partial(_life, "upgraded")),
    "a cancellation is scheduled": Situation(partial(_life, "scheduled")),
    "a scheduled cancellation was withdrawn": Situation(partial(_life, "withdrawn")),
    "the subscription has ended": Situation(partial(_life, "ended")),
    "a trial was republished": Situation(partial(_life, "trial"), republished=True),
    "an ended subscription was republished": Situation(partial(_life, "ended"), republished=True),
}
