"""The life of one subscription, as the webhooks Stripe would send."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from stripe import WebhookSignature

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Chapter:
    """Something happens at Stripe: the webhooks it sends, and the status it leads to."""

    title: str
    events: list[dict[str, Any]]
    status: str


class Story:
    """One user, one subscription, from the trial to the end. `started` in unix seconds."""

    def __init__(self, started: int) -> None:
        self.user_id = str(uuid4())
        self.customer_id = f"cus_{uuid4().hex[:14]}"
        self.subscription_id = f"sub_{uuid4().hex[:14]}"
        self.customer: dict[str, Any] = {
            "id": self.customer_id,
            "object": "customer",
            "email": "ada@example.org",
            "name": "Ada",
            "created": started,
            "livemode": False,
            "metadata": {"user_id": self.user_id},
        }
        self._started = started
        self._trial_end = started + 180 * DAY

    def chapters(self) -> Iterator[Chapter]:
        """The chapters in order; their events may be delivered in any order."""
        month = 30 * DAY
        trial = self._subscription("trialing")
        yield Chapter(
            "A trial of 180 days begins",
            [
                self._event("customer.created", self.customer, 0),
                self._event("customer.subscription.created", trial, 0),
            ],
            "trialing",
        )
        yield Chapter(
            "Three days before its end Stripe gives notice",
            [self._event("customer.subscription.trial_will_end", trial, 177 * DAY)],
            "trialing",
        )
        paid = self._invoice("in_1", amount_paid=1000)
        yield Chapter(
            "The trial ends and the first month is paid",
            [
                self._event("invoice.paid", paid, 180 * DAY),
                self._event("invoice.payment_succeeded", paid, 180 * DAY),
                self._event(
                    "customer.subscription.updated", self._subscription("active"), 180 * DAY
                ),
            ],
            "active",
        )
        declined = self._invoice("in_2", amount_due=1000, attempt_count=1)
        overdue = self._subscription("past_due", period=1)
        yield Chapter(
            "The renewal is declined",
            [
                self._event("invoice.payment_failed", declined, 180 * DAY + month),
                self._event("customer.subscription.updated", overdue, 180 * DAY + month),
            ],
            "past_due",
        )
        yield Chapter(
            "A new card pays it",
            [
                self._event(
                    "invoice.paid",
                    self._invoice("in_2", amount_paid=1000),
                    183 * DAY + month,
                ),
                self._event(
                    "customer.subscription.updated",
                    self._subscription("active", period=1),
                    183 * DAY + month,
                ),
            ],
            "active",
        )
        organizer = self._subscription("active", period=1, lookup_key="event_organizer_monthly")
        yield Chapter(
            "The user becomes an Event Organizer",
            [self._event("customer.subscription.updated", organizer, 190 * DAY + month)],
            "active",
        )
        ending = self._trial_end + 2 * month
        scheduled = {**organizer, "cancel_at": ending}
        yield Chapter(
            "The user cancels at the end of the period",
            [self._event("customer.subscription.updated", scheduled, 195 * DAY + month)],
            "active",
        )
        ended = {**scheduled, "status": "canceled", "ended_at": ending}
        yield Chapter(
            "The period ends",
            [self._event("customer.subscription.deleted", ended, 180 * DAY + 2 * month)],
            "canceled",
        )

    def _subscription(
        self, status: str, *, period: int = 0, lookup_key: str = "general_monthly"
    ) -> dict[str, Any]:
        begins = self._trial_end + period * 30 * DAY
        trial = status == "trialing"
        return {
            "id": self.subscription_id,
            "object": "subscription",
            "customer": self.customer_id,
            "status": status,
            "metadata": {"user_id": self.user_id},
            "created": self._started,
            "start_date": self._started,
            "trial_end": self._trial_end,
            "cancel_at_period_end": False,
            "items": {
                "object": "list",
                "data": [
                    {
                        "current_period_start": self._started if trial else begins,
                        "current_period_end": self._trial_end if trial else begins + 30 * DAY,
                        "price": {
                            "id": f"price_{lookup_key}",
                            "lookup_key": lookup_key,
                            "recurring": {"interval": "month"},
                        },
                    }
                ],
            },
        }

    def _invoice(self, number: str, **amounts: int) -> dict[str, Any]:
        return {
            "id": f"{number}_{self.subscription_id}",
            "object": "invoice",
            "customer": self.customer_id,
            "currency": "usd",
            "parent": {
                "subscription_details": {
                    "subscription": self.subscription_id,
                    "metadata": {"user_id": self.user_id},
                }
            },
            **amounts,
        }

    def _event(self, kind: str, about: dict[str, Any], after: int) -> dict[str, Any]:
        return {
            "id": f"evt_{uuid4().hex}",
            "object": "event",
            "type": kind,
            "created": self._started + after,
            "livemode": False,
            "api_version": "2026-10-28.endive",
            "data": {"object": about},
        }


def sign(event: dict[str, Any], secret: str) -> tuple[bytes, dict[str, str]]:
    """The body and the headers with which Stripe would deliver this event now."""
    body = json.dumps(event)
    signature = WebhookSignature.generate_signature_header(body, secret, int(time.time()))
    return body.encode(), {"stripe-signature": signature, "content-type": "application/json"}
