"""What the provider has on record is compared with what we have, and differences are mended.

Both kinds go the way of a webhook, through the inbox: events that never arrived as they are, and
subscriptions that differ as a report of their present state, dated so that it is never taken
for newer than what is still to be heard of. So the rules of order and staleness hold here, too,
and doing it twice changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from domain.plans import Plan
from domain.subscription import Snapshot, Subscription
from ports.clock import Clock
from ports.inbox import Intake, ReceivedWebhook, WebhookQuery
from ports.provider_records import ProviderRecords
from ports.purchases import ProviderSubscription, Purchases
from ports.unit_of_work import UnitOfWork
from service.housekeeping import Progress
from service.learn_prices import LearnPrices
from service.tracing import continue_trace

log = structlog.get_logger(__name__)

# What happened just now is still on its way.
ON_ITS_WAY: Final = timedelta(minutes=1)
# Events are taken in the oldest first, though they are listed the newest first: within this span,
# and as long as no more than so many are missing.
_SPAN: Final = timedelta(days=1)
_MOST_HELD: Final = 1_000
# Written down together, in one commit.
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An event that never arrived."""

    event_id: str
    event_type: str
    ordering_key: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Drifted:
    """A subscription that is not as the provider has it.

    `differences` holds our value and theirs for each field; None where we have no row at all.
    `mendable` is false where it ended here and runs there: what has ended stays ended.
    """

    subscription_ref: str
    differences: Mapping[str, tuple[object, object]] | None
    mendable: bool = True


Finding = Undelivered | Drifted


@dataclass(slots=True)
class Reconciliation:
    """How many were looked at, and how many of them were amiss.

    `mended` counts the subscriptions whose report is in the inbox; with a dry run those of which
    one would be. `unmendable` ones have ended here.
    """

    events: int = 0
    undelivered: int = 0
    subscriptions: int = 0
    drifted: int = 0
    mended: int = 0
    unmendable: int = 0


class _Place(msgspec.Struct, frozen=True):
    """Where a run was cut off: both lists were looked through, one forwards to the first moment,
    the other backwards to the second.
    """

    events: datetime | None = None
    subscriptions: datetime | None = None


