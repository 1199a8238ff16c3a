"""The users service: an example of a consumer that repeats do not mislead, nor gaps."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import pytest

from ports.event_publisher import Delivery
from ports.outbox import Message
from sandbox.in_process_bus import InProcessBus
from sandbox.users_service import (
    EXCHANGE,
    Consumer,
    DeadLetter,
    GapError,
    MalformedError,
    News,
    Records,
    SubscriptionView,
    UsersService,
    UsersView,
)

USER, NOW = "u1", "2026-06-01T00:00:00Z"
ACTIVATED = "payments.subscription.activated.v1"
CHANGED = "payments.subscription.status_changed.v1"
PLAN = "payments.subscription.plan_changed.v1"


def message(kind: str, version: int, subscription: str = "s1", **data: Any) -> dict[str, Any]:
    given = {"userId": USER, "subscriptionId": subscription, "accessUntil": None, **data}
    return {"type": kind, "sequence": str(version), "data": given}


def activated(version: int = 1, subscription: str = "s1") -> dict[str, Any]:
    return message(
        ACTIVATED, version, subscription, status="trialing", plan="general", interval="month"
    )


def changed(version: int, status: str, subscription: str = "s1", **data: Any) -> dict[str, Any]:
    return message(CHANGED, version, subscription, newStatus=status, **data)


def test_it_keeps_what_the_messages_say() -> None:
    view = UsersView()
    assert view.apply(activated())
    assert view.apply(changed(2, "active"))
    assert view.apply(message(PLAN, 3, newPlan="event_organizer", newInterval="year"))
    assert view.apply(message("payments.payment.succeeded.v1", 4))
    assert view.users[USER]["s1"] == SubscriptionView(4, "active", "event_organizer", "year", None)


def test_a_repeat_changes_nothing() -> None:
    view = UsersView()
    for told in (activated(), changed(2, "active")):
        view.apply(told)
    assert not view.apply(activated())
    assert not view.apply(changed(2, "canceled"))
    assert view.status_of("s1") == "active"
    assert view.repeats == 2


def test_a_gap_is_refused_and_changes_nothing() -> None:
    view = UsersView()
    view.apply(activated())
    with pytest.raises(GapError, match="version 3 came after 1"):
        view.apply(changed(3, "canceled"))
    assert view.users[USER]["s1"].version == 1
    assert view.status_of("s1") == "trialing"
    assert view.apply(changed(2, "active"))


def test_a_gap_at_the_beginning_leaves_no_trace() -> None:
    view = UsersView()
    with pytest.raises(GapError, match="version 2 came after 0"):
        view.apply(changed(2, "active"))
    assert view.users == {}


MALFORMED = [
    b"\xff",
    b"no json",
    b"[]",
    b"{}",
    b"[" * 100_000,
    json.dumps(activated() | {"sequence": "one"}).encode(),
    json.dumps(activated() | {"data": None}).encode(),
    json.dumps(message(ACTIVATED, 1, status=[], plan="general", interval="month")).encode(),
    json.dumps(message(ACTIVATED, 1, status="trialing", plan="general")).encode(),
    json.dumps(message(ACTIVATED, 1, ["s1"])).encode(),  # type: ignore[arg-type]  # the point
    json.dumps(message("payments.payment.succeeded.v1", 1, userId=None)).encode(),
]


@pytest.mark.parametrize("body", MALFORMED)
async def test_what_is_no_message_is_refused_and_changes_nothing(body: bytes) -> None:
    users = UsersService(lambda _: None)
    with pytest.raises(MalformedError, match="no message of Payments"):
        await users.take(body)
    assert users.view.users == {}
    assert len(users.dead_letters) == 1


async def test_on_the_bus_what_is_refused_stops_nobody(tmp_path: Path) -> None:
    """It becomes a dead letter, which is there after a restart, too; whatever follows arrives."""
    records = Records(tmp_path / "users.sqlite")
    users = UsersService(lambda _: None, records)
    given = [
        json.dumps(activated()).encode(),
        json.dumps(changed(3, "active")).encode(),
        b"no json",
        json.dumps(activated(subscription="s2")).encode(),
    ]
    sent = [Message(uuid4(), uuid4(), "sub_1", 1, ACTIVATED, body, True) for body in given]
    delivered = await InProcessBus(users).publish(sent)
    assert delivered == {message.id: Delivery.CONFIRMED for message in sent}
    assert set(users.view.users[USER]) == {"s1", "s2"}
    assert users.view.status_of("s1") == "trialing"
    records.close()
    records = Records(tmp_path / "users.sqlite")
    gap, malformed = UsersService(lambda _: None, records).dead_letters
    records.close()
    assert gap == DeadLetter("s1: version 3 came after 1", USER, "s1")
    assert malformed.reason.startswith("no message of Payments")


class FullDisk(Records):
    """Records that can write nothing the first time."""

    failures = 0

    def keep(self, news: News) -> None:
        """Fail once."""
        if not self.failures:
            self.failures += 1
            raise sqlite3.OperationalError("database or disk is full")
        super().keep(news)


async def test_on_the_bus_what_cannot_be_kept_is_not_confirmed_and_comes_again(
    tmp_path: Path,
) -> None:
    """What follows it does not overtake it, and nothing is believed that is not on disk."""
    records = FullDisk(tmp_path / "users.sqlite")
    users = UsersService(lambda _: None, records)
    bus = InProcessBus(users)
    first, second = (
        Message(uuid4(), uuid4(), "sub_1", version, ACTIVATED, json.dumps(told).encode(), True)
        for version, told in ((1, activated()), (2, changed(2, "active")))
    )
    assert await bus.publish([first, second]) == {first.id: Delivery.REFUSED}
    assert users.view.users == records.load().users == {}
    assert set((await bus.publish([first, second])).values()) == {Delivery.CONFIRMED}
    assert users.view.users == records.load().users
    assert (users.view.status_of("s1"), users.dead_letters) == ("active", [])
    records.close()


async def test_what_cannot_be_kept_is_no_dead_letter_and_nothing_overtakes_it(
    rabbitmq_url: str, unique_name: str, tmp_path: Path
) -> None:
    records = FullDisk(tmp_path / "users.sqlite")
    users = UsersService(lambda _: None, records)
    async with (
        await aio_pika.connect(rabbitmq_url) as connection,
        Consumer(rabbitmq_url, users, queue=unique_name, temporary=True),
    ):
        exchange = await (await connection.channel()).get_exchange(EXCHANGE)
        for told in (activated(), changed(2, "active"), changed(3, "past_due")):
            body = json.dumps(told).encode()
            await exchange.publish(aio_pika.Message(body), routing_key=CHANGED)
        await users.until(lambda view: view.status_of("s1") == "past_due", 30)
    assert records.failures == 1
    assert users.dead_letters == []
    assert users.view.users == records.load().users
    records.close()


def test_the_late_end_of_an_old_subscription_does_not_revoke_the_new_one() -> None:
    view = UsersView()
    view.apply(activated(subscription="new"))
    view.apply(activated(subscription="old"))
    view.apply(changed(2, "canceled", "old", accessUntil=NOW))
    assert view.has_access(USER, NOW)
    view.apply(changed(2, "past_due", "new", accessUntil=NOW))
    assert not view.has_access(USER, NOW)


def test_moments_are_compared_as_times_and_not_as_texts() -> None:
    view = UsersView()
    view.apply(activated())
    view.apply(changed(2, "past_due", accessUntil="2026-03-01T00:00:00Z"))
    assert not view.has_access(USER, "2026-03-01T00:00:00.5Z")
    assert view.has_access(USER, "2026-03-01T00:30:00+01:00")


async def test_what_it_believes_is_there_again_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "users.sqlite"
    records = Records(file)
    users = UsersService(lambda _: None, records)
    for told in (activated(), changed(2, "active", accessUntil=NOW)):
        await users.take(json.dumps(told).encode())
    records.close()
    records = Records(file)
    again = UsersService(lambda _: None, records)
    records.close()
    assert again.view.users == users.view.users
    assert not again.view.apply(changed(2, "active"))


async def test_what_it_refuses_waits_in_a_dead_letter_queue(
    rabbitmq_url: str, unique_name: str
) -> None:
    users = UsersService(lambda _: None)
    connection = await aio_pika.connect(rabbitmq_url)
    async with connection:
        channel = await connection.channel()
        async with Consumer(rabbitmq_url, users, queue=unique_name, temporary=True):
            exchange = await channel.get_exchange(EXCHANGE)
            dead = await channel.get_queue(f"{unique_name}.dead")
            refusable = json.dumps(changed(3, "canceled")).encode()
            taken = [json.dumps(told).encode() for told in (activated(), changed(2, "active"))]
            for body in (taken[0], refusable, b"no json", taken[1]):
                await exchange.publish(aio_pika.Message(body), routing_key=CHANGED)
            await users.until(lambda view: view.status_of("s1") == "active", 10)
            async with asyncio.timeout(10), dead.iterator() as dead_letters:
                for expected in (refusable, b"no json"):
                    refused = await anext(dead_letters)
                    assert refused.body == expected
                    await refused.ack()
            assert len(users.dead_letters) == 2
            dead_lettered = {
                "x-dead-letter-exchange": f"{unique_name}.dead",
                "x-single-active-consumer": True,
            }
            a_day = {"x-expires": 24 * 60 * 60 * 1000}
            assert await _is_quorum(rabbitmq_url, unique_name, dead_lettered | a_day)
            assert await _is_quorum(rabbitmq_url, f"{unique_name}.dead", a_day)
        for name in (unique_name, f"{unique_name}.dead"):
            channel = await connection.channel()
            with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
                await channel.declare_queue(name, passive=True)


async def _is_quorum(url: str, queue: str, arguments: dict[str, Any]) -> bool:
    """Whether declaring it as anything else is refused for that reason."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        with pytest.raises(aio_pika.exceptions.ChannelPreconditionFailed) as refused:
            await channel.declare_queue(
                queue, durable=True, arguments={"x-queue-type": "classic", **arguments}
            )
        return "current is 'quorum'" in str(refused.value)
