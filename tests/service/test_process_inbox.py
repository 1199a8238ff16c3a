"""Webhooks are claimed, applied and settled; what fails is retried, held or given up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.memory.subscriptions import MemorySubscriptions
from domain.subscription import Subscription
from ports.payment_provider import ProviderCustomer
from ports.unit_of_work import ConcurrentChange, StorageUnavailable
from ports.wakeups import Stage
from service.process_inbox import HELD_RECHECK, PATIENCE
from service.retry import RetryPolicy
from tests.service.house import House, data
from tests.stripe_payloads import (
    DAY,
    START,
    USER,
    Payload,
    at,
    checkout_session,
    customer,
    deleted,
    event,
    invoice,
    price,
    subscription,
)

CREATED = "customer.subscription.created"
UPDATED = "customer.subscription.updated"
DELETED = "customer.subscription.deleted"


async def test_a_webhook_becomes_a_row_and_a_message() -> None:
    house = House()
    created = event(CREATED, subscription(status="trialing"))
    await house.run(created)
    (message,) = house.published()
    assert data(message)["status"] == "trialing"
    assert data(message)["email"] == "alice@example.com"
    assert house.row(created).processed
    assert house.store.tables.subscriptions["sub_1"].status == "trialing"
    assert house.store.tables.trials == {USER}


async def test_a_repeat_is_known_and_says_nothing_again() -> None:
    house = House()
    created = event(CREATED, subscription())
    first, second = await house.deliver(created, created)
    assert (first.duplicate, second.duplicate) == (False, True)
    await house.work()
    await house.publish()
    assert len(house.published()) == 1


async def test_a_snapshot_older_than_what_was_applied_is_stale() -> None:
    house = House()
    newer = event(UPDATED, subscription(status="past_due"), created=START + 20)
    older = event(UPDATED, subscription(status="active"), created=START + 10)
    await house.run(newer, older)
    assert house.outcomes([newer, older]) == ["applied", "stale"]
    assert house.store.tables.subscriptions["sub_1"].status == "past_due"


async def test_an_event_of_the_other_mode_is_not_acted_on() -> None:
    house = House(livemode=True)
    test_event = event(CREATED, subscription(), livemode=False)
    await house.run(test_event)
    assert house.outcomes([test_event]) == ["wrong_mode"]
    assert house.store.tables.subscriptions == {}


async def test_what_nobody_handles_is_recorded_and_ignored() -> None:
    house = House()
    strange = event("charge.refunded", {"id": "ch_1", "object": "charge"})
    await house.run(strange)
    assert house.outcomes([strange]) == ["ignored"]
    assert house.row(strange).processed


async def test_another_products_subscription_is_foreign() -> None:
    house = House()
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9", None, "x@example.com")
    foreign = event(CREATED, subscription(user_id=None, customer="cus_9", prices=[price(None)]))
    await house.run(foreign)
    assert house.outcomes([foreign]) == ["foreign"]
    assert house.store.tables.subscriptions == {}


async def test_our_price_without_a_user_is_retried_and_then_dead() -> None:
    house = House(retry=RetryPolicy(max_attempts=3))
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9")
    riddle = event(CREATED, subscription(user_id=None, customer="cus_9"))
    await house.deliver(riddle)
    for attempt in range(1, 8):
        await house.work()
        assert house.row(riddle).outcome is None, "Stripe may still send who it is"
        assert house.row(riddle).webhook.attempts >= min(attempt, 3)
        house.clock.advance(timedelta(hours=12))
    house.clock.advance(PATIENCE)
    await house.work()
    assert house.outcomes([riddle]) == ["dead"]
    assert "metadata.user_id" in (house.row(riddle).error or "")
    assert not house.row(riddle).processed


async def test_a_checkout_that_comes_later_solves_the_riddle_at_once() -> None:
    house = House(retry=RetryPolicy(max_attempts=1))
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9", email="a@example.com")
    riddle = event(CREATED, subscription(user_id=None, customer="cus_9"))
    await house.run(riddle)
    assert house.told() == []
    completed = event("checkout.session.completed", checkout_session(customer="cus_9"))
    await house.run(completed)
    assert house.outcomes([riddle, completed]) == ["applied", "applied"]
    (message,) = house.published()
    assert data(message)["email"] == "a@example.com"


async def test_who_buys_again_is_let_in_once_the_old_customer_is_gone() -> None:
    house = House(retry=RetryPolicy(max_attempts=1))
    house.provider.customers["cus_2"] = ProviderCustomer("cus_2", USER, "alice@example.com")
    await house.run(event(CREATED, subscription("sub_1")))
    again = event(CREATED, subscription("sub_2", customer="cus_2"))
    await house.run(again)
    assert house.row(again).outcome is None
    await house.run(event("customer.deleted", deleted("cus_1"), created=START + 9))
    assert house.outcomes([again]) == ["applied"]
    assert house.told() == ["subscription.activated"] * 2


async def test_a_second_customer_found_in_an_outage_blocks_nobody() -> None:
    """The user has cus_1. While the provider is away a subscription of cus_2 names the same user,
    and later an invoice of it names nobody.
    """
    house = House()
    await house.run(event(CREATED, subscription("sub_1")))
    house.provider.available = False
    await house.deliver(event(CREATED, subscription("sub_2", customer="cus_2")))
    for _ in range(6):
        await house.work()
        house.clock.advance(timedelta(hours=1))
    house.provider.available = True
    house.provider.customers["cus_2"] = ProviderCustomer("cus_2")
    bill = invoice("in_2", subscription="sub_2", customer="cus_2", user_id=None)
    other = event(UPDATED, subscription("sub_1", status="past_due"), created=START + 5)
    await house.run(event("invoice.paid", bill), other)
    assert house.outcomes([other]) == ["applied"]


async def test_what_conflicts_in_the_database_again_and_again_blocks_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(retry=RetryPolicy(max_attempts=2))
    save = MemorySubscriptions.save

    async def conflict_over_sub_2(self: Any, subscriptions: list[Subscription]) -> None:
        if any(s.subscription_ref == "sub_2" for s in subscriptions):
            raise ConcurrentChange("the user was linked to another customer meanwhile")
        await save(self, subscriptions)

    monkeypatch.setattr(MemorySubscriptions, "save", conflict_over_sub_2)
    events = [event(CREATED, subscription(f"sub_{n}")) for n in (1, 2, 3)]
    await house.run(*events)
    assert house.outcomes(events) == ["applied", None, "applied"]
    assert house.row(events[1]).webhook.attempts == 1


async def test_an_outage_does_not_use_up_the_retries_of_what_fails_after_it() -> None:
    house = House()
    house.provider.available = False
    conflict = event(CREATED, subscription(user_id=None))
    await house.deliver(conflict)
    for _ in range(20):
        await house.work()
        house.clock.advance(timedelta(hours=1))
    assert house.row(conflict).webhook.attempts == 3


async def test_a_riddle_is_solved_once_the_provider_knows_the_user() -> None:
    house = House()
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9")
    riddle = event(CREATED, subscription(user_id=None, customer="cus_9"))
    await house.run(riddle)
    assert house.told() == []
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9", USER, "a@example.com")
    house.clock.advance(timedelta(hours=1))
    await house.run()
    assert house.told() == ["subscription.activated"]


async def test_a_disagreement_about_the_user_is_dead_at_once() -> None:
    house = House()
    other = "00000000-0000-4000-8000-0000000000b0"
    conflict = event(CREATED, subscription(user_id=other))  # the provider says: Alice's customer
    await house.run(conflict)
    assert house.outcomes([conflict]) == ["dead"]
    assert house.store.tables.subscriptions == {}


async def test_what_cannot_be_read_is_dead_by_name_and_blocks_nobody() -> None:
    house = House()
    broken = event(UPDATED, subscription("sub_2") | {"status": 7})
    fine = event(CREATED, subscription("sub_1"))
    await house.run(broken, fine)
    assert house.outcomes([broken, fine]) == ["dead", "applied"]
    assert "status" in (house.row(broken).error or "")


async def test_a_webhook_that_cannot_be_written_takes_nobody_else_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stands for any value the database refuses: the whole transaction fails with it."""
    house = House(retry=RetryPolicy(max_attempts=1))
    save = MemorySubscriptions.save

    async def refuse_sub_2(self: Any, subscriptions: list[Subscription]) -> None:
        if any(s.subscription_ref == "sub_2" for s in subscriptions):
            raise ValueError("sub_2 does not fit the column")
        await save(self, subscriptions)

    monkeypatch.setattr(MemorySubscriptions, "save", refuse_sub_2)
    events = [event(CREATED, subscription(f"sub_{n}")) for n in (1, 2, 3)]
    await house.run(*events)
    assert house.outcomes(events) == ["applied", "dead", "applied"]
    assert house.told() == ["subscription.activated"] * 2


