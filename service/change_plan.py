"""A user changes the plan: first they are shown what it comes to, then they confirm that.

An upgrade (the month becomes dearer) is charged at once and takes effect only when paid. So is a
change of the interval, with which the provider begins a new period. Any other change is a
credit towards the next invoice; within the trial nothing is charged. What is confirmed is what was
shown, or nothing: see docs/decisions/0006.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog

from domain.money import Money
from domain.plans import Interval, Offer, is_upgrade
from domain.subscription import Status
from ports.authentication import User
from ports.billing import Billing, PendingChange, PlanChange, PlanState, Settlement
from ports.claims import Claims
from ports.clock import Clock
from ports.payment_provider import OutcomeUnknown, ProviderUnavailable, RecordedFailure
from ports.purchases import Closing, ProviderSubscription
from ports.shown_previews import ShownPreview, ShownPreviews
from service.change_claim import changing
from service.operation_names import nth
from service.own_webhooks import OwnWebhooks
from service.owned_subscription import OwnedSubscription
from service.purchasing import Offers
from service.refusals import Conflict, changed_meanwhile, no_such_subscription
from service.view_subscription import SubscriptionView, Viewer
from service.waiting_change import discard

log = structlog.get_logger(__name__)

# How long what was shown can be confirmed: time to read it and to fetch a card.
_PREVIEW_VALID: Final = timedelta(minutes=15)
# Failures that the provider may have recorded before it is left alone.
_TRIES: Final = 5


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
        shown: ShownPreviews,
        claims: Claims,
        own_webhooks: OwnWebhooks,
    ) -> None:
        self._owned = owned
        self._billing = billing
        self._offers = offers
        self._viewer = viewer
        self._clock = clock
        self._shown = shown
        self._claims = claims
        self._own_webhooks = own_webhooks

    async def preview(self, user: User, subscription_id: UUID, price_ref: str) -> PreviewView:
        """What it would come to if it were changed now.

        Raises Unacceptable, NotFound, Conflict, PlanNotChangeable, ProviderUnavailable and
        ProviderRefused.
        """
        offer = await self._offers.find(price_ref)
        found = (await self._owned(user, subscription_id)).found
        found.as_aggregate(user.id).check_plan_changeable()
        old_price_ref = found.snapshot.price_ref
        if old_price_ref == price_ref:
            raise Conflict(
                "plan-unchanged", "this is the plan you have: there is nothing to change"
            )
        now = self._clock.now()
        # Where our clock is behind the provider's, its period may have begun after our now.
        at = max(now, found.snapshot.current_period_start or now).replace(microsecond=0)
        preview = await self._billing.preview(
            PlanChange(found, price_ref, at, settlement_of(found, offer, now))
        )
        pending = await self._pending(found.subscription_ref)
        due_now = preview.due_after(pending.credit_held if pending else 0)
        kept = await self._shown.remember(
            ShownPreview(
                subscription_id=found.id,
                price_ref=price_ref,
                proration_date=at,
                old_price_ref=old_price_ref or "",
                due_now=due_now.amount,
                sum_of_lines=preview.sum_of_lines,
                currency=preview.due_now.currency,
                shown_at=now,
            )
        )
        if not kept:  # within this very second: what was shown first must stay true
            raise changed_meanwhile()
        return PreviewView(
            proration_date=at,
            currency=preview.due_now.currency,
            amount_due_now=due_now.amount,
            lines=[PreviewLineView(line.description, line.amount.amount) for line in preview.lines],
        )

    async def __call__(
        self, user: User, subscription_id: UUID, price_ref: str, proration_date: datetime
    ) -> ChangeView:
        """Change it, at what was shown for this price and date, or not at all.

        Raises CardDeclined and OutcomeUnknown besides. A change that is in force already, or waits
        for its payment, is not made again but shown.
        """
        shown_at = _in_utc(proration_date)
        offer = await self._offers.find(price_ref)
        found = (await self._owned(user, subscription_id)).found
        shown = await self._shown.find(found.id, price_ref, shown_at)
        if shown is None:
            raise _outdated()
        # What is compared must not change before it is acted upon, nor two changes overtake.
        async with changing(self._claims, found.id, self._clock.now()):
            state = await self._change(user, found.subscription_ref, offer, shown)
        return self._view(user, state)

    async def _change(
        self, user: User, subscription_ref: str, offer: Offer, shown: ShownPreview
    ) -> PlanState:
        state = await self._look(subscription_ref)
        if _is_in_force(state, shown):
            return state
        state.subscription.as_aggregate(user.id).check_plan_changeable()
        started = state.subscription.snapshot.current_period_start
        if state.subscription.snapshot.price_ref != shown.old_price_ref or (
            started is not None and shown.proration_date < started
        ):
            raise _outdated()
        if state.pending is not None and _waits(state.pending, shown):
            return state  # however long ago it was shown: it can be paid for a day
        if self._clock.now() - shown.shown_at > _PREVIEW_VALID:
            raise _outdated()
        change = PlanChange(
            state.subscription,
            shown.price_ref,
            shown.proration_date,
            settlement_of(state.subscription, offer, self._clock.now()),
        )
        await self._check(change, state.pending, shown)
        if shown.due_now > 0 and change.settlement is Settlement.AT_ONCE and not state.has_card:
            raise _card_needed()
        if state.pending is not None:
            # Only now: a change that is turned down must not end the one that waits.
            await self._discard(subscription_ref, state.pending)
            state = await self._look(subscription_ref)
            change = replace(change, subscription=state.subscription)
            await self._check(change, None, shown)
        return await self._carry_out(change, state.invoice_ref, shown)

    async def _check(
        self, change: PlanChange, pending: PendingChange | None, shown: ShownPreview
    ) -> None:
        """Raises Conflict where it would not come to what was shown."""
        preview = await self._billing.preview(change)
        held = pending.credit_held if pending else 0
        if (
            preview.due_after(held) != Money(shown.due_now, shown.currency)
            or preview.sum_of_lines != shown.sum_of_lines
        ):
            raise _outdated()

    async def _carry_out(
        self, change: PlanChange, invoice_ref: str | None, shown: ShownPreview
    ) -> PlanState:
        """Ask for the change, and look what has become of it, whatever was answered.

        The name of the operation holds the latest invoice, which every charge replaces: so a
        change is repeated under its name until it has been made, and has another one afterwards.
        """
        reference = change.subscription.subscription_ref
        seconds = int(change.proration_date.timestamp())
        name = f"change:{reference}:{shown.old_price_ref}:{shown.price_ref}:{seconds}:{invoice_ref}"
        failure: OutcomeUnknown | None = None
        for spoilt in range(_TRIES):
            failure = None
            try:
                await self._billing.change_plan(change, operation=nth(name, spoilt))
            except OutcomeUnknown as error:
                failure = error
            state = await self._look_after(reference, failure)
            if _is_in_force(state, shown):
                if state.invoice_ref != invoice_ref:
                    _report_another_amount(state, shown)
                return state
            if state.pending is not None and state.pending.price_ref == shown.price_ref:
                return await self._wait(state, state.pending, shown)
            if not isinstance(failure, RecordedFailure):
                break
        raise failure or changed_meanwhile()

    async def _wait(
        self, state: PlanState, pending: PendingChange, shown: ShownPreview
    ) -> PlanState:
        """The change waits for its payment. One whose card was declined, or has no card to be paid
        with, is given up at once, so that another card, or another change, can be tried.
        """
        if pending.due != Money(shown.due_now, shown.currency):
            # Somebody has changed the balance between our last look and this.
            await self._discard(state.subscription.subscription_ref, pending)
            raise _outdated()
        if _can_be_paid(pending):
            return state
        closing = await self._billing.give_up_payment(pending.invoice_ref)
        if closing is Closing.CLOSED:
            raise pending.declined or _card_needed()
        return await self._look_after(state.subscription.subscription_ref, None)

    async def _discard(self, subscription_ref: str, pending: PendingChange) -> None:
        await discard(self._billing, self._own_webhooks, subscription_ref, pending)

    async def _pending(self, subscription_ref: str) -> PendingChange | None:
        """The change that waits, and would be given up for another one."""
        return (await self._look(subscription_ref)).pending

    async def _look(self, subscription_ref: str) -> PlanState:
        state = await self._billing.plan_state(subscription_ref)
        if state is None:
            raise no_such_subscription()
        return state

    async def _look_after(self, subscription_ref: str, failure: OutcomeUnknown | None) -> PlanState:
        """Raises OutcomeUnknown where it cannot be seen what the change has come to."""
        try:
            return await self._look(subscription_ref)
        except ProviderUnavailable as error:
            unseen = OutcomeUnknown(str(error), retry_after=error.retry_after)
            raise (failure or unseen) from error

    def _view(self, user: User, state: PlanState) -> ChangeView:
        pending = state.pending
        return ChangeView(
            subscription=self._viewer.show(
                state.subscription.as_aggregate(user.id), self._clock.now()
            ),
            pending=pending is not None,
            client_secret=pending.client_secret if pending else None,
            hosted_invoice_url=pending.hosted_invoice_url if pending else None,
        )


def _is_in_force(state: PlanState, shown: ShownPreview) -> bool:
    return state.subscription.snapshot.price_ref == shown.price_ref


def _report_another_amount(state: PlanState, shown: ShownPreview) -> None:
    """Tell an operator where somebody else moved the balance between our last look and the charge.

    What was paid cannot be taken back here.
    """
    due = Money(shown.due_now, shown.currency)
    if state.invoiced is not None and state.invoiced != due:
        log.error(
            "charged_otherwise_than_shown",
            subscription=state.subscription.subscription_ref,
            invoice=state.invoice_ref,
            shown=due.amount,
            invoiced=state.invoiced.amount,
            hint="refund or grant the difference at the payment provider",
        )


def _waits(pending: PendingChange, shown: ShownPreview) -> bool:
    """Whether this very change waits for its payment already."""
    return (
        pending.price_ref == shown.price_ref
        and pending.due == Money(shown.due_now, shown.currency)
        and _can_be_paid(pending)
    )


def _can_be_paid(pending: PendingChange) -> bool:
    """Whether all it waits for is the consent of the card's holder."""
    return pending.declined is None and not pending.lacks_card


