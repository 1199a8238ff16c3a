"""What was received can be looked at, and what did not come to a good end can be tried again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from ports.inbox import KeptWebhook, Outcome, State, WebhookQuery
from ports.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

# What was applied would at best be stale, and a trial's ending would be told a second time.
REPLAYABLE: Final = frozenset(
    {
        State.DEAD,
        State.RETRYING,
        State.HELD,
        Outcome.IGNORED,
        Outcome.FOREIGN,
        Outcome.WRONG_MODE,
    }
)
# What somebody has decided not to try again is only tried where it is named.
_NAMED: Final = REPLAYABLE | {Outcome.DISCARDED}


@dataclass(frozen=True, slots=True)
class Replay:
    """What would be, or was, replayed, and what cannot be."""

    replayed: Sequence[KeptWebhook]
    refused: Mapping[str, str]


class ReplayWebhooks:
    """An operator's view of the inbox."""

    def __init__(self, unit_of_work: Callable[[], UnitOfWork]) -> None:
        self._unit_of_work = unit_of_work

    async def find(self, query: WebhookQuery) -> Sequence[KeptWebhook]:
        """The webhooks that fit, the newest first. Raises StorageUnavailable."""
        async with self._unit_of_work() as uow:
            return await uow.inbox.find(query)

    async def count(self, states: Collection[str] | None = None) -> Mapping[str, int]:
        """How many there are in each of these states, or in any. Raises StorageUnavailable."""
        async with self._unit_of_work() as uow:
            return await uow.inbox.count_by_state(states)

    async def discard(self, event_ids: Collection[str]) -> Collection[str]:
        """Be done with those of these that were given up: nobody is told of them any more, and
        they are erased like all that is done with. Returns their ids. Raises StorageUnavailable.
        """
        async with self._unit_of_work() as uow:
            discarded = await uow.inbox.discard(event_ids)
            await uow.commit()
        if discarded:
            log.warning("webhooks_discarded", event_ids=sorted(discarded))
        return discarded

    async def __call__(self, query: WebhookQuery, *, dry_run: bool = False) -> Replay:
        """Make due again what fits the query; with `dry_run` only say what that is.

        Where it names neither events nor states, only what can be replayed is looked for: its limit
        is not spent on the many that were applied. Raises StorageUnavailable.
        """
        if query.event_ids is None and query.states is None:
            query = replace(query, states=REPLAYABLE)
        async with self._unit_of_work() as uow:
            found = await uow.inbox.find(query)
            refused = dict.fromkeys(
                set(query.event_ids or ()) - {kept.event_id for kept in found}, "was never received"
            )
            replayed = []
            for kept in found:
                if kept.payload is None:
                    refused[kept.event_id] = (
                        "its payload was erased: payments reconcile mends what it changed"
                    )
                elif kept.state not in _NAMED:
                    refused[kept.event_id] = f"is {kept.state}: there is nothing to repeat"
                else:
                    replayed.append(kept)
            if replayed and not dry_run:
                done = await uow.inbox.replay([kept.event_id for kept in replayed], states=_NAMED)
                await uow.commit()
                refused |= {
                    kept.event_id: "was worked on meanwhile: look at it again"
                    for kept in replayed
                    if kept.event_id not in done
                }
                replayed = [kept for kept in replayed if kept.event_id in done]
                log.warning("webhooks_replayed", event_ids=[kept.event_id for kept in replayed])
        return Replay(replayed, refused)
