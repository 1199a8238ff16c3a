"""Webhooks that were written down are worked off: claimed, translated, applied, settled.

One batch is one transaction: the changed subscriptions, the messages that tell of it and the
marks on the webhooks are written together or not at all. Only the holder of a partition's lease
can commit, so the webhooks of one subscription are applied one at a time, however many workers
run and wherever one of them dies or stalls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Final, TypeVar
from uuid import UUID

import structlog
from opentelemetry.trace import SpanKind

from domain.commands import Command
from domain.errors import (
    CustomerAlreadyLinked,
    OwnershipConflict,
    OwnerUnknown,
    TransitionRefused,
)
from domain.subscription import AccessPolicy
from ports.duplicates import Duplicate
from ports.inbox import ClaimedWebhook, Dead, Outcome, Postponed, Processed, Verdict
from ports.metrics import Metrics
from ports.partitions import HeldPartitions, LeaseLost
from ports.payment_provider import ProviderUnavailable
from ports.unit_of_work import StorageUnavailable, UnitOfWork
from ports.wakeups import Stage, Wakeups
from ports.webhooks import Unhandled, UnreadableWebhook, WebhookReader
from service import message_bus
from service.outcomes import Held
from service.processing_report import ProcessingReport
from service.provider_lookups import ProviderLookups
from service.redaction import redacted
from service.retry import RetryPolicy
from service.tracing import UNTRACED, TracedStep, Traces
from service.uncounted import UNCOUNTED
from service.whose_is_it import PATIENCE_FOR_AN_EMAIL
from service.working_set import Change, Lookup, LookupNeeded, WorkingSet, user_key

log = structlog.get_logger(__name__)

# What waits for another webhook: Stripe redelivers for three days (Stripe: Webhooks / retries),
# so after four the missing one will not come by itself.
PATIENCE: Final = timedelta(days=4)
# A notice that waits is woken by what it waits for; looking at it once a day is a safety net.
HELD_RECHECK: Final = timedelta(days=1)
# Seconds, as an exponent of the backoff, until a crowd of lookups is likely to be answered.
CROWD_DISPERSES: Final = 4
# A full batch would keep everything else in this process waiting for a tenth of a second: after so
# many webhooks, requests get their turn.
_IN_A_ROW: Final = 50
# Errors are kept in a column of this many characters.
ERROR_LENGTH: Final = 2_000

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ProcessingRules:
    """How webhooks are worked off. `livemode` is the mode of the provider's key."""

    livemode: bool
    access: AccessPolicy = field(default_factory=AccessPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    batch_size: int = 500


@dataclass(frozen=True, slots=True)
class _WrongMode:
    """A webhook of the other mode than the service's."""


_Meaning = Command | Unhandled | UnreadableWebhook | _WrongMode


@dataclass(slots=True)
class _Step:
    """What one transaction came to."""

    verdicts: list[tuple[ClaimedWebhook, Verdict]] = field(default_factory=list)
    questions: dict[str, Lookup] = field(default_factory=dict)
    messages: int = 0
    duplicates: Sequence[Duplicate] = ()
    changes: list[tuple[ClaimedWebhook, Change]] = field(default_factory=list)
    traced: dict[UUID, TracedStep] = field(default_factory=dict)


class ProcessInbox:
    """Works off what is due in the partitions this worker holds."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        reader: WebhookReader,
        lookups: ProviderLookups,
        partitions: HeldPartitions,
        wakeups: Wakeups,
        rules: ProcessingRules,
        *,
        monotonic: Callable[[], float] = monotonic,
        metrics: Metrics = UNCOUNTED,
        traces: Traces = UNTRACED,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._reader = reader
        self._lookups = lookups
        self._partitions = partitions
        self._wakeups = wakeups
        self._monotonic = monotonic
        self._rules = rules
        self._traces = traces
        self._report = ProcessingReport(metrics)

    async def run_once(self) -> int:
        """Work off one batch; returns how many webhooks were looked at, 0 where none was due.

        Raises StorageUnavailable and LeaseLost: nothing was changed then, and it may be called
        again.
        """
        return await self._work_off(self._rules.batch_size)

    async def _work_off(self, limit: int) -> int:
        batch: Sequence[ClaimedWebhook] = ()
        began = self._monotonic()
        try:
            async with self._unit_of_work() as uow:
                batch = await self._claim(uow, limit)
                step = await self._work_on(batch, uow)
                await uow.commit()
        except (StorageUnavailable, LeaseLost):
            raise
        except Exception as error:
            # Something in the batch cannot be written. Halving finds it, so that it takes nobody
            # else down with it.
            log.exception("batch_failed", events=[webhook.event_id for webhook in batch])
            if not batch:
                raise
            if len(batch) > 1:
                half = len(batch) // 2
                return await self._work_off(half) + await self._work_off(len(batch) - half)
            step = await self._fail(batch[0], error)
        await self._conclude(step, timedelta(seconds=self._monotonic() - began))
        return len(batch)

    async def idle_time(self) -> timedelta | None:
        """How long until something is due; None where nothing waits."""
        async with self._unit_of_work() as uow:
            return await uow.inbox.next_due(
                self._partitions.held(), excluding=self._lookups.busy_keys
            )

    async def _claim(self, uow: UnitOfWork, limit: int) -> Sequence[ClaimedWebhook]:
        share = self._partitions.held()
        if not share.partitions:
            return ()
        return await uow.inbox.claim(
            share,
            limit=limit,
            excluding=self._lookups.busy_keys,
        )

    async def _work_on(self, batch: Sequence[ClaimedWebhook], uow: UnitOfWork) -> _Step:
        step = _Step()
        if not batch:
            return step
        meanings = [(webhook, self._translate(webhook)) async for webhook in _giving_way(batch)]
        work = await self._load(meanings, uow)
        async for webhook, meaning in _giving_way(meanings):
            if webhook.ordering_key in step.questions:
                continue  # waits behind the question, so that its subscription stays in order
            traced = self._traces.begin(
                "process webhook",
                webhook.traceparent,
                SpanKind.CONSUMER,
                event_id=webhook.event_id,
                event_type=webhook.event_type,
            )
            changes = len(work.changes)
            try:
                verdict = self._judge(webhook, meaning, work, traced)
                step.verdicts.append((webhook, verdict))
                step.changes += [(webhook, change) for change in work.changes[changes:]]
                if traced:
                    step.traced[webhook.id] = traced
            except LookupNeeded as needed:
                if self._lookups.has_room_for(len(step.questions) + 1):
                    step.questions[webhook.ordering_key] = needed.lookup
                else:
                    step.verdicts.append((webhook, self._crowded_out(webhook)))
        await work.flush(uow)
        if work.users_activated:
            step.duplicates = await uow.duplicates.mark(work.users_activated)
        await uow.inbox.settle([verdict for _, verdict in step.verdicts])
        if work.released:
            await uow.inbox.wake_waiting(work.released)
        step.messages = len(work.messages)
        return step

    def _translate(self, webhook: ClaimedWebhook) -> _Meaning:
        if webhook.livemode != self._rules.livemode:
            return _WrongMode()
        try:
            return self._reader.translate(webhook)
        except UnreadableWebhook as error:
            return error

    async def _load(
        self, meanings: Sequence[tuple[ClaimedWebhook, _Meaning]], uow: UnitOfWork
    ) -> WorkingSet:
        references = [
            message_bus.references(meaning)
            for _, meaning in meanings
            if not isinstance(meaning, Unhandled | UnreadableWebhook | _WrongMode)
        ]
        answers = [
            answer
            for key in {webhook.ordering_key for webhook, _ in meanings}
            for answer in self._lookups.answers_for(key).values()
        ]
        return await WorkingSet.load(uow, self._rules.access, references, answers)

    def _judge(
        self,
        webhook: ClaimedWebhook,
        meaning: _Meaning,
        work: WorkingSet,
        traced: TracedStep | None,
    ) -> Verdict:
        match meaning:
            case _WrongMode():
                mode = "live" if webhook.livemode else "test"
                return Processed(
                    webhook.id, Outcome.WRONG_MODE, f"a {mode} event, but the API key is not {mode}"
                )
            case Unhandled(note, foreign):
                outcome = Outcome.FOREIGN if foreign else Outcome.IGNORED
                return Processed(webhook.id, outcome, note)
            case UnreadableWebhook():
                return Dead(webhook.id, describe(meaning))
        answers = self._lookups.answers_for(webhook.ordering_key)
        traceparent = traced.traceparent if traced else webhook.traceparent
        work.turn_to(traceparent, webhook.attempts, answers)
        try:
            result = message_bus.handle(meaning, work)
        except LookupNeeded:
            raise
        except Exception as error:
            return self._failure(webhook, error)
        if isinstance(result, Held):
            if result.orphan and webhook.age >= PATIENCE:
                return Dead(webhook.id, f"{result.reason}: replay it once that has come")
            return Postponed(
                webhook.id,
                HELD_RECHECK,
                result.reason,
                failed=False,
                waits_for=result.subscription_ref,
            )
        return Processed(webhook.id, result.outcome, result.note)

    def _failure(self, webhook: ClaimedWebhook, error: Exception) -> Verdict:
        if isinstance(error, OwnershipConflict | TransitionRefused):
            return Dead(webhook.id, describe(error))  # no retry can change what they say
        if isinstance(error, ProviderUnavailable):
            return self._provider_is_away(webhook, error)
        attempts, waits_for = webhook.attempts + 1, _waits_for(error)
        if not self._rules.retry.gives_up(attempts):
            delay = self._rules.retry.delay(attempts)
        elif waits_for is not None and webhook.age < PATIENCE:
            delay = HELD_RECHECK
        else:
            return Dead(webhook.id, describe(error))
        return Postponed(webhook.id, delay, describe(error), waits_for=waits_for)

    def _provider_is_away(self, webhook: ClaimedWebhook, error: ProviderUnavailable) -> Verdict:
        """Nothing is wrong with the webhook itself, so it never dies of this.

        Only the tries that patience is measured by are counted, so that a long outage does not
        use up the retries of what may go wrong after it.
        """
        counted = webhook.attempts < PATIENCE_FOR_AN_EMAIL
        retry = self._rules.retry
        delay = retry.delay(webhook.attempts + 1) if counted else retry.delay_after(webhook.age)
        return Postponed(webhook.id, delay, describe(error), failed=counted)

    async def _fail(self, webhook: ClaimedWebhook, error: Exception) -> _Step:
        step = _Step([(webhook, self._failure(webhook, error))])
        async with self._unit_of_work() as uow:
            # Claiming again holds the leases: a worker that was replaced must not fail anything.
            if webhook.id not in {claimed.id for claimed in await self._claim(uow, limit=1)}:
                return _Step()  # another one became due before it: its turn comes again
            await uow.inbox.settle([verdict for _, verdict in step.verdicts])
            await uow.commit()
        return step

    def _crowded_out(self, webhook: ClaimedWebhook) -> Verdict:
        delay = self._rules.retry.delay(CROWD_DISPERSES)
        return Postponed(webhook.id, delay, "too many lookups wait for an answer", failed=False)

    async def _conclude(self, step: _Step, took: timedelta) -> None:
        self._lookups.forget(
            {webhook.ordering_key for webhook, _ in step.verdicts} - step.questions.keys()
        )
        for key, lookup in step.questions.items():
            self._lookups.ask(key, lookup)
        if step.messages:
            self._wakeups.wake(Stage.OUTBOX)
        async for webhook, verdict in _giving_way(step.verdicts):
            traced = step.traced.get(webhook.id)
            self._report.judged(webhook, verdict, webhook.age + took, traced)
        for webhook, change in step.changes:
            self._report.changed(webhook, change)
        for duplicate in step.duplicates:
            log.error(
                "duplicate_subscription",
                subscription_id=str(duplicate.subscription_id),
                user_id=str(duplicate.user_id),
                hint="the user pays for several subscriptions: cancel and refund all but one",
            )


async def _giving_way(items: Sequence[Item]) -> AsyncIterator[Item]:
    """These, and in between a turn for whatever else this process does."""
    for number, item in enumerate(items):
        if number % _IN_A_ROW == _IN_A_ROW - 1:
            await asyncio.sleep(0)
        yield item


def _waits_for(error: Exception) -> str | None:
    """What would make the next try of this succeed."""
    match error:
        case OwnerUnknown(customer_ref=str(customer_ref)):
            return customer_ref
        case CustomerAlreadyLinked(user_id=UUID() as user_id):
            return user_key(user_id)
        case _:
            return None


def describe(error: BaseException) -> str:
    """An error as it is kept: its kind and its words, redacted and of bounded length."""
    # Cut twice: what is redacted may be long, and may have become longer.
    said = f"{type(error).__name__}: {error}"[: 2 * ERROR_LENGTH]
    return redacted(said)[:ERROR_LENGTH]
