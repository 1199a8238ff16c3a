"""A change of plan that waits for its payment, and how it is given up."""

from __future__ import annotations

from ports.billing import Billing, PendingChange
from ports.purchases import Closing
from service.own_webhooks import OwnWebhooks
from service.refusals import Conflict, payment_in_hand


async def discard(
    billing: Billing, own_webhooks: OwnWebhooks, subscription_ref: str, pending: PendingChange
) -> None:
    """Give it up, so that nobody can pay for it. Raises Conflict where that comes too late."""
    match await billing.give_up_payment(pending.invoice_ref):
        case Closing.PROCESSING:
            raise payment_in_hand()
        case Closing.FINISHED:
            await own_webhooks.tell(subscription_ref)
            raise Conflict(
                "changed-meanwhile",
                "an earlier change of plan was just paid: look at your subscription, then repeat "
                "what you still want",
            )
