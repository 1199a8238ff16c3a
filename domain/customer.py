"""A user's account at the payment provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.errors import CustomerAlreadyLinked


@dataclass(slots=True)
class Customer:
    """The link between one of our users and a customer at the provider.

    `user_id` is None only for a customer whose deletion was heard of before anything else.
    `retired_at` is set once the provider has deleted the customer: the user may then be linked
    to a new one. `as_of` is the watermark of the newest customer event that was applied.
    """

    user_id: UUID | None
    customer_ref: str | None = None
    email: str | None = None
    name: str | None = None
    livemode: bool = False
    provider_created_at: datetime | None = None
    as_of: datetime | None = None
    retired_at: datetime | None = None

    @property
    def contact_is_known(self) -> bool:
        """Whether name and email were ever had from the provider."""
        return self.as_of is not None or self.email is not None

    def draft(self) -> Customer:
        """A copy to work on, so that what fails half-way leaves the original as it was."""
        return Customer(  # field by field: `replace` takes several times as long
            self.user_id,
            self.customer_ref,
            self.email,
            self.name,
            self.livemode,
            self.provider_created_at,
            self.as_of,
            self.retired_at,
        )

    def link_customer(self, customer_ref: str) -> None:
        """Set the provider's reference. Raises CustomerAlreadyLinked if one is set."""
        if self.customer_ref is not None:
            raise CustomerAlreadyLinked(
                f"user {self.user_id} is already linked to customer {self.customer_ref}: "
                "a customer reference cannot be set twice",
                self.user_id,
            )
        self.customer_ref = customer_ref

    def update_contact(self, email: str | None, name: str | None, as_of: datetime) -> None:
        """Take over what the provider knows as of this watermark."""
        self.email, self.name, self.as_of = email, name, as_of

    def retire(self, at: datetime) -> None:
        """Note that the provider has deleted this customer; the first time it happened counts."""
        self.retired_at = at if self.retired_at is None else min(self.retired_at, at)
