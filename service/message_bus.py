"""Which handler takes which command: the table of contents of what the service does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from domain import commands
from domain.commands import Command
from service.apply_subscription_change import apply_subscription_change
from service.link_customer import (
    complete_checkout,
    expire_checkout,
    retire_customer,
    update_customer,
)
from service.outcomes import Result
from service.record_payment import record_invoice_paid, record_payment_failure
from service.working_set import References, WorkingSet

# Any: each handler takes its own command, and the key beside it says which.
HANDLERS: Final[Mapping[type[Command], Callable[[Any, WorkingSet], Result]]] = {
    commands.ApplySubscriptionChange: apply_subscription_change,
    commands.RecordInvoicePaid: record_invoice_paid,
    commands.RecordPaymentFailure: record_payment_failure,
    commands.UpdateCustomer: update_customer,
    commands.RetireCustomer: retire_customer,
    commands.CompleteCheckout: complete_checkout,
    commands.ExpireCheckout: expire_checkout,
}


def handle(command: Command, work: WorkingSet) -> Result:
    """Carry a command out on the working set.

    A handler that raises has changed nothing. Raises what `whose_is_it.identify` does, and
    Unsettled, TransitionRefused.
    """
    return HANDLERS[type(command)](command, work)


def references(command: Command) -> References:
    """What has to be read before this command can be handled."""
    match command:
        case commands.UpdateCustomer():
            return References(customer_ref=command.customer_ref, user_id=command.user_id)
        case commands.RetireCustomer():
            return References(customer_ref=command.customer_ref)
        case commands.RecordInvoicePaid():
            return References(
                command.subscription_ref,
                command.owner.customer_ref,
                command.owner.user_id,
                command.invoice_ref,
            )
        case commands.ApplySubscriptionChange() | commands.RecordPaymentFailure():
            return References(
                command.subscription_ref, command.owner.customer_ref, command.owner.user_id
            )
        case commands.CompleteCheckout() | commands.ExpireCheckout():
            return References(
                customer_ref=command.owner.customer_ref, user_id=command.owner.user_id
            )