class Reconcile:
    """Compares with the provider and mends."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        records: ProviderRecords,
        purchases: Purchases,
        learn_prices: LearnPrices,
        intake: Intake,
        clock: Clock,
        *,
        lookback: timedelta,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._records = records
        self._purchases = purchases
        self._learn_prices = learn_prices
        self._intake = intake
        self._clock = clock
        self._lookback = lookback

    async def __call__(
        self,
        *,
        since: datetime | None = None,
        dry_run: bool = False,
        found: Callable[[Finding], None] | None = None,
        progress: Progress | None = None,
    ) -> Reconciliation:
        """Look through the events since then (by default through the usual days), then through
        all subscriptions. `found` is told of each finding; with `dry_run` nothing is mended.

        With `progress` it goes on where a run before it was cut off, so that the oldest are
        reached however many there are. Raises ProviderUnavailable, StorageUnavailable, Overloaded
        and TurnLost; what was mended until then stays mended.
        """
        tell, result = found or _log, Reconciliation()
        until = self._clock.now() - ON_ITS_WAY
        place = _read(progress)
        begin = since or place.events or until - self._lookback
        async for reached, missing in self._undelivered(begin, until, result):
            for webhook in missing:
                tell(_undelivered(webhook))
            if not dry_run:
                await self._take_in(missing)
            place = await _keep(progress, msgspec.structs.replace(place, events=reached))
        # Or a price that is not known yet would look like a change of plan.
        await self._learn_prices.run_once()
        async for page in self._records.subscriptions(place.subscriptions):
            result.subscriptions += len(page)
            for drift, as_of in await self._drifted(page):
                result.drifted += 1
                result.unmendable += not drift.mendable
                tell(drift)
                if drift.mendable:
                    result.mended += dry_run or await self._mend(drift.subscription_ref, as_of)
            if page and page[-1].created_at is not None:
                place = await _keep(
                    progress, msgspec.structs.replace(place, subscriptions=page[-1].created_at)
                )
        if progress is not None:
            await progress.keep(None)
        log.info(
            "reconciled",
            dry_run=dry_run,
            events=result.events,
            undelivered=result.undelivered,
            subscriptions=result.subscriptions,
            drifted=result.drifted,
            mended=result.mended,
        )
        return result

    async def _undelivered(
        self, since: datetime, until: datetime, result: Reconciliation
    ) -> AsyncIterator[tuple[datetime, Sequence[ReceivedWebhook]]]:
        """What is missing here, the oldest first, a little at a time; each with the moment up to
        which everything was looked at then.
        """
        while since < until:
            end = min(since + _SPAN, until)
            held: list[ReceivedWebhook] = []
            async for page in self._records.events(since, end):
                result.events += len(page)
                held += await self._missing(page)
                if len(held) >= _MOST_HELD:
                    result.undelivered += len(held)
                    yield since, held[::-1]
                    held = []
            result.undelivered += len(held)
            yield end, held[::-1]
            since = end

    async def _missing(self, page: Sequence[ReceivedWebhook]) -> list[ReceivedWebhook]:
        if not page:
            return []
        async with self._unit_of_work() as uow:
            kept = await uow.inbox.find(
                WebhookQuery(event_ids=[one.event_id for one in page], limit=len(page))
            )
        known = {one.event_id for one in kept}
        return [one for one in page if one.event_id not in known]

    async def _take_in(self, missing: Sequence[ReceivedWebhook]) -> None:
        # What is written in one commit has no order in it: one after the other for each key.
        chains: dict[str, deque[ReceivedWebhook]] = {}
        for one in missing:
            chains.setdefault(one.ordering_key, deque()).append(one)
        while chains:
            wave = [chain.popleft() for chain in chains.values()]
            for start in range(0, len(wave), _AT_ONCE):
                await asyncio.gather(
                    *(
                        self._intake.record(replace(one, traceparent=continue_trace(None)))
                        for one in wave[start : start + _AT_ONCE]
                    )
                )
            chains = {key: chain for key, chain in chains.items() if chain}

    async def _drifted(
        self, page: Sequence[ProviderSubscription]
    ) -> Sequence[tuple[Drifted, datetime | None]]:
        """What of this page is amiss, each with the watermark of what was applied last."""
        found = [
            (drift, ours.as_of if ours else None)
            for theirs, ours in await self._pair(page)
            if (drift := compare(ours, theirs)) is not None
        ]
        if not found:
            return []
        changing = await self._changing()
        return [one for one in found if one[0].subscription_ref not in changing]

    async def _changing(self) -> set[str]:
        """Whatever has just changed at the provider: that it differs here is no drift yet."""
        now = self._clock.now()
        return {
            event.ordering_key
            # The provider's clock may be ahead of ours.
            async for events in self._records.events(now - ON_ITS_WAY, now + ON_ITS_WAY)
            for event in events
        }

    async def _pair(
        self, page: Sequence[ProviderSubscription]
    ) -> Sequence[tuple[ProviderSubscription, Subscription | None]]:
        async with self._unit_of_work() as uow:
            known = await uow.subscriptions.find([one.subscription_ref for one in page])
        ours = {one.subscription_ref: one for one in known}
        return [(one, ours.get(one.subscription_ref)) for one in page]

    async def _mend(self, subscription_ref: str, as_of: datetime | None) -> bool:
        """Have what the subscription is now worked off; False where there is nothing to be done."""
        report = await self._purchases.report(subscription_ref, as_of)
        if report is None:
            return False  # gone since it was listed
        if await self._put_in(report):
            return True
        # The same was reported so long ago that its payload was erased.
        fresh = f"{report.event_id}:{self._clock.now():%Y%m%d}"
        return await self._put_in(replace(report, event_id=fresh))

    async def _put_in(self, report: ReceivedWebhook) -> bool:
        if await self._intake.record(replace(report, traceparent=continue_trace(None))):
            return True
        # The same was reported before, and yet the row differs: once more from the beginning.
        async with self._unit_of_work() as uow:
            replayed = await uow.inbox.replay([report.event_id])
            await uow.commit()
        return bool(replayed)


def _read(progress: Progress | None) -> _Place:
    if progress is None or progress.kept is None:
        return _Place()
    try:
        return msgspec.json.decode(progress.kept, type=_Place)
    except msgspec.MsgspecError:  # another release's: from the beginning
        return _Place()


async def _keep(progress: Progress | None, place: _Place) -> _Place:
    if progress is not None:
        await progress.keep(msgspec.json.encode(place).decode())
    return place


def compare(ours: Subscription | None, theirs: ProviderSubscription) -> Drifted | None:
    """What is amiss, or None: also where it is missing, but another product's."""
    if ours is None:
        is_ours = theirs.user_id is not None or theirs.snapshot.plan != Plan.UNKNOWN
        return Drifted(theirs.subscription_ref, None) if is_ours else None
    pairs = {
        field.name: (getattr(ours.facts, field.name), getattr(theirs.snapshot, field.name))
        for field in fields(Snapshot)
    }
    differences = {name: (one, other) for name, (one, other) in pairs.items() if one != other}
    if ours.facts.price_ref == theirs.snapshot.price_ref and theirs.snapshot.plan == Plan.UNKNOWN:
        # A price that was retired since: what it stood for was better known then.
        differences.pop("plan", None)
        differences.pop("interval", None)
    if not differences:
        return None
    mendable = theirs.snapshot.has_ended or not ours.has_ended
    return Drifted(theirs.subscription_ref, differences, mendable)


def _undelivered(webhook: ReceivedWebhook) -> Undelivered:
    return Undelivered(webhook.event_id, webhook.event_type, webhook.ordering_key, webhook.created)


def _log(finding: Finding) -> None:
    match finding:
        case Undelivered():
            log.warning(
                "webhook_undelivered", event_id=finding.event_id, event_type=finding.event_type
            )
        case Drifted():
            log.warning(
                "subscription_drifted",
                subscription_ref=finding.subscription_ref,
                fields=sorted(finding.differences) if finding.differences else "missing",
                mendable=finding.mendable,
            )
