"""Whose subscription, invoice or Checkout is this?

The user id in the metadata of the event itself, else the customer row, else the metadata of the
customer at the provider. Where two of them differ a person must decide; where none knows, one
of our prices makes it a riddle to retry, and any other price makes it another product's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.commands import Owner
from domain.customer import Customer
from domain.errors import OwnershipConflict, OwnerUnknown
from domain.subscription import Subscription
from ports.payment_provider import ProviderCustomer, ProviderUnavailable
from service.working_set import CustomerLookup, WorkingSet

# With the user known, only the email is missing. Somebody who has paid should not be kept out
# for as long as the provider's API is down, so after this many tries the event goes without.
PATIENCE_FOR_AN_EMAIL: Final = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """The user, and the email to put into messages (None where the customer has none)."""

    user_id: UUID
    email: str | None


def identify(owner: Owner, known: Subscription | None, work: WorkingSet) -> Identity | None:
    """The user behind an event, linked to the customer from now on; None for another product's.

    `known` is the subscription as we have it. Raises OwnershipConflict, OwnerUnknown,
    CustomerAlreadyLinked (the user has another customer), LookupNeeded and ProviderUnavailable.
    """
    user_id = _agree(owner.user_id, known.user_id if known else None, "the event", "our records")
    if owner.customer_ref is None:
        if user_id is None:
            _refuse_riddle(owner)
            return None
        return Identity(user_id, email=None)
    row = work.customer(owner.customer_ref)
    if row is not None and row.user_id is not None:
        _agree(user_id, row.user_id, "the event", "the customer's row")
        return Identity(row.user_id, row.email)
    try:
        found = _ask(owner.customer_ref, work)
    except ProviderUnavailable:
        if user_id is None or work.attempts < PATIENCE_FOR_AN_EMAIL:
            raise
        return Identity(user_id, email=None)
    user_id = _agree(user_id, found.user_id, "the event", "the customer at the provider")
    if user_id is None:
        _refuse_riddle(owner)
        return None
    customer = row or Customer(None, owner.customer_ref, livemode=owner.livemode)
    link_user(customer, user_id, work)
    customer.email, customer.name = found.email, found.name
    customer.as_of = customer.as_of or owner.at
    customer.provider_created_at = found.created
    work.put_customer(customer)
    return Identity(user_id, customer.email)


def link_user(customer: Customer, user_id: UUID, work: WorkingSet) -> None:
    """Make `customer` this user's. Raises CustomerAlreadyLinked where the user has another.

    A retired customer takes nobody's place, so it may be any user's.
    """
    current = work.link_of(user_id)
    if current is not None and customer.retired_at is None and customer.customer_ref is not None:
        current.link_customer(customer.customer_ref)
    customer.user_id = user_id


def _ask(customer_ref: str, work: WorkingSet) -> ProviderCustomer:
    found = work.ask(CustomerLookup(customer_ref))
    return found if isinstance(found, ProviderCustomer) else ProviderCustomer(customer_ref)


def _agree(first: UUID | None, second: UUID | None, whose: str, other: str) -> UUID | None:
    if first is not None and second is not None and first != second:
        raise OwnershipConflict(
            f"{whose} names user {first}, {other} user {second}: "
            "correct metadata.user_id at the provider, then replay the event"
        )
    return first or second


def _refuse_riddle(owner: Owner) -> None:
    if owner.ours:
        raise OwnerUnknown(
            f"customer {owner.customer_ref} pays for one of our prices, but no user is known: "
            "put metadata.user_id on the customer at the provider"
        )
