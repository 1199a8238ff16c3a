"""The subscription: which statuses there are, who may move it where, and what is said of it.

Two voices speak to a subscription. A **user** asks (`activate`, `cancel`), and is bound by the
rules and by TRANSITIONS. The **provider** reports facts (`observe`, `update_status`), and is
believed: whatever has not ended may move to any status; only what has ended stays ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Final
from uuid import UUID, uuid5

from domain import events
from domain.errors import (
    AlreadyCanceled,
    InvalidPeriod,
    NoActiveSubscription,
    NothingToResume,
    PlanNotChangeable,
    TransitionRefused,
)
from domain.plans import Plan
from domain.told import nothing_told, told_after


class Status(StrEnum):
    """The statuses we know. A status nobody knows yet is kept as a plain string."""

    NONE = "none"
    INCOMPLETE = "incomplete"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    EXPIRED = "expired"
    CANCELED = "canceled"


class Action(StrEnum):
    """What a user may ask of a subscription."""

    START_TRIAL = "start_trial"
    ACTIVATE = "activate"
    CANCEL = "cancel"


# status -> {action: next status}. A pair that is not listed is refused.
TRANSITIONS: Final[Mapping[str, Mapping[Action, Status]]] = {
    Status.NONE: {Action.START_TRIAL: Status.TRIALING, Action.ACTIVATE: Status.ACTIVE},
    Status.INCOMPLETE: {Action.START_TRIAL: Status.TRIALING, Action.ACTIVATE: Status.ACTIVE},
    Status.TRIALING: {Action.ACTIVATE: Status.ACTIVE, Action.CANCEL: Status.CANCELED},
    Status.ACTIVE: {Action.CANCEL: Status.CANCELED},
    Status.PAST_DUE: {Action.ACTIVATE: Status.ACTIVE, Action.CANCEL: Status.CANCELED},
    Status.UNPAID: {Action.ACTIVATE: Status.ACTIVE, Action.CANCEL: Status.CANCELED},
    Status.PAUSED: {Action.ACTIVATE: Status.ACTIVE, Action.CANCEL: Status.CANCELED},
    Status.EXPIRED: {},
    Status.CANCELED: {},
}
# A status nobody knows yet may still be billing somebody, who must be able to leave.
UNKNOWN_STATUS_TRANSITIONS: Final[Mapping[Action, Status]] = {Action.CANCEL: Status.CANCELED}

_AFTER_A_TRIAL_BEGAN: Final = frozenset(
    {Status.TRIALING, Status.ACTIVE, Status.PAST_DUE, Status.UNPAID}
)
ENDED: Final = frozenset({Status.EXPIRED, Status.CANCELED})

# The subscription's id, and from it every message's, is derived from the provider's reference:
# a replay into an empty database gives the same ids, so a consumer still recognises repeats.
_NAMESPACE: Final = UUID("7d3f0c52-9b1e-5d0a-8a55-0f6f1f6f5c11")


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """How long a subscription whose renewal failed keeps its access.

    The grace is counted from the start of the billing period that was not paid.
    """

    past_due_grace: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the provider says a subscription is, in our terms. Times are aware datetimes."""

    status: str
    plan: str = Plan.UNKNOWN
    interval: str | None = None
    price_ref: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    trial_end: datetime | None = None
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether this status is one that nothing leaves."""
        return self.status in ENDED

    @property
    def shows_a_used_trial(self) -> bool:
        """Whether this proves that a trial was granted.

        One that never got past `incomplete` burns nothing, and how it ended does not tell.
        """
        return self.trial_end is not None and self.status in _AFTER_A_TRIAL_BEGAN


class Freshness(Enum):
    """How a snapshot compares with what was already applied."""

    NEWER = "newer"
    STALE = "stale"
    TIE = "tie"


@lru_cache(maxsize=4096)  # asked for several times while a batch is worked on
def subscription_id(subscription_ref: str) -> UUID:
    """Our id for the provider's subscription `subscription_ref`."""
    return uuid5(_NAMESPACE, subscription_ref)


