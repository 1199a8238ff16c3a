"""Ask the payment provider for the truth."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.plans import Offer
from domain.subscription import Snapshot


@dataclass(frozen=True, slots=True)
class ProviderCustomer:
    """A customer as the provider has it now; `user_id` from the metadata we put there."""

    customer_ref: str
    user_id: UUID | None = None
    email: str | None = None
    name: str | None = None
    created: datetime | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Prices:
    """The provider's prices: `by_ref` every reference ever sold, superseded ones included, with
    its offer; `current` the reference sold now under each lookup key.
    """

    by_ref: Mapping[str, Offer]
    current: Mapping[str, str]


class ProviderUnavailable(Exception):
    """The provider did not answer, or not usefully: trying again later may help.

    `retry_after` says, in seconds, when that is worth it.
    """

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutcomeUnknown(ProviderUnavailable):
    """The provider was asked to change something and did not say whether it has: an answer was
    lost, or it failed half-way. What is must be looked up; to ask for the same again is safe.
    """


class RecordedFailure(OutcomeUnknown):
    """The provider will repeat this failure for this operation: only another one, for the same
    purpose, can succeed.
    """


class ProviderRefused(Exception):
    """The provider turned a request down, and would do so again. `code` is its own short reason;
    nothing of its words is kept, because they name ids.
    """

    def __init__(self, operation: str, code: str | None = None) -> None:
        super().__init__(f"{operation} was refused" + (f": {code}" if code else ""))
        self.code = code


class CustomerMissing(ProviderRefused):
    """The provider has no such customer, or has deleted it."""


class CardDeclined(Exception):
    """The bank declined the card. `decline_code` says why, where the bank lets it be said."""

    def __init__(self, code: str, decline_code: str | None) -> None:
        super().__init__(f"{code} ({decline_code})")
        self.code = code
        self.decline_code = decline_code


class PaymentProvider(Protocol):
    """The provider's own view. Every call goes over the network: never in a unit of work."""

    async def fetch_customer(self, customer_ref: str) -> ProviderCustomer | None:
        """The customer as it is now; None where the provider knows none.

        Raises ProviderUnavailable.
        """
        ...

    async def fetch_subscription(self, subscription_ref: str) -> Snapshot | None:
        """The subscription as it is now; None where the provider knows none.

        Raises ProviderUnavailable.
        """
        ...

    async def fetch_prices(self, offers: Iterable[Offer]) -> Prices:
        """The prices behind these offers. Raises ProviderUnavailable."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...
