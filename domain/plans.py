"""The plans that are sold, and what each costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.money import Money


class Plan(StrEnum):
    """What a user subscribes to; UNKNOWN is a retired or foreign price, shown to an operator."""

    GENERAL = "general"
    EVENT_ORGANIZER = "event_organizer"
    UNKNOWN = "unknown"


class Interval(StrEnum):
    """How often a plan is billed."""

    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to buy a plan. `lookup_key` is the name under which the provider keeps its price."""

    lookup_key: str
    plan: Plan
    interval: Interval
    price: Money


def cost_per_year(price: Money, interval: Interval) -> Money:
    """What a recurring price comes to in a year: whole minor units, where a month's share of an
    annual price would be a fraction.
    """
    return Money(price.amount * 12, price.currency) if interval is Interval.MONTH else price


def is_upgrade(old: Money, old_interval: Interval, new: Money, new_interval: Interval) -> bool:
    """Whether a change of plan makes the month dearer."""
    return cost_per_year(old, old_interval) < cost_per_year(new, new_interval)


class PriceList:
    """Every offer, found by its lookup key or by the provider's reference of a price.

    Which references belong to an offer is learned from the provider while the service runs. A
    reference once learned stays: whoever bought at an earlier price keeps it. Before `is_learned`
    a price that is not found may still be ours.
    """

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._by_key = {offer.lookup_key: offer for offer in offers}
        self._by_ref: dict[str, Offer] = {}
        self._current: dict[str, str] = {}
        self.is_learned = False

    def __iter__(self) -> Iterator[Offer]:
        return iter(self._by_key.values())

    def find(self, *, lookup_key: str | None = None, price_ref: str | None = None) -> Offer | None:
        """The offer a price belongs to, or None where it is not one of ours."""
        if lookup_key is not None and lookup_key in self._by_key:
            return self._by_key[lookup_key]
        return None if price_ref is None else self._by_ref.get(price_ref)

    def learn(self, prices: Mapping[str, Offer], current: Mapping[str, str]) -> None:
        """Take over what the provider knows.

        `prices` holds every price reference and its offer, `current` the reference sold now under
        each lookup key; what is not in it is not sold any more.
        """
        self.is_learned = True
        self._by_ref.update(prices)
        self._current = dict(current)

    def sold_as(self, price_ref: str) -> Offer | None:
        """The offer that is sold now at this very price, at what the provider charges for it;
        None for a superseded or foreign one.
        """
        return self._by_ref.get(price_ref) if price_ref in self._current.values() else None

    @property
    def is_complete(self) -> bool:
        """Whether the price of every offer is known."""
        return self._by_key.keys() <= self._current.keys()

    def on_sale(self) -> Iterator[tuple[Offer, str | None]]:
        """Every offer as it is sold now, and the reference of its price; before that is known as
        it is meant to be sold, and None.
        """
        for lookup_key, offer in self._by_key.items():
            reference = self.current_ref(lookup_key)
            yield (reference and self.sold_as(reference)) or offer, reference

    def current_ref(self, lookup_key: str) -> str | None:
        """The reference of the price sold now under this lookup key; None before it is known."""
        return self._current.get(lookup_key)