async def test_finding_what_cannot_be_written_in_a_full_batch_costs_few_transactions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(retry=RetryPolicy(max_attempts=1))
    await house.run(event(CREATED, subscription("sub_first")))  # the customer is known from it
    save, saved = MemorySubscriptions.save, []

    async def refuse_sub_123(self: Any, subscriptions: list[Subscription]) -> None:
        saved.append(len(subscriptions))
        if any(s.subscription_ref == "sub_123" for s in subscriptions):
            raise ValueError("sub_123 does not fit the column")
        await save(self, subscriptions)

    monkeypatch.setattr(MemorySubscriptions, "save", refuse_sub_123)
    events = [event(CREATED, subscription(f"sub_{n}")) for n in range(500)]
    await house.deliver(*events)

    assert await house.process.run_once() == 500
    assert [n for n, outcome in enumerate(house.outcomes(events)) if outcome != "applied"] == [123]
    assert len(saved) < 20


async def test_a_full_batch_gives_way_to_what_else_the_process_does() -> None:
    house = House()
    await house.run(event(CREATED, subscription("sub_first")))  # the customer is known from it
    await house.deliver(*(event(CREATED, subscription(f"sub_{n}")) for n in range(500)))
    working = asyncio.create_task(house.process.run_once())
    turns = 0
    while not working.done():
        turns += 1
        await asyncio.sleep(0)

    assert await working == 500
    assert turns >= 3 * 500 // 50, "translated, judged and told of in portions"


