"""Which user is which customer, kept in step with the provider."""

from __future__ import annotations

from domain.commands import CompleteCheckout, ExpireCheckout, RetireCustomer, UpdateCustomer
from domain.customer import Customer
from domain.errors import Unsettled
from ports.inbox import Outcome
from ports.payment_provider import ProviderCustomer
from service.outcomes import APPLIED, FOREIGN, STALE, Done, Result
from service.whose_is_it import link_user
from service.working_set import CustomerLookup, WorkingSet


def update_customer(command: UpdateCustomer, work: WorkingSet) -> Result:
    """Take over name and email; a customer whose metadata names a user becomes that user's."""
    customer = work.customer(command.customer_ref)
    if customer is None and command.user_id is None:
        return Done(Outcome.FOREIGN, "no user of ours")
    customer = customer or Customer(None, command.customer_ref, livemode=command.livemode)
    if command.user_id is not None:
        link_user(customer, command.user_id, work)
    customer.provider_created_at = customer.provider_created_at or command.provider_created_at
    outcome = _take_over_contact(customer, command, work)
    work.put_customer(customer)
    return outcome


def _take_over_contact(customer: Customer, command: UpdateCustomer, work: WorkingSet) -> Result:
    email, name = command.email, command.name
    if customer.as_of is not None and command.as_of < customer.as_of:
        return STALE
    # One of ours is created without a contact, and given one right after that: whoever needs it
    # before that is heard of asks for it, as where there is no row yet.
    is_blank = email is None and customer.as_of is None and command.user_id is not None
    if is_blank and not customer.contact_is_known:
        return APPLIED
    # A customer that names no user may have had newer events, passed over as another product's
    # before its subscription linked it. Then, as within one second, only the provider can tell.
    uncertain = is_blank or customer.as_of == command.as_of or command.user_id is None
    if uncertain and (email, name) != (customer.email, customer.name):
        truth = work.ask(CustomerLookup(command.customer_ref), once=True)
        if not isinstance(truth, ProviderCustomer):
            raise Unsettled(
                f"which contact of {command.customer_ref} is the newest cannot be told, and the "
                "provider no longer knows it: compare its event log, then replay the right one"
            )
        email, name = truth.email, truth.name
    customer.update_contact(email, name, command.as_of)
    return APPLIED


def retire_customer(command: RetireCustomer, work: WorkingSet) -> Result:
    """Let go of a deleted customer.

    One we never heard of is remembered all the same: what comes late must not link it again.
    """
    customer = work.customer(command.customer_ref)
    if customer is None:
        stranger = Customer(None, command.customer_ref, livemode=command.livemode)
        stranger.retire(command.at)
        work.put_customer(stranger)
        return FOREIGN
    customer.retire(command.at)
    work.put_customer(customer)
    return APPLIED


def complete_checkout(command: CompleteCheckout, work: WorkingSet) -> Result:
    """Link the buyer; the subscription's own events tell what was bought."""
    owner = command.owner
    if owner.user_id is None or owner.customer_ref is None:
        return Done(Outcome.FOREIGN, "no user of ours")
    customer = work.customer(owner.customer_ref) or Customer(
        None, owner.customer_ref, livemode=owner.livemode
    )
    link_user(customer, owner.user_id, work)
    return APPLIED


def expire_checkout(command: ExpireCheckout, work: WorkingSet) -> Result:
    """Nothing was bought, so nothing changes."""
    return Done(Outcome.IGNORED, "nothing was bought")
