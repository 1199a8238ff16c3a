"""Money is a whole number of minor units; a price is found by its lookup key or its reference."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.customer import Customer
from domain.errors import CustomerAlreadyLinked, InvalidMoney
from domain.money import Money
from domain.plans import Interval, Offer, Plan
from tests.builders import OFFERS, price_list
from tests.stripe_payloads import START, USER, at

amounts = st.integers(-(10**12), 10**12)


@pytest.mark.parametrize("amount", [10.0, "10", True, None])
def test_an_amount_that_is_not_a_whole_number_is_refused(amount: Any) -> None:
    with pytest.raises(InvalidMoney, match=r"write \$10\.00 as 1000"):
        Money(amount, "usd")


@pytest.mark.parametrize("currency", ["", "us", "usdd", "USD", "u$d", "üsd", "1sd", "us "])
def test_a_currency_is_three_lower_case_letters(currency: str) -> None:
    with pytest.raises(InvalidMoney, match="not a currency"):
        Money(1, currency)


@given(amounts, amounts)
def test_money_of_one_currency_adds_up_exactly(first: int, second: int) -> None:
    assert Money(first, "usd") + Money(second, "usd") == Money(first + second, "usd")
    assert Money(first, "usd") - Money(second, "usd") == Money(first - second, "usd")
    assert (Money(first, "usd") < Money(second, "usd")) is (first < second)


def test_currencies_do_not_mix() -> None:
    dollars, euros = Money(1, "usd"), Money(1, "eur")

    for mix in (
        lambda: dollars + euros,
        lambda: dollars - euros,
        lambda: dollars < euros,
    ):
        with pytest.raises(InvalidMoney, match="do not mix"):
            mix()
    assert dollars != euros


def test_the_two_plans_have_a_monthly_and_an_annual_price() -> None:
    assert {(offer.plan, offer.interval) for offer in price_list()} == {
        (plan, interval) for plan in (Plan.GENERAL, Plan.EVENT_ORGANIZER) for interval in Interval
    }


@pytest.mark.parametrize("offer", OFFERS, ids=[offer.lookup_key for offer in OFFERS])
def test_an_offer_is_found_by_its_key_at_once_and_by_reference_once_learned(offer: Offer) -> None:
    prices = price_list()
    assert prices.find(lookup_key=offer.lookup_key) is offer
    assert prices.find(price_ref="price_1") is None
    assert prices.current_ref(offer.lookup_key) is None

    prices.learn({"price_1": offer}, {offer.lookup_key: "price_1"})

    assert prices.find(price_ref="price_1") is offer
    assert prices.find(lookup_key="of another product", price_ref="price_1") is offer
    assert prices.current_ref(offer.lookup_key) == "price_1"


def test_a_superseded_price_stays_what_it_was() -> None:
    prices = price_list()
    general = OFFERS[0]
    prices.learn({"price_old": general}, {"general_monthly": "price_old"})

    prices.learn({"price_new": general}, {"general_monthly": "price_new"})

    assert prices.find(price_ref="price_old") is general
    assert prices.current_ref("general_monthly") == "price_new"


def test_a_foreign_price_is_none_of_ours() -> None:
    prices = price_list(learned=True)

    assert prices.find() is None
    assert prices.find(lookup_key="gold", price_ref="price_gold") is None


def test_a_customer_reference_cannot_be_set_twice() -> None:
    customer = Customer(USER)
    customer.link_customer("cus_1")

    for ref in ("cus_1", "cus_2"):
        with pytest.raises(CustomerAlreadyLinked, match="cannot be set twice"):
            customer.link_customer(ref)
    assert customer.customer_ref == "cus_1"


def test_the_first_retirement_counts() -> None:
    customer = Customer(USER, "cus_1")

    for seconds in (5, 3, 9):
        customer.retire(at(START + seconds))

    assert customer.retired_at == at(START + 3)
