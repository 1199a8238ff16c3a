"""One of each event, in an order in which they could have happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args, get_type_hints
from uuid import UUID

from domain import events
from domain.events import Occurrence
from domain.money import Money
from domain.subscription import Subscription
from ports.outbox import Message
from service.event_messages import write_message

_USER = UUID("5f0c6a3e-7a38-4c9e-9d5e-0f3c4c7b1a11")
_SUBSCRIPTION = Subscription(_USER, "cus_NffrFeUfNV2Hib", "sub_1MowQVLkdIwHu7ix")
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _at(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 9, 30, tzinfo=UTC)


# Each with its number, which its id is made of. The bytes are released, so it keeps that for good:
# one that is added takes a number that none has, wherever it stands.
_HISTORY: Final[tuple[tuple[int, datetime, events.Event], ...]] = (
    (
        1,
        _at(1, 5),
        events.SubscriptionActivated(_USER, "trialing", "general", "month", _at(7, 4), None),
    ),
    (2, _at(7, 1), events.SubscriptionTrialEnding(_USER, _at(7, 4), None)),
    (3, _at(7, 4), events.SubscriptionStatusChanged(_USER, "trialing", "active", None)),
    (
        4,
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
        5,
        _at(7, 20),
        events.SubscriptionPlanChanged(_USER, "general", "month", "event_organizer", "month", None),
    ),
    (
        6,
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
    (7, _at(8, 20), events.SubscriptionCancellationScheduled(_USER, _at(9, 4), _at(9, 4))),
    (8, _at(8, 21), events.SubscriptionCancellationWithdrawn(_USER, None)),
    (9, _at(9, 4), events.SubscriptionCanceled(_USER, _at(9, 4), _at(9, 4))),
    (
        9,
        _at(10, 1),
        events.SubscriptionSnapshot(
            _USER, "canceled", "event_organizer", "month", _at(7, 4), None, _at(9, 4), _at(9, 4)
        ),
    ),
)


_FRACTION: Final = timedelta(microseconds=120_450)


def examples() -> dict[type[events.Event], Message]:
    """The message that each of them becomes."""
    return _written(email="ada@example.org")


def with_nulls() -> dict[type[events.Event], Message]:
    """The same, of somebody without an email, with null wherever it may be."""
    return _written(email=None, vary=_with_nulls)


def at_the_edges() -> dict[type[events.Event], Message]:
    """The same, with an email that ASCII has no letters for, and with fractions of a second."""
    return _written(email="zoë.ωmega+日本@exämple.org", vary=_with_fractions, later=_FRACTION)


def _written(
    email: str | None,
    vary: Callable[[events.Event], events.Event] = lambda event: event,
    later: timedelta = timedelta(0),
) -> dict[type[events.Event], Message]:
    written = {}
    for version, at, event in _HISTORY:
        occurrence = Occurrence(version, at + later, vary(event))
        written[type(event)] = write_message(occurrence, _SUBSCRIPTION, email, _TRACE)
    return written


def _with_nulls(event: events.Event) -> events.Event:
    types = get_type_hints(type(event)).items()
    nulls: dict[str, Any] = {name: None for name, of in types if type(None) in get_args(of)}
    return replace(event, **nulls)


def _with_fractions(event: events.Event) -> events.Event:
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    later: dict[str, Any] = {
        name: value + _FRACTION for name, value in values.items() if isinstance(value, datetime)
    }
    return replace(event, **later)
