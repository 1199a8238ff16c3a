"""Webhooks are claimed, applied and settled; what fails is retried, held or given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.memory.subscriptions import MemorySubscriptions
from domain.subscription import Subscription
from ports.payment_provider import ProviderCustomer
from ports.unit_of_work import StorageUnavailable
from service.process_inbox import HELD_RECHECK, ORPHANS_WAIT
from service.retry import RetryPolicy
from tests.service.house import House, data
from tests.stripe_payloads import DAY, START, USER, event, invoice, price, subscription

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
    for attempt in (1, 2):
        await house.work()
        assert house.row(riddle).outcome is None
        assert house.row(riddle).webhook.attempts == attempt
        house.clock.advance(timedelta(hours=1))
    await house.work()
    assert house.outcomes([riddle]) == ["dead"]
    assert "metadata.user_id" in (house.row(riddle).error or "")
    assert not house.row(riddle).processed


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
    assert house.store.tables.customers == {}, "the next event asks again"


async def test_an_invoice_that_comes_first_is_held_until_its_subscription_is_active() -> None:
    house = House()
    paid = event("invoice.paid", invoice(), created=START + 1)
    await house.run(paid)
    assert house.told() == []
    assert house.row(paid).waiting
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
    house.clock.advance(ORPHANS_WAIT - HELD_RECHECK)
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
