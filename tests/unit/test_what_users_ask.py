"""What the domain says to users: which change is an upgrade, and what may be asked when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.errors import (
    AlreadyCanceled,
    NoActiveSubscription,
    NothingToResume,
    PlanNotChangeable,
)
from domain.money import Money
from domain.plans import Interval, Offer, Plan, PriceList, cost_per_year, is_upgrade
from domain.subscription import Snapshot, Status, Subscription
from ports.billing import Settlement
from ports.purchases import ProviderSubscription
from service.change_plan import settlement_of

MONTH, YEAR = Interval.MONTH, Interval.YEAR
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def usd(cents: int) -> Money:
    return Money(cents, "usd")


def subscription(status: str, *, cancel_at: datetime | None = None) -> Subscription:
    facts = Snapshot(status=status, cancel_at=cancel_at)
    return Subscription(uuid4(), "cus_1", "sub_1", facts=facts)


@pytest.mark.parametrize(
    ("old", "new", "upgrade"),
    [
        ((1000, MONTH), (1500, MONTH), True),
        ((1500, MONTH), (1000, MONTH), False),
        ((1000, MONTH), (1000, MONTH), False),
        ((1000, MONTH), (10_000, YEAR), False),  # 8.33 a month
        ((10_000, YEAR), (1000, MONTH), True),
        ((1000, MONTH), (12_000, YEAR), False),  # the same a month
        ((1000, MONTH), (12_001, YEAR), True),
        ((15_000, YEAR), (1250, MONTH), False),
        ((15_000, YEAR), (1251, MONTH), True),
    ],
)
def test_an_upgrade_is_what_makes_the_month_dearer(
    old: tuple[int, Interval], new: tuple[int, Interval], upgrade: bool
) -> None:
    assert is_upgrade(usd(old[0]), old[1], usd(new[0]), new[1]) is upgrade


def test_a_year_costs_twelve_months() -> None:
    assert cost_per_year(usd(1000), MONTH) == usd(12_000)
    assert cost_per_year(usd(10_000), YEAR) == usd(10_000)


@pytest.mark.parametrize(
    ("status", "price", "interval", "settlement"),
    [
        ("active", 1000, "month", Settlement.AT_ONCE),
        ("active", 2000, "month", Settlement.CREDITED),
        ("active", 1500, "month", Settlement.CREDITED),
        ("active", 20_000, "year", Settlement.AT_ONCE),
        ("active", None, "month", Settlement.AT_ONCE),
        ("trialing", 1000, "month", Settlement.FREE),
    ],
)
def test_how_a_change_is_paid_for(
    status: str, price: int | None, interval: str, settlement: Settlement
) -> None:
    had = ProviderSubscription(
        subscription_ref="sub_1",
        customer_ref="cus_1",
        user_id=None,
        livemode=False,
        snapshot=Snapshot(status=status, interval=interval),
        price=None if price is None else usd(price),
        item_ref="si_1",
        fingerprint=None,
    )
    wanted = Offer("event_organizer_monthly", Plan.EVENT_ORGANIZER, MONTH, usd(1500))

    assert settlement_of(had, wanted, NOW) is settlement
    assert settlement_of(replace(had, price=Money(1, "eur")), wanted, NOW) in (
        Settlement.AT_ONCE,
        Settlement.FREE,
    )


@pytest.mark.parametrize(
    ("trial_left", "settlement"), [(1, Settlement.FREE), (0, Settlement.AT_ONCE)]
)
def test_a_trial_is_over_from_its_last_second_on(trial_left: int, settlement: Settlement) -> None:
    had = ProviderSubscription(
        subscription_ref="sub_1",
        customer_ref="cus_1",
        user_id=None,
        livemode=False,
        snapshot=Snapshot(
            status=Status.TRIALING, interval=MONTH, trial_end=NOW + timedelta(seconds=trial_left)
        ),
        price=usd(1000),
        item_ref="si_1",
        fingerprint=None,
    )
    wanted = Offer("event_organizer_monthly", Plan.EVENT_ORGANIZER, MONTH, usd(1500))

    assert settlement_of(had, wanted, NOW) is settlement


def test_only_the_price_of_today_is_for_sale() -> None:
    offer = Offer("general_monthly", Plan.GENERAL, MONTH, usd(1000))
    prices = PriceList([offer])
    assert not prices.is_complete
    prices.learn({"price_old": offer, "price_new": offer}, {"general_monthly": "price_new"})

    assert prices.is_complete
    assert prices.sold_as("price_new") == offer
    assert prices.sold_as("price_old") is None
    assert prices.sold_as("general_monthly") is None

    prices.learn({"price_new": offer}, {})
    assert prices.sold_as("price_new") is None
    assert prices.find(price_ref="price_new") == offer


@pytest.mark.parametrize("status", ["trialing", "active", "past_due", "unpaid", "paused", "new"])
def test_what_runs_can_be_canceled(status: str) -> None:
    subscription(status).check_cancelable()
    subscription(status).check_schedulable()


@pytest.mark.parametrize("status", ["none", "incomplete"])
def test_what_does_not_run_cannot(status: str) -> None:
    with pytest.raises(NoActiveSubscription):
        subscription(status).check_cancelable()


def test_nothing_is_canceled_twice() -> None:
    for status in ("canceled", "expired"):
        with pytest.raises(AlreadyCanceled):
            subscription(status).check_cancelable()
    scheduled = subscription("active", cancel_at=datetime(2026, 1, 1, tzinfo=UTC))
    scheduled.check_cancelable()
    scheduled.check_resumable()
    with pytest.raises(AlreadyCanceled):
        scheduled.check_schedulable()


@pytest.mark.parametrize("status", ["active", "canceled"])
def test_only_a_scheduled_cancellation_can_be_taken_back(status: str) -> None:
    with pytest.raises(NothingToResume):
        subscription(status).check_resumable()


def test_only_what_is_paid_for_or_on_trial_changes_its_plan() -> None:
    for status in ("trialing", "active"):
        subscription(status).check_plan_changeable()
    for status in ("incomplete", "past_due", "unpaid", "paused", "canceled", "expired"):
        with pytest.raises(PlanNotChangeable):
            subscription(status).check_plan_changeable()


def test_what_is_about_to_end_does_not_change_its_plan() -> None:
    """A year would be paid for, and a month be had."""
    ending = subscription("active", cancel_at=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(PlanNotChangeable, match="resume"):
        ending.check_plan_changeable()
