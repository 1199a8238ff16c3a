"""Have the payment provider sell what we sell."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from domain.plans import Offer


class Publication(StrEnum):
    """What became of an offer."""

    UNCHANGED = "unchanged"
    CREATED = "created"
    REPLACED = "replaced"  # a new price has taken the lookup key over


@dataclass(frozen=True, slots=True)
class Published:
    """An offer and the price it is sold at from now on."""

    offer: Offer
    price_ref: str
    outcome: Publication


class Catalog(Protocol):
    """The provider's products and prices."""

    async def publish(self, offer: Offer) -> Published:
        """Make sure that this offer is sold under its lookup key; doing it again changes nothing.

        Raises ProviderUnavailable and ProviderRefused.
        """
        ...
