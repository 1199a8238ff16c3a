"""A snapshot of a subscription is taken over, in whatever order snapshots arrive."""

from __future__ import annotations

from typing import Final

from domain.commands import ApplySubscriptionChange
from domain.errors import Unsettled
from domain.subscription import Freshness, Snapshot, Subscription
from ports.payment_provider import ProviderUnavailable
from service.outcomes import APPLIED, FOREIGN, STALE, Held, Result
from service.whose_is_it import identify
from service.working_set import SubscriptionLookup, WorkingSet

# Tries, within a few seconds. Then the plan is unknown, since no price may block a status.
PATIENCE_FOR_A_PLAN: Final = 3


def apply_subscription_change(command: ApplySubscriptionChange, work: WorkingSet) -> Result:
    """Believe the snapshot if it is news; pass a trial's ending on in any case."""
    if not command.plan_is_certain and work.attempts < PATIENCE_FOR_A_PLAN:
        raise ProviderUnavailable("what our prices are is not known yet")
    known = work.subscription(command.subscription_ref)
    identity = identify(command.owner, known, work)
    if identity is None:
        return FOREIGN
    subscription = known or Subscription(
        user_id=identity.user_id,
        customer_ref=command.owner.customer_ref,
        subscription_ref=command.subscription_ref,
        livemode=command.owner.livemode,
    )
    was_noted = subscription.facts.shows_a_used_trial  # in the transaction that told us
    is_news = _take_over(subscription, command, work)
    # Even a stale snapshot proves that a trial was had, so the ledger is the same in any order.
    shows_a_trial = command.snapshot.shows_a_used_trial or subscription.facts.shows_a_used_trial
    if shows_a_trial and not was_noted:
        work.use_trial(identity.user_id)
    told = command.trial_ending and subscription.may_be_spoken_of
    if told:
        subscription.announce_trial_ending(
            command.snapshot.trial_end, command.as_of.replace(microsecond=0), work.policy
        )
    if is_news or told:
        work.put_subscription(subscription, identity.email)
    if command.trial_ending and not told:
        return Held(
            "its subscription has not been activated yet", command.subscription_ref, orphan=False
        )
    return APPLIED if is_news or told else STALE


def _take_over(
    subscription: Subscription, command: ApplySubscriptionChange, work: WorkingSet
) -> bool:
    match subscription.freshness(command.snapshot, command.as_of):
        case Freshness.NEWER:
            subscription.observe(command.snapshot, command.as_of, work.policy)
        case Freshness.TIE:
            truth = work.ask(SubscriptionLookup(command.subscription_ref), once=True)
            if not isinstance(truth, Snapshot):
                raise Unsettled(
                    f"two different updates of {command.subscription_ref} in one second, and the "
                    "provider no longer knows it: compare its event log, then replay the right one"
                )
            subscription.observe(truth, command.as_of, work.policy)
        case Freshness.STALE:
            return False
    return True
