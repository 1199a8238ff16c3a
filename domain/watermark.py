"""How fresh a fact is, so that facts may arrive in any order.

The provider stamps events with whole seconds, and several often fall into one. Within a second
the kind of event decides: created before updated before deleted. Both parts live in one
timestamp, the rank as its microseconds, so that comparing watermarks is comparing datetimes and
a table needs one column.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum


class Rank(IntEnum):
    """The order of events within one second."""

    CREATED = 0
    UPDATED = 1
    DELETED = 2


def watermark(created: datetime, rank: Rank) -> datetime:
    """The position of an event that was stamped `created` (whole seconds) among its siblings."""
    return created.replace(microsecond=int(rank))
