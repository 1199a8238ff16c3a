"""The lives of subscriptions, and how each of their webhooks is sent.

A life is drawn from the seed and its number alone, so that one seed always gives the same lives,
whatever happens meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tests.stripe_payloads import DAY, START, Payload, customer, event, invoice, subscription

PLANS = ("general_monthly", "event_organizer_monthly")


@dataclass(frozen=True)
class Delivery:
    """A webhook, and how often it is sent again after it was answered 200."""

    payload: Payload
    repeats: int


@dataclass(frozen=True)
class Life:
    """One subscription of a user of its own.

    `events` are in the order in which they happened, `deliveries` in that of their sending.
    `truth` is the subscription as Stripe has it in the end.
    """

    user: UUID
    ref: str
    customer: Payload
    truth: Payload
    events: Sequence[Payload]
    deliveries: Sequence[Delivery]


def draw_life(seed: int, number: int) -> Life:
    """With a trial or without, on one plan or two, ended or not, with notices or without."""
    chance = random.Random(f"{seed}:life:{number}")  # noqa: S311 - a schedule, not a secret
    user = UUID(int=chance.getrandbits(128), version=4)
    ref, cus = f"sub_{number}", f"cus_{number}"
    whose: Payload = {"user_id": user, "customer": cus}
    trial = chance.random() < 0.8
    end = chance.choice(["active", "past_due", "canceled", "canceled"])
    plans = chance.sample(PLANS, 2)
    events: list[Payload] = []

    def happens(kind: str, about: Payload, day: int) -> None:
        events.append(event(kind, about, id=f"evt_{number}_{len(events)}", created=_at(day)))

    def state(status: str, day: int, plan: str, began: int) -> Payload:
        return subscription(
            ref,
            status=status,
            lookup_key=plan,
            period=(_at(began), _at(began + 30)),
            trial_end=_at(180) if trial else None,
            ended_at=_at(day) if status == "canceled" else None,
            **whose,
        )

    def bills(id: str, day: int, amount: int) -> None:
        paid = invoice(id, subscription=ref, amount=amount, **whose)
        for kind in ("invoice.paid", "invoice.payment_succeeded"):
            happens(kind, paid, day)

    now = state("trialing" if trial else "active", 0, plans[0], 0)
    happens("customer.subscription.created", now, 0)
    if trial:
        bills(f"in_{ref}_trial", 0, 0)
        if chance.random() < 0.7:
            happens("customer.subscription.trial_will_end", now, 177)
    now = state("active", 180, plans[0], 180)
    happens("customer.subscription.updated", now, 180)
    bills(f"in_{ref}", 180, 1000)
    plan = plans[0]
    if chance.random() < 0.5:
        plan = plans[1]
        now = state("active", 190, plan, 180)
        happens("customer.subscription.updated", now, 190)
    # The new period has begun, so that access is granted for the days of grace.
    now = state("past_due", 210, plan, 210)
    happens("customer.subscription.updated", now, 210)
    late = f"in_{ref}_late"
    unpaid = invoice(late, subscription=ref, paid=False, **whose)
    for attempt in range(chance.randint(0, 2)):
        happens("invoice.payment_failed", unpaid | {"attempt_count": attempt + 1}, 210 + attempt)
    if end != "past_due":
        tied = chance.random() < 0.4  # two updates in one second, which only Stripe can settle
        day = 210 if tied else 213
        now = state("active", day, plan, 210)
        happens("customer.subscription.updated", now, day)
        bills(late, day, 1000)
    if end == "canceled":
        now = state("canceled", 240, plan, 210)
        happens("customer.subscription.deleted", now, 240)

    # A third is sent until it is answered 200 and never again: a repeat would bring it back.
    order = chance.sample(events, len(events))
    once = set(chance.sample(range(len(order)), len(order) // 3))
    deliveries = [
        Delivery(payload, 0 if n in once else chance.choice([0, 0, 0, 0, 0, 1, 1, 2]))
        for n, payload in enumerate(order)
    ]
    account = customer(cus, user_id=user, email=f"{ref}@example.org")
    return Life(user, ref, account, now, events, deliveries)


def _at(day: int) -> int:
    return START + day * DAY
