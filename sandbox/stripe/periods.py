"""Billing periods. (Stripe: Billing cycle)

Months and years are counted from the anchor, so that a subscription anchored to the 31st is
billed on the last day of a shorter month and on the 31st again thereafter.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from typing import Final

from sandbox.stripe.clock import Seconds
from sandbox.stripe.store import Json

DAY: Final[Seconds] = 24 * 60 * 60
HOUR: Final[Seconds] = 60 * 60

_DAYS: Final = {"day": 1, "week": 7}
_MONTHS: Final = {"month": 1, "year": 12}


def next_end(anchor: Seconds, start: Seconds, price: Json) -> Seconds:
    """The end of the period that begins at `start`, for a price billed from this anchor on."""
    number = 1
    while (end := _after(anchor, price["recurring"], number)) <= start:
        number += 1
    return end


def same_interval(one: Json, other: Json) -> bool:
    """Whether two prices are billed equally often."""
    names = ("interval", "interval_count")
    return all(one["recurring"][name] == other["recurring"][name] for name in names)


def _after(anchor: Seconds, recurring: Json, number: int) -> Seconds:
    """The moment so many intervals after the anchor."""
    count: int = recurring["interval_count"] * number
    if recurring["interval"] in _DAYS:
        return anchor + count * _DAYS[recurring["interval"]] * DAY
    start = datetime.fromtimestamp(anchor, UTC)
    months = start.month - 1 + count * _MONTHS[recurring["interval"]]
    year, month = start.year + months // 12, months % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def days(number: float) -> Seconds:
    return int(timedelta(days=number).total_seconds())
