"""What order and repetition may do: the same commands leave the same state in any order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import Command, UpdateCustomer
from domain.errors import OwnershipConflict, Unsettled
from domain.subscription import Snapshot
from domain.watermark import Rank, watermark
from ports.inbox import Outcome
from ports.payment_provider import ProviderUnavailable
from service import message_bus
from service.outcomes import APPLIED, STALE, Done, Held
from service.working_set import CustomerLookup, LookupNeeded, SubscriptionLookup
from tests.builders import (
    OTHER_USER,
    Desk,
    change,
    customer_deletion,
    customer_update,
    desk,
    invoice_paid,
    linked,
    owner,
    payment_failed,
    snapshot,
    stripe_customer,
)
from tests.stripe_payloads import DAY, START, USER, at

SUBSCRIPTION: Final = SubscriptionLookup("sub_1")
STATUSES: Final = (
    "incomplete",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "expired",
    "canceled",
    "on_hold",
)


def shuffled(commands: Sequence[Command], seed: int) -> list[Command]:
    mixed = list(commands)
    random.Random(seed).shuffle(mixed)  # noqa: S311 - an order, not a secret
    return mixed


def state(of: Desk) -> dict[str, Any]:
    """What must be the same in any order: everything but what counts and tells of messages, and
    the watermark of a contact, which also depends on when the provider was asked.
    """
    return {
        "subscriptions": {
            ref: (found.user_id, found.customer_ref, found.facts, found.as_of, found.livemode)
            for ref, found in of.work.changed_subscriptions.items()
        },
        "customers": {
            ref: asdict(found) | {"as_of": None} for ref, found in of.work.changed_customers.items()
        },
        "trials": of.work.trials_used,
    }


# Staleness


def test_an_older_snapshot_is_stale_and_changes_nothing() -> None:
    here = desk(linked())
    here.handle(change("past_due", START + 10))
    before, told = deepcopy(here.subscription()), here.told()

    assert here.handle(change("active", START + 9)) == STALE
    assert here.subscription() == before
    assert here.told() == told


def test_a_repeated_snapshot_is_stale() -> None:
    here = desk(linked())

    assert here.handle(change()) == APPLIED
    assert here.handle(change()) == STALE
    assert here.told() == ["subscription.activated"]


def test_any_first_snapshot_makes_the_subscription_whatever_its_event() -> None:
    for rank in Rank:
        here = desk(linked())
        here.handle(change("active", rank=rank))
        assert here.subscription().status == "active"


def test_an_end_is_never_overtaken() -> None:
    here = desk(linked())
    here.handle(change("canceled", START, Rank.DELETED))

    assert here.handle(change("active", START + 100)) == STALE
    assert here.subscription().status == "canceled"
    assert here.told() == ["subscription.status_changed", "subscription.canceled"]


@settings(max_examples=100)
@given(
    seen=st.lists(
        st.tuples(st.sampled_from(STATUSES), st.integers(0, 4), st.sampled_from(Rank)),
        max_size=6,
        unique_by=lambda one: (one[1], one[2]),
    ),
    seed=st.integers(0, 2**32),
)
def test_snapshots_in_any_order_leave_the_same_subscription_and_trials(
    seen: list[tuple[str, int, Rank]], seed: int
) -> None:
    commands = [
        change(snapshot(status, trial_end=at(START + DAY)), START + second, rank)
        for status, second, rank in seen
    ]
    ordered, mixed = desk(linked()), desk(linked())

    assert ordered.handle_all(commands) == []
    assert mixed.handle_all(shuffled(commands + commands[:2], seed)) == []

    assert state(mixed) == state(ordered)


# Ties


@pytest.mark.parametrize("reverse", [False, True])
def test_within_one_second_created_updated_and_deleted_need_no_lookup(reverse: bool) -> None:
    commands = [
        change("incomplete", rank=Rank.CREATED),
        change("active", rank=Rank.UPDATED),
        change("canceled", rank=Rank.DELETED),
    ]
    here = desk(linked())

    for count, command in enumerate(reversed(commands) if reverse else commands, start=1):
        here.handle(command)
        expected = "canceled" if reverse else commands[count - 1].snapshot.status
        assert here.subscription().status == expected

    assert here.asked == []


def test_between_two_different_updates_of_one_second_the_truth_is_asked_for_and_applied() -> None:
    here = desk(linked())
    here.provider[SUBSCRIPTION] = snapshot("past_due")
    here.handle(change("active"))

    assert here.handle(change("trialing")) == APPLIED

    assert here.asked == [SUBSCRIPTION]
    assert here.subscription().facts == snapshot("past_due")
    assert here.subscription().as_of == watermark(at(START), Rank.UPDATED)
    assert here.told() == ["subscription.activated", "subscription.status_changed"]


def test_until_the_truth_is_known_nothing_changes() -> None:
    here = desk(linked())
    here.handle(change("active"))
    before = deepcopy(here.subscription())

    here.work.turn_to("", 0, {})
    with pytest.raises(LookupNeeded) as needed:
        message_bus.handle(change("past_due"), here.work)

    assert needed.value.lookup == SUBSCRIPTION
    assert here.subscription() == before
    assert here.told() == ["subscription.activated"]


def test_an_answer_settles_one_tie_only() -> None:
    here = desk(linked())
    here.handle(change("active"))
    here.work.turn_to("", 0, {SUBSCRIPTION: snapshot("unpaid")})
    message_bus.handle(change("past_due"), here.work)

    with pytest.raises(LookupNeeded):
        message_bus.handle(change("past_due"), here.work)


def test_two_equal_updates_of_one_second_need_no_lookup() -> None:
    here = desk(linked())
    here.handle(change("active"))

    assert here.handle(change("active")) == STALE
    assert here.asked == []


def test_a_tie_nobody_can_settle_is_left_to_a_person() -> None:
    here = desk(linked())
    here.handle(change("active"))

    with pytest.raises(Unsettled, match="replay the right one"):
        here.handle(change("past_due"))

    assert here.subscription().status == "active"


def test_a_tie_waits_while_the_provider_is_away() -> None:
    here = desk(linked())
    here.handle(change("active"))
    here.provider[SUBSCRIPTION] = ProviderUnavailable("down")

    with pytest.raises(ProviderUnavailable):
        here.handle(change("past_due"), attempts=1_000)

    assert here.subscription().status == "active"


@settings(max_examples=60)
@given(
    seen=st.lists(st.sampled_from(STATUSES[:6]), min_size=1, max_size=4),
    truth=st.sampled_from(STATUSES),
    seed=st.integers(0, 2**32),
)
def test_ties_in_any_order_leave_the_same_subscription(
    seen: list[str], truth: str, seed: int
) -> None:
    """Statuses that have not ended: an end needs no settling, it outranks the rest."""
    commands = [change(status) for status in seen]
    ordered, mixed = desk(linked()), desk(linked())
    for here, order in ((ordered, commands), (mixed, shuffled(commands, seed))):
        here.provider[SUBSCRIPTION] = snapshot(truth)
        assert here.handle_all(order) == []

    assert state(mixed) == state(ordered)


# Trials


def test_a_trial_without_its_card_grants_nothing_and_burns_no_trial() -> None:
    here = desk(linked())
    pending = snapshot("incomplete", trial_end=at(START + 180 * DAY))

    here.handle(change(pending))
    assert here.work.trials_used == set()
    assert here.told() == []

    here.handle(change("trialing", START + 60))
    assert here.work.trials_used == {USER}
    assert here.told() == ["subscription.activated"]


def test_a_trial_that_never_got_its_card_burns_nothing_when_it_is_canceled() -> None:
    here = desk(linked())
    trial_end = at(START + 180 * DAY)

    here.handle(change(snapshot("incomplete", trial_end=trial_end)))
    here.handle(change(snapshot("canceled", trial_end=trial_end), START + DAY, Rank.DELETED))

    assert here.work.trials_used == set()


def test_a_stale_snapshot_proves_a_trial_as_well() -> None:
    here = desk(linked())
    here.handle(change(snapshot("canceled", trial_end=None), START + DAY, Rank.DELETED))

    assert here.handle(change("trialing")) == STALE
    assert here.work.trials_used == {USER}


def test_a_subscription_without_a_trial_burns_none() -> None:
    here = desk(linked())

    here.handle(change("active"))

    assert here.work.trials_used == set()


def test_a_trial_that_ends_soon_is_announced() -> None:
    here = desk(linked())
    here.handle(change("trialing"))

    assert here.handle(change("trialing", START + DAY, trial_ending=True)) == APPLIED
    assert here.told() == ["subscription.activated", "subscription.trial_ending"]


def test_a_notice_of_a_trials_end_is_passed_on_though_its_snapshot_is_stale() -> None:
    here = desk(linked())
    here.handle(change("active", START + 9))
    before = here.subscription().facts

    assert here.handle(change("trialing", START, trial_ending=True)) == APPLIED
    assert here.subscription().facts == before
    assert here.told() == ["subscription.activated", "subscription.trial_ending"]


def test_a_notice_of_a_trials_end_waits_for_the_activation() -> None:
    here = desk(linked())
    early = change("incomplete", START, trial_ending=True)

    result = here.handle(early)
    assert isinstance(result, Held)
    assert not result.orphan
    assert here.subscription().status == "incomplete"
    assert here.told() == []

    here.handle(change("trialing", START + 1))
    assert here.work.released == {"sub_1"}
    assert here.handle(early) == APPLIED
    assert here.told() == ["subscription.activated", "subscription.trial_ending"]


# Invoices


def test_an_invoice_is_told_of_once_though_two_events_say_it() -> None:
    here = desk(linked())
    here.handle(change())

    assert here.handle(invoice_paid()) == APPLIED
    assert here.handle(invoice_paid()) == Done(Outcome.IGNORED, "this invoice was told of already")
    assert here.handle(invoice_paid("in_2")) == APPLIED
    assert here.told() == ["subscription.activated", "payment.succeeded", "payment.succeeded"]
    assert here.work.new_paid_invoices == {"in_1", "in_2"}


def test_an_invoice_told_of_before_this_batch_is_known() -> None:
    here = desk(linked(), paid=["in_1"])
    here.handle(change())

    assert here.handle(invoice_paid()) != APPLIED
    assert here.told() == ["subscription.activated"]


@pytest.mark.parametrize("amount", [0, -500])
def test_an_invoice_of_nothing_is_not_a_payment(amount: int) -> None:
    here = desk(linked())
    here.handle(change())

    assert here.handle(invoice_paid(amount=amount)) == Done(Outcome.IGNORED, "nothing was charged")
    assert here.told() == ["subscription.activated"]


@pytest.mark.parametrize("notice", [invoice_paid(), payment_failed()])
def test_an_invoice_before_its_subscription_waits_for_the_activation(notice: Command) -> None:
    here = desk(linked())

    result = here.handle(notice)
    assert isinstance(result, Held)
    assert result.orphan, "of this subscription nobody has heard"

    here.handle(change("incomplete"))
    result = here.handle(notice)
    assert isinstance(result, Held)
    assert not result.orphan
    assert here.work.new_paid_invoices == set()

    here.handle(change("active", START + 1))
    assert here.work.released == {"sub_1"}
    assert here.handle(notice) == APPLIED
    assert len(here.told()) == 2


@pytest.mark.parametrize("notice", [invoice_paid(), payment_failed()])
@pytest.mark.parametrize("status", ["expired", "canceled"])
def test_an_invoice_is_told_of_after_the_end(notice: Command, status: str) -> None:
    here = desk(linked())
    here.handle(change(status))

    assert here.handle(notice) == APPLIED
    assert here.told()[:2] == ["subscription.status_changed", "subscription.canceled"]
    assert here.told()[2].startswith("payment.")


def test_every_failed_attempt_is_told_of() -> None:
    here = desk(linked())
    here.handle(change())

    for attempt in (1, 2, 3):
        assert here.handle(payment_failed(attempt=attempt)) == APPLIED

    assert here.told()[1:] == ["payment.failed"] * 3
    assert [message.version for message in here.work.messages] == [1, 2, 3, 4]


def test_a_foreign_invoice_is_another_products() -> None:
    here = desk()

    result = here.handle(invoice_paid(whose=owner(None, ours=False)))

    assert isinstance(result, Done)
    assert result.outcome is Outcome.FOREIGN


# Customers


def test_a_newer_contact_wins_in_any_order() -> None:
    newer = customer_update("new@example.com", START + 1)
    for order in ([customer_update(), newer], [newer, customer_update()]):
        here = desk()
        assert here.handle_all(order) == []
        assert here.customer().email == "new@example.com"


def test_two_different_updates_of_a_customer_in_one_second_are_settled_by_the_provider() -> None:
    here = desk(provider=[stripe_customer(email="truth@example.com")])
    here.handle(customer_update("one@example.com"))

    assert here.handle(customer_update("two@example.com")) == APPLIED
    assert here.asked == [CustomerLookup("cus_1")]
    assert here.customer().email == "truth@example.com"


def test_a_customer_of_another_product_is_not_ours() -> None:
    here = desk()

    result = here.handle(customer_update(user_id=None))

    assert isinstance(result, Done)
    assert result.outcome is Outcome.FOREIGN
    assert here.work.changed_customers == {}


def test_a_customer_that_changes_its_user_is_a_conflict() -> None:
    here = desk(linked())

    with pytest.raises(OwnershipConflict):
        here.handle(customer_update("new@example.com", user_id=OTHER_USER))

    assert here.customer().email == "alice@example.com"
    assert here.work.changed_customers == {}


def test_what_comes_after_a_deletion_does_not_link_the_customer_again() -> None:
    here = desk(linked("cus_2"))

    here.handle(customer_deletion())
    here.handle(customer_update())

    assert here.customer().retired_at == at(START)
    linked_to = here.work.link_of(USER)
    assert linked_to is not None
    assert linked_to.customer_ref == "cus_2"


def test_a_deleted_customer_makes_room_for_the_next_in_any_order() -> None:
    commands: list[Command] = [
        customer_update(),
        customer_deletion(START + 10),
        customer_update("new@example.com", START + 20, ref="cus_2"),
    ]
    for seed in range(12):
        here = desk()
        assert here.handle_all(shuffled(commands, seed)) == []
        linked_to = here.work.link_of(USER)
        assert linked_to is not None
        assert linked_to.customer_ref == "cus_2"
        assert here.customer("cus_1").retired_at == at(START + 10)


histories = st.builds(
    lambda updates, deletion, seen: [
        *(
            customer_update(f"{second}@example.com", START + second, rank, user_id=user_id)
            for second, rank, user_id in updates
        ),
        *([] if deletion is None else [customer_deletion(START + deletion)]),
        *(change(status, START + second, rank) for status, second, rank in seen),
    ],
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(list(Rank)[:2]), st.just(USER)),
        max_size=3,
        unique_by=lambda one: (one[0], one[1]),
    ),
    st.none() | st.integers(3, 5),
    st.lists(
        st.tuples(st.sampled_from(STATUSES), st.integers(0, 3), st.sampled_from(Rank)),
        max_size=4,
        unique_by=lambda one: (one[1], one[2]),
    ),
)


def newest_contact(commands: Sequence[Command]) -> str | None:
    """What the provider says of the customer once all this has happened."""
    updates = [c for c in commands if isinstance(c, UpdateCustomer)]
    return max(updates, key=lambda c: c.as_of).email if updates else "alice@example.com"


@settings(max_examples=150)
@given(commands=histories, seed=st.integers(0, 2**32))
def test_customers_and_snapshots_of_one_user_in_any_order_leave_the_same_state(
    commands: list[Command], seed: int
) -> None:
    truth = stripe_customer(email=newest_contact(commands))
    ordered, mixed = desk(provider=[truth]), desk(provider=[truth])

    assert ordered.handle_all(commands) == []
    assert mixed.handle_all(shuffled([*commands, *commands[:2]], seed)) == []

    assert state(mixed) == state(ordered)


def test_an_old_contact_does_not_replace_what_the_provider_said_later() -> None:
    """A customer that names no user is linked by its subscription, and then it is too late for
    its newest event, which was ignored as another product's.
    """
    truth = stripe_customer(user_id=None, email="new@example.com")
    created = customer_update("old@example.com", START, Rank.CREATED, user_id=None)
    updated = customer_update("new@example.com", START + 10, user_id=None)
    orders: list[list[Command]] = [
        [created, updated, change()],
        [change(), created, updated],
        [updated, change(), created],
        [updated, change(seconds=START - 10), created],
    ]
    contacts = []
    for order in orders:
        here = desk(provider=[truth])
        assert here.handle_all(order) == []
        contacts.append(here.customer().email)

    assert contacts == ["new@example.com"] * 4


def test_a_stale_contact_still_names_the_user() -> None:
    """Deleted, then updated without a user, then an older event that names one."""
    here = desk(provider=[stripe_customer(email="new@example.com")])
    here.handle(customer_deletion(START + 20))
    here.handle(customer_update("new@example.com", START + 10, user_id=None))
    assert here.handle(customer_update("old@example.com", START)) == STALE
    assert here.customer().user_id == USER
    assert here.customer().email == "new@example.com"


def test_snapshot_commands_are_not_changed_by_being_handled() -> None:
    seen: Snapshot = snapshot("active")
    here = desk(linked())

    here.handle(change(seen))
    here.handle(change("past_due", START + 1))

    assert seen == snapshot("active")
