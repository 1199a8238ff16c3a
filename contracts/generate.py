"""Writes the contract files from the wire types: run by `make contracts`, checked by the tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec

from contracts.openapi import openapi
from domain import events
from domain.money import Money
from domain.subscription import Subscription
from service.event_messages import MESSAGE_TYPES, CloudEvent, EventData, write_message

ROOT = Path(__file__).parent

_USER = UUID("5f0c6a3e-7a38-4c9e-9d5e-0f3c4c7b1a11")
_SUBSCRIPTION = Subscription(_USER, "cus_NffrFeUfNV2Hib", "sub_1MowQVLkdIwHu7ix")
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _at(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 9, 30, tzinfo=UTC)


# One of each, in an order in which they could have happened.
EXAMPLES: tuple[tuple[datetime, events.Event], ...] = (
    (
        _at(1, 5),
        events.SubscriptionActivated(_USER, "trialing", "general", "month", _at(7, 4), None),
    ),
    (_at(7, 1), events.SubscriptionTrialEnding(_USER, _at(7, 4), None)),
    (_at(7, 4), events.SubscriptionStatusChanged(_USER, "trialing", "active", None)),
    (
        _at(7, 4),
        events.PaymentSucceeded(
            _USER,
            "in_1MtHbELkdIwHu7ix",
            Money(1000, "usd"),
            "https://invoice.stripe.com/i/in_1MtHbELkdIwHu7ix",
            "https://pay.stripe.com/invoice/in_1MtHbELkdIwHu7ix/pdf",
            None,
        ),
    ),
    (
        _at(7, 20),
        events.SubscriptionPlanChanged(_USER, "general", "month", "event_organizer", "month", None),
    ),
    (
        _at(8, 4),
        events.PaymentFailed(
            _USER,
            "in_1MtHcXLkdIwHu7ix",
            Money(1500, "usd"),
            events.PaymentFailure.DECLINED,
            1,
            _at(8, 7),
            "https://invoice.stripe.com/i/in_1MtHcXLkdIwHu7ix",
            _at(8, 11),
        ),
    ),
    (_at(8, 20), events.SubscriptionCancellationScheduled(_USER, _at(9, 4), _at(9, 4))),
    (_at(8, 21), events.SubscriptionCancellationWithdrawn(_USER, None)),
    (_at(9, 4), events.SubscriptionCanceled(_USER, _at(9, 4), _at(9, 4))),
)


def files() -> Iterator[tuple[Path, str]]:
    """Every contract file and what it must hold."""
    yield ROOT / "openapi.json", _pretty(openapi())
    for version, (at, event) in enumerate(EXAMPLES, start=1):
        kind = MESSAGE_TYPES[type(event)]
        yield (
            ROOT / "events" / f"{kind.routing_key}.schema.json",
            _schema(kind.routing_key, kind.data, type(event)),
        )
        occurrence = events.Occurrence(version, at, event)
        message = write_message(occurrence, _SUBSCRIPTION, "ada@example.org", _TRACE)
        yield ROOT / "examples" / f"{kind.routing_key}.json", _pretty(json.loads(message.body))


def _schema(routing_key: str, data: type[EventData], event: type[events.Event]) -> str:
    """The schema of one message: the envelope with this type and this data."""
    envelope = msgspec.defstruct(
        event.__name__,
        [("type", Literal[routing_key]), ("data", data)],
        bases=(CloudEvent,),
        kw_only=True,
    )
    schema = msgspec.json.schema(envelope)
    schema["$defs"][event.__name__]["description"] = " ".join((event.__doc__ or "").split())
    # With a default a field may be left out when reading; we always write it.
    schema["$defs"][event.__name__]["required"] = sorted(
        schema["$defs"][event.__name__]["properties"]
    )
    return _pretty(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:payments:event:{routing_key}",
            **schema,
        }
    )


def _pretty(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for path, text in files():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
