"""Invoices of a subscription that were paid, or could not be.

They are told of whatever the state of the subscription, the ended one included, but never before
its activation: until then the notice waits in the inbox.
"""

from __future__ import annotations

from domain import events
from domain.commands import RecordInvoicePaid, RecordPaymentFailure
from domain.subscription import Subscription
from ports.inbox import Outcome
from service.outcomes import APPLIED, FOREIGN, Done, Held, Result
from service.whose_is_it import Identity, identify
from service.working_set import WorkingSet


def record_invoice_paid(command: RecordInvoicePaid, work: WorkingSet) -> Result:
    """Tell once per invoice, and only where money moved."""
    if command.amount.amount <= 0:
        return Done(Outcome.IGNORED, "nothing was charged")
    ready = _ready(command, work)
    if not isinstance(ready, tuple):
        return ready
    subscription, identity = ready
    if work.invoice_was_told(command.invoice_ref):
        return Done(Outcome.IGNORED, "this invoice was told of already")
    subscription.announce_payment(
        events.PaymentSucceeded(
            user_id=identity.user_id,
            invoice_ref=command.invoice_ref,
            amount=command.amount,
            hosted_invoice_url=command.hosted_invoice_url,
            invoice_pdf=command.invoice_pdf,
            access_until=subscription.access_until(command.at, work.policy),
        ),
        command.at,
    )
    work.tell_invoice(command.invoice_ref)
    work.put_subscription(subscription, identity.email)
    return APPLIED


def record_payment_failure(command: RecordPaymentFailure, work: WorkingSet) -> Result:
    """Tell of every failed attempt."""
    ready = _ready(command, work)
    if not isinstance(ready, tuple):
        return ready
    subscription, identity = ready
    subscription.announce_payment(
        events.PaymentFailed(
            user_id=identity.user_id,
            invoice_ref=command.invoice_ref,
            amount=command.amount,
            reason=command.reason,
            attempt_count=command.attempt_count,
            next_attempt_at=command.next_attempt_at,
            hosted_invoice_url=command.hosted_invoice_url,
            access_until=subscription.access_until(command.at, work.policy),
        ),
        command.at,
    )
    work.put_subscription(subscription, identity.email)
    return APPLIED


def _ready(
    command: RecordInvoicePaid | RecordPaymentFailure, work: WorkingSet
) -> tuple[Subscription, Identity] | Result:
    subscription = work.subscription(command.subscription_ref)
    identity = identify(command.owner, subscription, work)
    if identity is None:
        return FOREIGN
    if subscription is None:
        reason = "its subscription has not been heard of yet"
        return Held(reason, command.subscription_ref, orphan=True)
    if not subscription.may_be_spoken_of:
        reason = "its subscription has not been activated yet"
        return Held(reason, command.subscription_ref, orphan=False)
    return subscription, identity