def _card_needed() -> Conflict:
    return Conflict(
        "card-needed",
        "there is no card to pay this with: add one in the portal, then confirm the change again",
        instead="POST /api/payments/create-portal-session",
    )


def _in_utc(proration_date: datetime) -> datetime:
    """The same moment, to the second. Raises Conflict where no calendar has it."""
    try:
        return proration_date.astimezone(UTC).replace(microsecond=0)
    except OverflowError:  # of the first hours of the year 1, and the last ones of 9999
        raise _outdated() from None


def _outdated() -> Conflict:
    return Conflict(
        "preview-outdated",
        "this was not shown, or no longer holds: ask for a new preview and confirm that",
    )


def settlement_of(subscription: ProviderSubscription, offer: Offer, now: datetime) -> Settlement:
    """How a change to this offer is paid for. A trial is over from its last second on."""
    trial_end = subscription.snapshot.trial_end
    if subscription.snapshot.status == Status.TRIALING and (trial_end is None or now < trial_end):
        return Settlement.FREE
    old, interval = subscription.price, subscription.snapshot.interval
    if old is None or old.currency != offer.price.currency or interval != offer.interval:
        return Settlement.AT_ONCE
    upgrade = is_upgrade(old, Interval(interval), offer.price, offer.interval)
    return Settlement.AT_ONCE if upgrade else Settlement.CREDITED