async def test_a_trial_that_only_the_provider_tells_of_is_noted() -> None:
    """Of two updates of one second neither need say what the subscription is now."""
    house = House()
    tie = [
        event(UPDATED, subscription(status=status), created=START + 10)
        for status in ("incomplete", "paused")
    ]
    await house.run(tie[0])
    facts = house.store.tables.subscriptions["sub_1"].facts
    truth = replace(facts, status="trialing", trial_end=at(START + 180 * DAY))
    house.provider.subscriptions["sub_1"] = truth
    await house.run(tie[1])
    assert house.store.tables.trials == {USER}

    await house.run(event(UPDATED, subscription(status="trialing"), created=START + 20))
    assert house.store.tables.trials == {USER}


async def test_while_storage_is_away_nothing_is_lost_or_counted() -> None:
    house = House()
    created = event(CREATED, subscription())
    await house.deliver(created)
    await house.partitions.renew()
    house.store.available = False
    with pytest.raises(StorageUnavailable):
        await house.process.run_once()
    house.store.available = True
    await house.run()
    assert house.outcomes([created]) == ["applied"]
    assert house.row(created).webhook.attempts == 0


async def test_a_question_to_the_provider_holds_up_only_its_subscription() -> None:
    """Two different updates of one second: only the provider can tell which one holds."""
    house = House()
    await house.run(event(CREATED, subscription("sub_1")), event(CREATED, subscription("sub_2")))
    tie = [
        event(UPDATED, subscription("sub_1", status=status), created=START + 10)
        for status in ("past_due", "unpaid")
    ]
    after = event(UPDATED, subscription("sub_1", status="active"), created=START + 20)
    other = event(UPDATED, subscription("sub_2", status="past_due"), created=START + 10)
    await house.deliver(*tie, after, other)
    await house.process.run_once()  # the question is out, nobody has answered yet
    assert house.outcomes([*tie, after, other]) == ["applied", None, None, "applied"]
    truth = replace(house.store.tables.subscriptions["sub_1"].facts, status="unpaid")
    house.provider.subscriptions["sub_1"] = truth
    await house.work()
    assert house.outcomes([*tie, after, other]) == ["applied"] * 4
    assert house.provider.asked.count("sub_1") == 1
    assert house.store.tables.subscriptions["sub_1"].status == "active"


async def test_an_answer_that_was_never_used_is_not_taken_for_the_truth_later() -> None:
    """A worker asks and loses its share before it can use the answer. When the share comes back,
    the provider would say something else.
    """
    house = House()
    other = House(store=house.store, provider=house.provider)
    await house.run(event(CREATED, subscription()))

    def tie(second: int) -> list[Payload]:
        return [
            event(UPDATED, subscription(status=status), created=START + second)
            for status in ("past_due", "active")
        ]

    def truth(status: str) -> None:
        facts = replace(house.store.tables.subscriptions["sub_1"].facts, status=status)
        house.provider.subscriptions["sub_1"] = facts

    truth("unpaid")
    await house.deliver(*tie(10))
    await house.process.run_once()
    while house.lookups.busy_keys:
        await house.wakeups.wait(Stage.INBOX, 5)
    house.clock.advance(timedelta(minutes=1))  # it stalls, and its lease expires
    await other.work()
    assert house.store.tables.subscriptions["sub_1"].status == "unpaid"
    await other.partitions.release()

    truth("paused")
    await house.deliver(*tie(20))
    await house.work()
    assert house.store.tables.subscriptions["sub_1"].status == "paused"


async def test_a_long_outage_of_the_provider_is_asked_about_ever_more_seldom() -> None:
    house = House()
    house.provider.available = False
    await house.deliver(event(CREATED, subscription(user_id=None)))

    async def tries(within: timedelta) -> int:
        before, end = len(house.provider.asked), house.clock.now() + within
        while house.clock.now() < end:
            await house.work()
            idle = await house.process.idle_time()
            assert idle is not None
            house.clock.advance(idle + timedelta(milliseconds=1))
        return len(house.provider.asked) - before

    await tries(timedelta(hours=2))
    later = await tries(timedelta(hours=6))

    # Every 7.5 minutes on the average, which would be 48 times.
    assert 10 < later < 150


