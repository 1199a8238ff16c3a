"""A user changes the plan: first they are shown what it comes to, then they confirm that.

An upgrade (the month becomes dearer) is charged at once and takes effect only when paid. So is a
change of the interval, with which the provider begins a new period. Any other change is a
credit towards the next invoice; within the trial nothing is charged.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from domain.plans import Interval, Offer, is_upgrade
from domain.subscription import Status
from ports.authentication import User
from ports.billing import Billing, PlanChange, Settlement
from ports.clock import Clock
from ports.purchases import ProviderSubscription
from service.owned_subscription import OwnedSubscription
from service.purchasing import Offers
from service.refusals import Conflict
from service.view_subscription import SubscriptionView, Viewer

# How long what was shown can be confirmed.
_PREVIEW_VALID: Final = timedelta(hours=1)
# By how much the provider's clock may be behind ours.
_CLOCKS_DIFFER: Final = timedelta(seconds=30)


class PreviewLineView(msgspec.Struct, rename="camel", frozen=True):
    """One line of what would be charged, in minor currency units; a credit is negative."""

    description: str
    amount: int


class PreviewView(msgspec.Struct, rename="camel", frozen=True):
    """What a change comes to, in minor currency units. `amount_due_now` is charged at once; a
    negative sum of the lines counts towards later invoices. Confirm with `proration_date`.
    """

    proration_date: datetime
    currency: str
    amount_due_now: int
    lines: list[PreviewLineView]


class ChangeView(msgspec.Struct, rename="camel", frozen=True):
    """What became of a change. A `pending` one takes effect when it is paid: confirm
    `client_secret` on the page, or send the user to `hosted_invoice_url`.
    """

    subscription: SubscriptionView
    pending: bool
    client_secret: str | None
    hosted_invoice_url: str | None


class ChangePlan:
    """Previews and carries out changes of plan."""

    def __init__(
        self,
        owned: OwnedSubscription,
        billing: Billing,
        offers: Offers,
        viewer: Viewer,
        clock: Clock,
    ) -> None:
        self._owned = owned
        self._billing = billing
        self._offers = offers
        self._viewer = viewer
        self._clock = clock

    async def preview(self, user: User, subscription_id: UUID, price_ref: str) -> PreviewView:
        """What it would come to if it were changed now.

        Raises Unacceptable, NotFound, Conflict, PlanNotChangeable, ProviderUnavailable and
        ProviderRefused.
        """
        at = self._clock.now().replace(microsecond=0)
        change = await self._change(user, subscription_id, price_ref, at)
        preview = await self._billing.preview(change)
        return PreviewView(
            proration_date=at,
            currency=preview.due_now.currency,
            amount_due_now=preview.due_now.amount,
            lines=[PreviewLineView(line.description, line.amount.amount) for line in preview.lines],
        )

    async def __call__(
        self, user: User, subscription_id: UUID, price_ref: str, proration_date: datetime
    ) -> ChangeView:
        """Change it, at what was shown for this date. Raises CardDeclined besides."""
        at = proration_date.replace(microsecond=0)
        change = await self._change(user, subscription_id, price_ref, at)
        self._check_date(change.subscription, at)
        changed = await self._billing.change_plan(change)
        return ChangeView(
            subscription=self._viewer.show(
                changed.subscription.as_aggregate(user.id), self._clock.now()
            ),
            pending=changed.pending,
            client_secret=changed.client_secret,
            hosted_invoice_url=changed.hosted_invoice_url,
        )

    async def _change(
        self, user: User, subscription_id: UUID, price_ref: str, at: datetime
    ) -> PlanChange:
        offer = await self._offers.find(price_ref)
        found = await self._owned(user, subscription_id)
        found.as_aggregate(user.id).check_plan_changeable()
        if found.change_pending:
            # Its invoice can still be paid, so that another one would be paid besides.
            raise Conflict(
                "change-pending",
                "an earlier change of plan waits for its payment: pay the open invoice, or let it "
                "expire, before you change again",
            )
        if found.snapshot.price_ref == price_ref:
            raise Conflict(
                "plan-unchanged", "this is the plan you have: there is nothing to change"
            )
        return PlanChange(found, price_ref, at, settlement_of(found, offer))

    def _check_date(self, subscription: ProviderSubscription, at: datetime) -> None:
        now, started = self._clock.now(), subscription.snapshot.current_period_start
        too_old = at < now - _PREVIEW_VALID or (started is not None and at < started)
        if too_old or at > now + _CLOCKS_DIFFER:
            raise Conflict(
                "preview-outdated",
                "what was shown no longer holds: ask for a new preview and confirm that",
            )


def settlement_of(subscription: ProviderSubscription, offer: Offer) -> Settlement:
    """How a change to this offer is paid for."""
    if subscription.snapshot.status == Status.TRIALING:
        return Settlement.FREE
    old, interval = subscription.price, subscription.snapshot.interval
    if old is None or old.currency != offer.price.currency or interval != offer.interval:
        return Settlement.AT_ONCE
    upgrade = is_upgrade(old, Interval(interval), offer.price, offer.interval)
    return Settlement.AT_ONCE if upgrade else Settlement.CREDITED