_NOTHING_SEEN: Final = Snapshot(status=Status.NONE)


@dataclass(slots=True)
class Subscription:
    """A user's subscription, the aggregate of this service.

    `as_of` is the watermark of the newest snapshot applied, None before the first. `version`
    numbers the messages said about it. `activated` says whether access was ever granted. `told` is
    what the messages said of it so far: None before the first, or where it was not kept.
    """

    user_id: UUID
    customer_ref: str | None
    subscription_ref: str
    livemode: bool = False
    facts: Snapshot = _NOTHING_SEEN
    activated: bool = False
    version: int = 0
    as_of: datetime | None = None
    told: events.SubscriptionSnapshot | None = None
    _said: list[events.Occurrence] = field(default_factory=list, repr=False, compare=False)

    @property
    def id(self) -> UUID:
        """Our own id, derived from the provider's reference."""
        return subscription_id(self.subscription_ref)

    @property
    def status(self) -> str:
        """The current status: a Status, or the name of one nobody knows yet."""
        return self.facts.status

    @property
    def has_ended(self) -> bool:
        """Whether it is over for good."""
        return self.facts.has_ended

    @property
    def may_be_spoken_of(self) -> bool:
        """Whether messages may be sent: not before access was granted, unless it has ended."""
        return self.activated or self.has_ended

    def has_active_subscription(self, at: datetime, policy: AccessPolicy) -> bool:
        """Whether access is granted at this moment."""
        match self.status:
            case Status.TRIALING | Status.ACTIVE:
                return True
            case Status.PAST_DUE:
                until = self._grace_end(policy)
                return until is not None and at < until
            case _:
                return False

    def is_trial_expired(self, at: datetime) -> bool:
        """Whether there was a trial and it is over at this moment."""
        return self.facts.trial_end is not None and self.facts.trial_end <= at

    def access_until(self, at: datetime, policy: AccessPolicy) -> datetime | None:
        """When access ends or has ended, as known at this moment; None where no end is known."""
        if self.has_ended:
            return self.facts.end or at
        match self.status:
            case Status.TRIALING | Status.ACTIVE:
                return self.facts.cancel_at
            case Status.PAST_DUE:
                grace = self._grace_end(policy)
                return at if grace is None else min(grace, self.facts.cancel_at or grace)
            case _:
                return at

    def draft(self) -> Subscription:
        """A copy to work on, so that what fails half-way leaves the original as it was."""
        return Subscription(  # field by field: `replace` takes several times as long
            self.user_id,
            self.customer_ref,
            self.subscription_ref,
            self.livemode,
            self.facts,
            self.activated,
            self.version,
            self.as_of,
            self.told,
        )

    # What a user asks

    def activate(
        self, at: datetime, policy: AccessPolicy, *, trial_end: datetime | None = None
    ) -> None:
        """Start the subscription, as a trial where `trial_end` is given.

        Raises InvalidPeriod where the trial would end before it starts, and TransitionRefused
        where the status does not allow it.
        """
        if trial_end is not None and trial_end <= at:
            raise InvalidPeriod("a trial must end after it starts: choose a later trial end")
        action = Action.ACTIVATE if trial_end is None else Action.START_TRIAL
        facts = self.facts
        self._take_over(
            Snapshot(
                status=self._next(action),
                plan=facts.plan,
                interval=facts.interval,
                price_ref=facts.price_ref,
                start=facts.start or at,
                trial_end=trial_end or facts.trial_end,
                current_period_start=facts.current_period_start,
                current_period_end=facts.current_period_end,
            ),
            at,
            policy,
        )

    def cancel(self, at: datetime, policy: AccessPolicy) -> None:
        """End the subscription at this moment.

        Raises AlreadyCanceled, NoActiveSubscription or InvalidPeriod (before it started).
        """
        self.check_cancelable()
        if self.facts.start is not None and at <= self.facts.start:
            raise InvalidPeriod("a subscription must end after it started: choose a later end")
        self._take_over(replace(self.facts, status=self._next(Action.CANCEL), end=at), at, policy)

    def check_cancelable(self) -> None:
        """Raise AlreadyCanceled or NoActiveSubscription where a user may not cancel this."""
        if self.has_ended:
            raise AlreadyCanceled(
                f"subscription {self.id} is already canceled: there is nothing left to cancel"
            )
        try:
            self._next(Action.CANCEL)
        except TransitionRefused:
            raise NoActiveSubscription(
                f"subscription {self.id} is {self.status}: only a running one can be canceled"
            ) from None

    def check_schedulable(self) -> None:
        """Raise what `check_cancelable` does, and AlreadyCanceled where an end is scheduled."""
        self.check_cancelable()
        if self.facts.cancel_at is not None:
            raise AlreadyCanceled(
                "its cancellation is already scheduled: resume it, or cancel it immediately"
            )

    def check_resumable(self) -> None:
        """Raise NothingToResume where no cancellation is scheduled."""
        if self.has_ended:
            raise NothingToResume("it has ended and cannot be resumed: subscribe anew")
        if self.facts.cancel_at is None:
            raise NothingToResume("no cancellation is scheduled: there is nothing to take back")

    def check_plan_changeable(self) -> None:
        """Raise PlanNotChangeable where the plan cannot be changed now."""
        if self.has_ended:
            raise PlanNotChangeable("it has ended: subscribe anew to the plan you want")
        if self.status == Status.INCOMPLETE:
            raise PlanNotChangeable(
                "it was begun and not confirmed: buy the plan you want, which closes this one"
            )
        if self.status == Status.PAUSED:
            raise PlanNotChangeable("it is paused: cancel it immediately, then subscribe anew")
        if self.status not in (Status.TRIALING, Status.ACTIVE):
            raise PlanNotChangeable(
                f"it is {self.status}: settle what is owed in the portal, then change the plan"
            )
        if self.facts.cancel_at is not None:
            raise PlanNotChangeable("its end is scheduled: resume it first, then change the plan")

    # What the provider reports

    def freshness(self, seen: Snapshot, as_of: datetime) -> Freshness:
        """Whether a snapshot with this watermark says anything new.

        An end outranks every time stamp, because nothing comes after it. Two different
        snapshots with one watermark are a tie that only the provider can settle.
        """
        if self.as_of is None:
            return Freshness.NEWER
        theirs, ours = (seen.has_ended, as_of), (self.has_ended, self.as_of)
        if theirs != ours:
            return Freshness.NEWER if theirs > ours else Freshness.STALE
        return Freshness.STALE if seen == self.facts else Freshness.TIE

    def observe(self, seen: Snapshot, as_of: datetime, policy: AccessPolicy) -> None:
        """Believe a snapshot with this watermark. Raises TransitionRefused after the end."""
        self._refuse_revival(seen.status)
        self._take_over(seen, as_of.replace(microsecond=0), policy)
        self.as_of = as_of

    def update_status(self, status: str, at: datetime, policy: AccessPolicy) -> None:
        """Believe that the status is now this one. Raises TransitionRefused after the end."""
        self._refuse_revival(status)
        end = (self.facts.end or at) if status in ENDED else self.facts.end
        self._take_over(replace(self.facts, status=status, end=end), at, policy)

    # What is said about it besides its changes. The caller asks `may_be_spoken_of` first.

    def announce_trial_ending(
        self, trial_end: datetime | None, at: datetime, policy: AccessPolicy
    ) -> None:
        """Say that the trial is about to end."""
        until = self.access_until(at, policy)
        self._say(at, events.SubscriptionTrialEnding(self.user_id, trial_end, until))

    def announce_payment(
        self, event: events.PaymentSucceeded | events.PaymentFailed, at: datetime
    ) -> None:
        """Say that an invoice of this subscription was paid, or could not be."""
        self._say(at, event)

    def snapshot(self, at: datetime, policy: AccessPolicy) -> events.SubscriptionSnapshot:
        """What the messages said of it so far. It is not said itself: it takes no version.

        Where that was not kept, it is what they would have said at this moment.
        """
        if self.told is not None:
            return self.told
        if self.version == 0:
            return nothing_told(self.user_id)
        # Access that ended with the last change ended then, however much later it is asked.
        at = (self.as_of or at).replace(microsecond=0)
        facts = self.facts
        return events.SubscriptionSnapshot(
            user_id=self.user_id,
            status=facts.status,
            plan=facts.plan,
            interval=facts.interval,
            trial_end=facts.trial_end,
            cancel_at=facts.cancel_at,
            end=facts.end,
            access_until=self.access_until(at, policy),
        )

    def skip_versions(self, count: int) -> None:
        """Never use the next so many numbers: they may be those of messages unknown here."""
        self.version += count

    def pull_occurrences(self) -> list[events.Occurrence]:
        """Everything said since the last call, in order; the list is emptied."""
        said, self._said = self._said, []
        return said

    def _take_over(self, seen: Snapshot, at: datetime, policy: AccessPolicy) -> None:
        if self.version > 0:  # before the facts change without a word
            self.told = self.snapshot(at, policy)
        old, self.facts = self.facts, seen
        if old.has_ended:
            return  # a later word about the end corrects the record; the end was told already
        if seen.has_ended:
            self._say_status_change(old.status, at, policy)
            end = seen.end or at
            self._say(at, events.SubscriptionCanceled(self.user_id, end, access_until=end))
        elif self.activated:
            if seen.status != old.status:
                self._say_status_change(old.status, at, policy)
            self._say_plan_change(old, at, policy)
            self._say_schedule_change(old.cancel_at, at, policy)
        elif self.has_active_subscription(at, policy):
            self.activated = True
            until = self.access_until(at, policy)
            self._say(
                at,
                events.SubscriptionActivated(
                    self.user_id, seen.status, seen.plan, seen.interval, seen.trial_end, until
                ),
            )
            self._say_schedule_change(None, at, policy)

    def _say_status_change(self, old_status: str, at: datetime, policy: AccessPolicy) -> None:
        until = self.access_until(at, policy)
        self._say(
            at, events.SubscriptionStatusChanged(self.user_id, old_status, self.status, until)
        )

    def _say_plan_change(self, old: Snapshot, at: datetime, policy: AccessPolicy) -> None:
        new = self.facts
        if (old.plan, old.interval) == (new.plan, new.interval):
            return
        until = self.access_until(at, policy)
        self._say(
            at,
            events.SubscriptionPlanChanged(
                self.user_id, old.plan, old.interval, new.plan, new.interval, until
            ),
        )

    def _say_schedule_change(
        self, old: datetime | None, at: datetime, policy: AccessPolicy
    ) -> None:
        new = self.facts.cancel_at
        if new == old:
            return
        if new is None:
            until = self.access_until(at, policy)
            self._say(at, events.SubscriptionCancellationWithdrawn(self.user_id, until))
        else:
            until = self.access_until(at, policy) or new
            self._say(at, events.SubscriptionCancellationScheduled(self.user_id, new, until))

    def _say(self, at: datetime, event: events.Event) -> None:
        if self.version == 0:
            self.told = nothing_told(self.user_id)
        if self.told is not None:
            self.told = told_after(self.told, event)
        self.version += 1
        self._said.append(events.Occurrence(self.version, at, event))

    def _next(self, action: Action) -> Status:
        row = TRANSITIONS.get(self.status, UNKNOWN_STATUS_TRANSITIONS)
        if action not in row:
            raise TransitionRefused(
                f"subscription {self.id} is {self.status}, from which '{action}' leads nowhere"
            )
        return row[action]

    def _refuse_revival(self, status: str) -> None:
        if self.has_ended and status not in ENDED:
            raise TransitionRefused(
                f"subscription {self.id} is {self.status} and cannot become {status}: "
                "what has ended stays ended, a new subscription is needed"
            )

    def _grace_end(self, policy: AccessPolicy) -> datetime | None:
        start = self.facts.current_period_start
        return None if start is None else start + policy.past_due_grace