async def test_while_the_provider_is_away_a_webhook_stays_alive() -> None:
    house = House(retry=RetryPolicy(max_attempts=2))
    house.provider.available = False
    created = event(CREATED, subscription(user_id=None))
    await house.deliver(created)
    for _ in range(5):
        await house.work()
        house.clock.advance(timedelta(hours=1))
    assert house.row(created).outcome is None
    house.provider.available = True
    await house.run()
    assert house.outcomes([created]) == ["applied"]


async def test_somebody_who_has_paid_is_not_kept_out_for_want_of_an_email() -> None:
    house = House()
    house.provider.available = False
    await house.deliver(event(CREATED, subscription()))
    for _ in range(6):
        await house.work()
        house.clock.advance(timedelta(hours=1))
    await house.publish()
    (message,) = house.published()
    assert data(message)["email"] is None
    assert house.store.tables.customers["cus_1"].user_id == USER
    await house.run(event(UPDATED, subscription(status="past_due"), created=START + 5))
    (message,) = house.published()
    assert data(message)["email"] is None, "the outage lasts, but was waited for once already"
    house.provider.available = True
    await house.run(event(UPDATED, subscription(status="active"), created=START + 6))
    (message,) = house.published()
    assert data(message)["email"] == "alice@example.com"


async def test_an_invoice_that_comes_first_is_held_until_its_subscription_is_active() -> None:
    house = House()
    paid = event("invoice.paid", invoice(), created=START + 1)
    await house.run(paid)
    assert house.told() == []
    assert house.row(paid).waiting_for == "sub_1"
    assert house.row(paid).webhook.attempts == 0
    await house.run(event(CREATED, subscription(status="incomplete")))
    assert house.told() == [], "nothing is said before activation"
    await house.run(event(UPDATED, subscription(status="active"), created=START + 2))
    assert house.told() == ["subscription.activated", "payment.succeeded"]
    assert house.outcomes([paid]) == ["applied"]


async def test_a_held_notice_is_told_when_the_subscription_ends_without_activation() -> None:
    house = House()
    failed = event("invoice.payment_failed", invoice(paid=False), created=START + 1)
    await house.run(failed, event(CREATED, subscription(status="incomplete")))
    await house.run(event(UPDATED, subscription(status="incomplete_expired"), created=START + DAY))
    assert house.told() == [
        "subscription.status_changed",
        "subscription.canceled",
        "payment.failed",
    ]


async def test_an_invoice_whose_subscription_never_comes_is_dead_after_days() -> None:
    house = House()
    orphan = event("invoice.paid", invoice())
    await house.run(orphan)
    house.clock.advance(PATIENCE - HELD_RECHECK)
    await house.work()
    assert house.row(orphan).outcome is None
    house.clock.advance(HELD_RECHECK)
    await house.work()
    assert house.outcomes([orphan]) == ["dead"]


async def test_a_paid_invoice_is_told_once_though_two_events_say_it() -> None:
    house = House()
    events = [
        event(CREATED, subscription()),
        event("invoice.paid", invoice(), created=START + 1),
        event("invoice.payment_succeeded", invoice(), created=START + 1),
        event("invoice.paid", invoice("in_0", amount=0), created=START + 1),
    ]
    await house.run(*events)
    assert house.told() == ["subscription.activated", "payment.succeeded"]
    assert house.outcomes(events) == ["applied", "applied", "ignored", "ignored"]


async def test_idle_time_is_until_the_first_retry() -> None:
    house = House()
    assert await house.process.idle_time() is None
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9")
    await house.run(event(CREATED, subscription(user_id=None, customer="cus_9")))
    idle = await house.process.idle_time()
    assert idle is not None
    assert timedelta(0) <= idle <= timedelta(seconds=1)


async def test_a_worker_without_partitions_does_nothing() -> None:
    house = House()
    await house.deliver(event(CREATED, subscription()))
    assert await house.process.run_once() == 0


@pytest.mark.parametrize("heard", ["in time", "late"])
async def test_a_customer_is_created_without_an_email_that_messages_have_all_the_same(
    heard: str,
) -> None:
    """It is given one right after that; the notice of it may come after everything else."""
    house = House()
    blank = event("customer.created", customer(email=None, name=None), created=START)
    given = event("customer.updated", customer(), created=START + 1)
    bought = event("customer.subscription.created", subscription("sub_1"), created=START + 2)

    for one in (blank, given, bought) if heard == "in time" else (blank, bought, given):
        await house.run(one)

    (message,) = house.published()
    assert data(message)["email"] == "alice@example.com"
    row = house.store.tables.customers["cus_1"]
    assert (row.email, row.name) == ("alice@example.com", "Alice")
