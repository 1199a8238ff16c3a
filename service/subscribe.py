"""A user buys on our own page, with the provider's form elements in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from domain.subscription import Status
from ports.authentication import User
from ports.clock import Clock
from ports.purchases import FirstPayment, IntentType, ProviderSubscription, Purchases, Terms
from service.purchasing import Purchasing, Situation

# A trial runs from the moment its attempt was begun. One that is gone on with may have lost as much
# of it, which is little of half a year; an older one is begun anew.
_LOST_OF_A_TRIAL: Final = timedelta(hours=1)


class SubscriptionBegun(msgspec.Struct, rename="camel", frozen=True):
    """Confirm `client_secret` on the page: a payment, or within a trial the setup of a card.

    Nothing is granted before that. Where `client_secret` is null nothing is left to confirm: the
    subscription has begun.
    """

    subscription_id: UUID
    status: str
    client_secret: str | None
    intent_type: IntentType | None


class Subscribe:
    """Begins a subscription, or goes on with the one that was begun on the same terms.

    It begins at once where nothing needs to be paid or collected: the customer's credit covers
    the first invoice, or within a trial a card is on file. So the call itself is the purchase.
    (Stripe: payment_behavior default_incomplete)
    """

    def __init__(self, purchasing: Purchasing, purchases: Purchases, clock: Clock) -> None:
        self._purchasing = purchasing
        self._purchases = purchases
        self._clock = clock

    async def __call__(self, user: User, price_ref: str) -> SubscriptionBegun:
        """Raises what Purchasing.begin does."""

        async def attempt(situation: Situation) -> SubscriptionBegun | None:
            terms = Terms(price_ref, situation.trial_days)
            begun = [s for s in situation.unfinished if self._is_as_good_as_new(s, terms)]
            keep = begun[0].subscription_ref if begun else None
            if not await self._purchasing.close_checkouts(situation.history):
                return None
            if not await self._purchasing.close_unfinished(situation, keep=keep):
                return None
            if keep is None:
                return _view(await self._purchasing.subscribe(user, situation, terms))
            payment = await self._purchases.first_payment(keep)
            if payment is None or payment.subscription.snapshot.status != Status.INCOMPLETE:
                return None
            if payment.client_secret is None:  # it was given up, or tried too often
                await self._purchasing.close_unfinished(situation)
                return None
            return _view(payment)

        def begun(situation: Situation, found: ProviderSubscription) -> SubscriptionBegun | None:
            terms = Terms(price_ref, situation.trial_days)
            if found.fingerprint != terms.fingerprint:
                return None
            return _view(FirstPayment(found, None, None))

        return await self._purchasing.begin(user, price_ref, attempt, begun=begun)

    def _is_as_good_as_new(self, attempt: ProviderSubscription, terms: Terms) -> bool:
        """Whether it was begun on these terms, and what is left of it is what they promise."""
        if attempt.fingerprint != terms.fingerprint:
            return False
        promised = self._clock.now() + timedelta(days=terms.trial_days) - _LOST_OF_A_TRIAL
        trial_end = attempt.snapshot.trial_end
        return not terms.trial_days or (trial_end is not None and trial_end >= promised)


def _view(payment: FirstPayment) -> SubscriptionBegun:
    return SubscriptionBegun(
        subscription_id=payment.subscription.id,
        status=str(payment.subscription.snapshot.status),
        client_secret=payment.client_secret,
        intent_type=payment.intent_type,
    )
