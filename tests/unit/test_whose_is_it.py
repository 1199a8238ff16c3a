"""Whose an event is: the event's own metadata, the customer's row, the customer at the provider."""

from __future__ import annotations

from copy import deepcopy

import pytest

from domain.commands import Command
from domain.errors import CustomerAlreadyLinked, OwnershipConflict, OwnerUnknown
from ports.inbox import Outcome
from ports.payment_provider import ProviderCustomer, ProviderUnavailable
from service import message_bus
from service.outcomes import APPLIED, Done
from service.whose_is_it import PATIENCE_FOR_AN_EMAIL
from service.working_set import CustomerLookup, LookupNeeded
from tests.builders import (
    OTHER_USER,
    Desk,
    change,
    checkout,
    customer_update,
    desk,
    invoice_paid,
    linked,
    owner,
    stripe_customer,
)
from tests.stripe_payloads import START, USER, at


def emails(of: Desk) -> list[str | None]:
    return [
        message.body.decode().split('"email":')[1].split(",")[0] for message in of.work.messages
    ]


def test_the_metadata_names_the_user_and_the_row_the_email() -> None:
    here = desk(linked())

    assert here.handle(change()) == APPLIED
    assert here.subscription().user_id == USER
    assert emails(here) == ['"alice@example.com"']
    assert here.asked == []


def test_without_metadata_the_row_of_the_customer_names_the_user() -> None:
    here = desk(linked())

    here.handle(change(whose=owner(None)))

    assert here.subscription().user_id == USER
    assert here.asked == []


def test_without_either_the_customer_at_the_provider_names_the_user_and_gets_a_row() -> None:
    here = desk(provider=[stripe_customer()])

    here.handle(change(whose=owner(None)))

    assert here.subscription().user_id == USER
    assert here.customer().user_id == USER
    assert here.customer().email == "alice@example.com"
    assert here.asked == [CustomerLookup("cus_1")]


def test_the_customer_is_asked_for_once_only() -> None:
    here = desk(provider=[stripe_customer()])

    here.handle(change())
    here.handle(change("past_due", START + 1))
    here.handle(invoice_paid())

    assert here.asked == [CustomerLookup("cus_1")]


def test_nothing_changes_before_the_provider_has_answered() -> None:
    here = desk()

    with pytest.raises(LookupNeeded) as needed:
        message_bus.handle(change(), here.work)

    assert needed.value.lookup == CustomerLookup("cus_1")
    assert here.work.subscription("sub_1") is None
    assert here.work.customer("cus_1") is None
    assert here.work.messages == []


@pytest.mark.parametrize("command", [change(), invoice_paid(), checkout()])
def test_a_row_of_another_user_is_a_conflict(command: Command) -> None:
    here = desk(linked(user_id=OTHER_USER))

    with pytest.raises(OwnershipConflict, match=r"correct metadata\.user_id"):
        here.handle(command)

    assert here.work.changed_customers == {}
    assert here.work.messages == []


def test_a_customer_of_another_user_at_the_provider_is_a_conflict() -> None:
    here = desk(provider=[stripe_customer(user_id=OTHER_USER)])

    with pytest.raises(OwnershipConflict):
        here.handle(change())

    assert here.work.changed_customers == {}
    assert here.work.changed_subscriptions == {}


def test_a_subscription_that_changes_its_user_is_a_conflict() -> None:
    here = desk(linked())
    here.handle(change())
    before = deepcopy(here.subscription())

    with pytest.raises(OwnershipConflict):
        here.handle(change("past_due", START + 1, whose=owner(OTHER_USER)))

    assert here.subscription() == before


@pytest.mark.parametrize("provider", [[], [stripe_customer(user_id=None)]])
def test_a_foreign_price_that_nobody_owns_is_another_products(
    provider: list[ProviderCustomer],
) -> None:
    here = desk(provider=provider)

    result = here.handle(change(whose=owner(None, ours=False)))

    assert isinstance(result, Done)
    assert result.outcome is Outcome.FOREIGN
    assert here.work.changed_subscriptions == {}
    assert here.work.changed_customers == {}


@pytest.mark.parametrize("customer_ref", ["cus_1", None])
def test_our_price_that_nobody_owns_is_a_riddle(customer_ref: str | None) -> None:
    here = desk(provider=[stripe_customer(user_id=None)])

    with pytest.raises(OwnerUnknown, match=r"put metadata\.user_id"):
        here.handle(change(whose=owner(None, customer_ref)))

    assert here.work.changed_subscriptions == {}


def test_a_riddle_is_solved_once_the_customer_is_known() -> None:
    here = desk(provider=[stripe_customer(user_id=None)])

    assert here.handle_all([change(whose=owner(None)), customer_update()]) == []
    assert here.subscription().user_id == USER


def test_a_customer_without_an_email_gives_null() -> None:
    here = desk(provider=[stripe_customer(email=None)])

    here.handle(change())

    assert emails(here) == ["null"]


def test_a_user_without_a_customer_gives_a_null_email() -> None:
    here = desk()

    here.handle(change(whose=owner(USER, None)))

    assert emails(here) == ["null"]
    assert here.asked == []


def test_a_customer_the_provider_does_not_know_gives_a_null_email() -> None:
    here = desk()

    here.handle(change())

    assert emails(here) == ["null"]
    assert here.customer().user_id == USER


def test_a_user_who_is_linked_elsewhere_cannot_be_linked_again() -> None:
    here = desk(linked("cus_0"), provider=[stripe_customer()])

    with pytest.raises(CustomerAlreadyLinked, match="cannot be set twice"):
        here.handle(change())

    assert here.work.changed_subscriptions == {}
    assert here.work.changed_customers == {}


def test_a_retired_customer_makes_room_for_a_new_one() -> None:
    here = desk(linked("cus_0", retired_at=at(START)), provider=[stripe_customer()])

    here.handle(change())

    assert here.customer().user_id == USER
    linked_to = here.work.link_of(USER)
    assert linked_to is not None
    assert linked_to.customer_ref == "cus_1"


def test_a_retired_customer_still_names_the_user_of_its_late_events() -> None:
    here = desk(linked("cus_1", retired_at=at(START)), linked("cus_2"))

    here.handle(change("canceled", whose=owner(None)))

    assert here.subscription().user_id == USER
    assert emails(here) == ['"alice@example.com"'] * 2


def test_a_checkout_links_the_buyer() -> None:
    here = desk(provider=[stripe_customer(user_id=None)])

    assert here.handle(checkout()) == APPLIED
    assert here.customer().user_id == USER


def test_while_the_provider_is_away_an_event_waits_and_then_goes_without_an_email() -> None:
    here = desk()
    here.provider[CustomerLookup("cus_1")] = ProviderUnavailable("down")

    for attempts in range(PATIENCE_FOR_AN_EMAIL):
        with pytest.raises(ProviderUnavailable):
            here.handle(change(), attempts=attempts)
    assert here.work.messages == []

    assert here.handle(change(), attempts=PATIENCE_FOR_AN_EMAIL) == APPLIED
    assert emails(here) == ["null"]
    assert here.work.changed_customers == {}


def test_while_the_provider_is_away_nobody_is_guessed_however_long_it_takes() -> None:
    here = desk()
    here.provider[CustomerLookup("cus_1")] = ProviderUnavailable("down")

    with pytest.raises(ProviderUnavailable):
        here.handle(change(whose=owner(None)), attempts=1_000)
