"""What the users service expects of our messages, as a pact: nothing but what it reads.

`python -m tests.pacts.users_service` writes the pact, as `make contracts` does.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pact import Pact, match

from contracts.generate import ROOT

PACTS: Final = ROOT / "pacts"
NAME: Final = "users-service-payments.json"

_USER: Final = "5f0c6a3e-7a38-4c9e-9d5e-0f3c4c7b1a11"
_SUBSCRIPTION: Final = "d49db10f-161a-54ed-a8b4-d40f677694a0"
_UNTIL: Final = "2026-09-04T09:30:00Z"
# RFC 3339 in UTC.
_MOMENT: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A message in a situation. `data` is what the users service reads beside the ids."""

    description: str
    state: str
    data: dict[str, Any]
    sequence: str = "2"

    @property
    def type(self) -> str:
        """The type of the message, with which its description begins."""
        return self.description.split()[0]


def _until() -> Any:
    return match.regex(_UNTIL, regex=_MOMENT)


def _sold(plan: str, interval: str) -> dict[str, Any]:
    """What is sold, under the names that a message has for it."""
    return {
        plan: match.regex("general", regex=r"^[a-z_]+$"),
        interval: match.regex("month", regex=r"^(month|year)$"),
    }


def expectations() -> list[Expectation]:
    """Everything the users service takes in: of every message it reads when access ends."""
    return [
        Expectation(
            "payments.subscription.activated.v1 of a trial",
            "a trial has begun",
            {"status": "trialing", "accessUntil": None, **_sold("plan", "interval")},
            sequence="1",
        ),
        Expectation(
            "payments.subscription.status_changed.v1 after a trial",
            "the first month was paid",
            {"newStatus": "active", "accessUntil": None},
        ),
        Expectation(
            "payments.subscription.status_changed.v1 into the grace",
            "a renewal was declined",
            {"newStatus": "past_due", "accessUntil": _until()},
        ),
        Expectation(
            "payments.subscription.plan_changed.v1",
            "the plan was changed",
            {"accessUntil": None, **_sold("newPlan", "newInterval")},
        ),
        Expectation(
            "payments.subscription.cancellation_scheduled.v1",
            "a cancellation is scheduled",
            {"accessUntil": _until()},
        ),
        Expectation(
            "payments.subscription.cancellation_withdrawn.v1",
            "a scheduled cancellation was withdrawn",
            {"accessUntil": None},
        ),
        Expectation(
            "payments.subscription.trial_ending.v1",
            "a trial is about to end",
            {"accessUntil": None},
        ),
        Expectation(
            "payments.payment.succeeded.v1",
            "the first month was paid",
            {"accessUntil": None},
        ),
        Expectation(
            "payments.payment.failed.v1",
            "a renewal was declined",
            {"accessUntil": None},
        ),
        Expectation(
            "payments.subscription.status_changed.v1 at the end",
            "the subscription has ended",
            {"newStatus": "canceled", "accessUntil": _until()},
        ),
        Expectation(
            "payments.subscription.canceled.v1",
            "the subscription has ended",
            {"accessUntil": _until()},
        ),
        Expectation(
            "payments.subscription.snapshot.v1 of what goes on",
            "a trial was republished",
            {"status": "trialing", "accessUntil": None, **_sold("plan", "interval")},
        ),
        Expectation(
            "payments.subscription.snapshot.v1 of what has ended",
            "an ended subscription was republished",
            {"status": "canceled", "accessUntil": _until(), **_sold("plan", "interval")},
        ),
    ]


def pact() -> Pact:
    """The pact of these expectations."""
    made = Pact("users-service", "payments").with_specification("V4")
    for expected in expectations():
        body = {
            "type": expected.type,
            "sequence": match.regex(expected.sequence, regex=r"^[1-9]\d*$"),
            "data": {
                "userId": match.uuid(_USER),
                "subscriptionId": match.uuid(_SUBSCRIPTION),
                **expected.data,
            },
        }
        (
            made.upon_receiving(expected.description, "Async")
            .given(expected.state)
            .with_body(body, "application/cloudevents+json")
        )
    return made


def written() -> str:
    """The pact file, without what depends on the library that wrote it."""
    with tempfile.TemporaryDirectory() as folder:
        pact().write_file(folder, overwrite=True)
        document = json.loads((Path(folder) / NAME).read_text(encoding="utf-8"))
    document["metadata"] = {"pactSpecification": document["metadata"]["pactSpecification"]}
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    PACTS.mkdir(exist_ok=True)
    (PACTS / NAME).write_text(written(), encoding="utf-8")
