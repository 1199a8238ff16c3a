"""Many subscribers at once, and a Stripe that repeats, delays and reorders its webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from sandbox.scenarios.buyer import FAILING, GOOD, Buyer
from sandbox.scenarios.stage import Stage
from sandbox.stripe.outbox import Mischief

SUBSCRIBERS: Final = 1000

# At once. All live in one process, where more would only wait for each other.
_BROWSERS: Final = 8
_DELIVERIES: Final = 8
_HOUR: Final = 60 * 60
# Some events come twice and some come late, by more than what lies between a renewal and its
# payment, so that they overtake each other.
_MISCHIEF: Final = Mischief(duplicate=0.3, delay=0.3, delay_seconds=3 * _HOUR)
_OFFERS: Final = ("general_monthly", "event_organizer_monthly", "general_annual")


async def storm(
    stage: Stage,
    *,
    subscribers: int = SUBSCRIBERS,
    midway: Callable[[Stage], Awaitable[None]] | None = None,
) -> None:
    """Everybody buys, a fifth cancels, a seventh does not pay. Raises Failed.

    `midway` is called when all have a trial, some have canceled it, and what tells of that is still
    held back: the place for a consumer that comes late. It comes as soon as that returns.
    """
    stage.timeline.details = False
    outbox = stage.platform.stripe.outbox
    outbox.concurrency = _DELIVERIES
    outbox.mischief = _MISCHIEF
    outbox.hold()
    stage.timeline.tell("users", f"{subscribers} subscribe")
    buyers = [await stage.buyer() for _ in range(subscribers)]
    await _all(_subscribe(buyer, number) for number, buyer in enumerate(buyers))
    stage.timeline.tell("webhook", "all that were held back come, in any order, many twice")
    outbox.release("shuffled")
    await stage.let_pass(hours=4)
    await _all(buyer.becomes("trialing", access=True) for buyer in buyers)
    leaving = buyers[::5]
    outbox.hold()
    stage.timeline.tell("users", f"{len(leaving)} cancel at the end of their trial")
    await _all(_cancel(buyer) for buyer in leaving)
    if midway is not None:
        await midway(stage)
    outbox.release("shuffled")
    await stage.let_pass(days=181)
    await stage.let_pass(days=31)
    await stage.let_pass(hours=4)  # for what is late
    stage.timeline.tell(
        "webhook",
        f"{len(outbox.deliveries)} were delivered, of {_events(stage)} events",
        deliveries=len(outbox.deliveries),
        events=_events(stage),
    )
    await _all(buyer.becomes("canceled", access=False) for buyer in leaving)


async def _subscribe(buyer: Buyer, number: int) -> None:
    card = FAILING if number % 7 == 1 else GOOD
    await buyer.subscribe(_OFFERS[number % len(_OFFERS)], card)


async def _cancel(buyer: Buyer) -> None:
    shown = await buyer.call("GET", "subscription")
    await buyer.call("DELETE", f"subscriptions/{shown['id']}")


async def _all(doing: Iterable[Awaitable[object]]) -> None:
    """Do all of this, a few at a time."""
    gate = asyncio.Semaphore(_BROWSERS)

    async def one(work: Awaitable[object]) -> None:
        async with gate:
            await work

    await asyncio.gather(*(one(work) for work in doing))


def _events(stage: Stage) -> int:
    return len({delivery.event for delivery in stage.platform.stripe.outbox.deliveries})
