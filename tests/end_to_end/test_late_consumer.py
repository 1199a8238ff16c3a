"""A consumer that starts late, lost its state or lost a message arrives at the same view."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from itertools import cycle
from pathlib import Path
from uuid import uuid4

import aio_pika
import pytest

from domain.subscription import subscription_id
from sandbox.users_service import Consumer, GapError, UsersService, UsersView
from tests.end_to_end.consumer import PATIENCE, Inbox, consuming
from tests.end_to_end.processes import run, running
from tests.end_to_end.service import all_published, deliver, life
from tests.stripe_payloads import Payload, Shape
from tests.stripe_stand_in import StripeStandIn

SUBSCRIPTIONS = 150


def storm(stripe: StripeStandIn, chance: random.Random) -> list[Payload]:
    """Histories of many users, each told up to another point, shuffled, a third told twice."""
    shapes: cycle[Shape] = cycle(("new", "old"))
    events = []
    for number, shape in zip(range(SUBSCRIPTIONS), shapes, strict=False):
        told = life(f"sub_storm_{number}", uuid4(), stripe, shape)
        # Not up to the late payment: one that is first heard of after its grace is not told of.
        steps = (1, 2, 4, 5)[number % 4]
        events += told[:steps] + (told[5:] if number % 3 else [])
    events += chance.sample(events, len(events) // 3)
    chance.shuffle(events)
    return events


def view_of(inbox: Inbox) -> tuple[UsersView, int]:
    """What a consumer makes of what arrived, and how much it had to drop for a gap before it."""
    view, dropped = UsersView(), 0
    for message in inbox.messages:
        try:
            view.apply(json.loads(message.body))
        except GapError:
            dropped += 1
    return view, dropped


async def arrived(ids: set[str], inbox: Inbox) -> None:
    """Return once what arrived last is one of these."""
    await inbox.until(lambda: bool(inbox.messages) and inbox.messages[-1].message_id in ids)


async def test_a_consumer_that_joins_in_the_middle_of_a_storm_arrives_at_the_same_view(
    environment: dict[str, str],
    stripe: StripeStandIn,
    inbox: Inbox,
    unique_name: str,
    tmp_path: Path,
) -> None:
    events = storm(stripe, random.Random(20261123))  # noqa: S311 - an order, not a secret
    half = len(events) // 2
    async with running("serve", environment, tmp_path) as service:
        await deliver(service.address, events[:half])
        async with consuming(environment["RABBITMQ_URL"], f"{unique_name}-late") as late:
            quarter = half + half // 2
            await deliver(service.address, events[half:quarter])
            # Changes go on while snapshots are written.
            _, (status, said) = await asyncio.gather(
                deliver(service.address, events[quarter:]), run(environment, "republish")
            )
            assert status == 0, said
            await all_published(environment["DATABASE_URL"])
            # What is published last is also what arrives last.
            await deliver(service.address, life("sub_last", uuid4(), stripe)[:1])
            last = await all_published(environment["DATABASE_URL"], "sub_last")
            await arrived(last, inbox)
            await arrived(last, late)
            all_along, dropped = view_of(inbox)
            joined_late, dropped_late = view_of(late)

    assert dropped == 0
    assert dropped_late > 0, "it has to have come in the middle of some subscription's messages"
    assert joined_late.users == all_along.users
    statuses = [one.status for of in all_along.users.values() for one in of.values()]
    assert len(statuses) == SUBSCRIPTIONS + 1
    assert set(statuses) == {"trialing", "active", "canceled"}


class Forgetful(UsersService):
    """Loses the next message after it has taken it from the queue, where it is told to."""

    loses_next = False

    def __init__(self) -> None:
        super().__init__(lambda message: None)
        self.has_lost = asyncio.Event()

    async def take(self, body: bytes) -> None:
        if self.loses_next:
            self.loses_next = False
            self.has_lost.set()
        else:
            await super().take(body)


@pytest.fixture
async def queue(rabbitmq_url: str, unique_name: str) -> AsyncIterator[str]:
    """Give the name of a queue for the users service, which is removed with what belongs to it."""
    yield unique_name
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        for name in (unique_name, f"{unique_name}.dead"):
            await channel.queue_delete(name)
        await channel.exchange_delete(f"{unique_name}.dead")


async def test_lost_state_and_lost_messages_are_healed_by_snapshots(
    environment: dict[str, str], stripe: StripeStandIn, queue: str, tmp_path: Path
) -> None:
    lives = [life(f"sub_{queue}_{number}", uuid4(), stripe) for number in range(5)]
    ids = [str(subscription_id(one[0]["data"]["object"]["id"])) for one in lives]

    def statuses(view: UsersView) -> list[str]:
        return [view.status_of(id_) for id_ in ids]

    async def published_to(users: UsersService, expected: list[str]) -> None:
        await users.until(lambda view: statuses(view) == expected, PATIENCE)

    async with running("serve", environment, tmp_path) as service:
        first = Forgetful()
        async with Consumer(environment["RABBITMQ_URL"], first, queue=queue):
            await deliver(service.address, [one[0] for one in lives])
            await published_to(first, ["trialing"] * 5)

            # One change is lost on the consumer's side: it learns nothing more of that one.
            first.loses_next = True
            await deliver(service.address, [lives[2][1]])
            async with asyncio.timeout(PATIENCE):
                await first.has_lost.wait()
            await deliver(service.address, [one[2] for one in lives])
            await published_to(first, ["past_due", "past_due", "trialing", "past_due", "past_due"])
            status, said = await run(environment, "republish", "--subscription", ids[2])
            assert (status, said) == (0, "1 snapshots will be published by the worker\n")
            await published_to(first, ["past_due"] * 5)

        # Another instance begins with nothing, and hears on with the next change.
        second = UsersService(lambda message: None)
        async with Consumer(environment["RABBITMQ_URL"], second, queue=queue):
            status, said = await run(environment, "republish")
            assert (status, said.splitlines()[0].split()[0]) == (0, "5")
            await published_to(second, ["past_due"] * 5)
            assert second.view.users == first.view.users
            await deliver(service.address, [one[4] for one in lives])
            await published_to(second, ["canceled"] * 5)
