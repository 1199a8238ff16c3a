"""Stripe's events become our commands, in either generation of their shape."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.stripe.translation import HANDLED_TYPES
from adapters.stripe.webhooks import StripeWebhooks
from domain import commands
from domain.commands import ApplySubscriptionChange, Command, Owner, UpdateCustomer
from domain.events import PaymentFailure
from domain.money import Money
from domain.plans import PriceList
from domain.subscription import Snapshot
from domain.watermark import Rank, watermark
from ports.inbox import ClaimedWebhook
from ports.webhooks import Unhandled, UnreadableWebhook
from tests.builders import TRACE, price_list
from tests.stripe_payloads import (
    DAY,
    START,
    USER,
    Payload,
    Shape,
    at,
    checkout_session,
    customer,
    deleted,
    encode,
    event,
    invoice,
    plan_of,
    price,
    subscription,
)

SHAPES: Final[tuple[Shape, ...]] = ("new", "old")
HOUR: Final = START + 3600

both_shapes = pytest.mark.parametrize("shape", SHAPES)


def translate(
    payload: Payload | bytes, prices: PriceList | None = None, *, type: str | None = None
) -> Command | Unhandled:
    body = payload if isinstance(payload, bytes) else encode(payload)
    claimed = ClaimedWebhook(
        id=uuid4(),
        event_id="evt_1",
        event_type=type or (payload["type"] if isinstance(payload, dict) else "x"),
        ordering_key="sub_1",
        livemode=False,
        payload=body,
        traceparent=TRACE,
        age=timedelta(0),
        attempts=0,
    )
    return StripeWebhooks([], prices or price_list(learned=True)).translate(claimed)


def change_of(
    found: Payload, prices: PriceList | None = None, *, kind: str = "updated", created: int = HOUR
) -> ApplySubscriptionChange:
    command = translate(event(f"customer.subscription.{kind}", found, created=created), prices)
    assert isinstance(command, ApplySubscriptionChange)
    return command


def seen_in(found: Payload, prices: PriceList | None = None, *, kind: str = "updated") -> Snapshot:
    return change_of(found, prices, kind=kind).snapshot


# Every type, in both shapes


EXAMPLES: Final[dict[str, tuple[str, Any]]] = {
    "customer.subscription.created": ("subscription", {}),
    "customer.subscription.updated": ("subscription", {}),
    "customer.subscription.deleted": ("subscription", {"status": "canceled"}),
    "customer.subscription.trial_will_end": ("subscription", {"status": "trialing"}),
    "customer.subscription.paused": ("subscription", {"status": "paused"}),
    "customer.subscription.resumed": ("subscription", {}),
    "invoice.payment_succeeded": ("invoice", {}),
    "invoice.paid": ("invoice", {}),
    "invoice.payment_failed": ("invoice", {"paid": False}),
    "invoice.payment_action_required": ("invoice", {"paid": False}),
    "checkout.session.completed": ("checkout.session", {}),
    "checkout.session.expired": ("checkout.session", {"status": "expired"}),
    "customer.created": ("customer", {}),
    "customer.updated": ("customer", {}),
    "customer.deleted": ("customer", {}),
}


def example(type: str, shape: Shape = "new") -> Payload:
    kind, keywords = EXAMPLES[type]
    match kind:
        case "subscription":
            found = subscription(shape=shape, **keywords)
        case "invoice":
            found = invoice(shape=shape, **keywords)
        case "checkout.session":
            found = checkout_session(**keywords)
        case _:
            found = customer(**keywords)
    return event(type, found, created=HOUR, shape=shape)


def test_there_is_an_example_of_every_type_that_is_handled() -> None:
    assert set(EXAMPLES) == HANDLED_TYPES


@pytest.mark.parametrize("type", EXAMPLES)
def test_both_shapes_say_the_same(type: str) -> None:
    new, old = (translate(example(type, shape)) for shape in SHAPES)

    assert new == old
    assert not isinstance(new, Unhandled)


@both_shapes
@pytest.mark.parametrize(
    ("kind", "rank"),
    [
        ("created", Rank.CREATED),
        ("updated", Rank.UPDATED),
        ("trial_will_end", Rank.UPDATED),
        ("paused", Rank.UPDATED),
        ("resumed", Rank.UPDATED),
    ],
)
def test_a_subscription_becomes_a_snapshot(shape: Shape, kind: str, rank: Rank) -> None:
    found = subscription(shape=shape, lookup_key="event_organizer_annual")

    assert change_of(found, kind=kind) == ApplySubscriptionChange(
        subscription_ref="sub_1",
        owner=Owner("cus_1", USER, ours=True, at=at(HOUR)),
        snapshot=Snapshot(
            status="active",
            plan="event_organizer",
            interval="year",
            price_ref="price_event_organizer_annual",
            start=at(START),
            current_period_start=at(START),
            current_period_end=at(START + 365 * DAY),
        ),
        as_of=watermark(at(HOUR), rank),
        trial_ending=kind == "trial_will_end",
    )


@both_shapes
def test_a_trial_becomes_a_snapshot_with_its_end(shape: Shape) -> None:
    seen = seen_in(subscription(shape=shape, status="trialing"))

    assert seen.status == "trialing"
    assert seen.trial_end == seen.current_period_end == at(START + 180 * DAY)


@both_shapes
@pytest.mark.parametrize("type", ["invoice.paid", "invoice.payment_succeeded"])
def test_a_paid_invoice_becomes_what_was_paid(type: str, shape: Shape) -> None:
    assert translate(example(type, shape)) == commands.RecordInvoicePaid(
        subscription_ref="sub_1",
        owner=Owner("cus_1", USER, ours=True, at=at(HOUR)),
        invoice_ref="in_1",
        amount=Money(1000, "usd"),
        at=at(HOUR),
        hosted_invoice_url="https://invoice.stripe.com/i/in_1",
        invoice_pdf="https://pay.stripe.com/invoice/in_1/pdf",
    )


@both_shapes
@pytest.mark.parametrize(
    ("type", "reason"),
    [
        ("invoice.payment_failed", PaymentFailure.DECLINED),
        ("invoice.payment_action_required", PaymentFailure.ACTION_REQUIRED),
    ],
)
def test_a_failed_payment_becomes_what_is_owed(
    type: str, reason: PaymentFailure, shape: Shape
) -> None:
    found = invoice(shape=shape, paid=False, amount=1500, attempt_count=2)

    assert translate(event(type, found, created=HOUR)) == commands.RecordPaymentFailure(
        subscription_ref="sub_1",
        owner=Owner("cus_1", USER, ours=True, at=at(HOUR)),
        invoice_ref="in_1",
        amount=Money(1500, "usd"),
        reason=reason,
        attempt_count=2,
        next_attempt_at=at(START + 3 * DAY),
        at=at(HOUR),
        hosted_invoice_url="https://invoice.stripe.com/i/in_1",
    )


@pytest.mark.parametrize(("kind", "rank"), [("created", Rank.CREATED), ("updated", Rank.UPDATED)])
def test_a_customer_becomes_who_they_are(kind: str, rank: Rank) -> None:
    assert translate(event(f"customer.{kind}", customer(), created=HOUR)) == UpdateCustomer(
        customer_ref="cus_1",
        user_id=USER,
        email="alice@example.com",
        name="Alice",
        provider_created_at=at(START),
        as_of=watermark(at(HOUR), rank),
        livemode=False,
    )


@pytest.mark.parametrize("found", [customer(), deleted(), {"id": "cus_1"}])
def test_a_deleted_customer_needs_no_more_than_its_id(found: Payload) -> None:
    assert translate(event("customer.deleted", found, created=HOUR)) == commands.RetireCustomer(
        "cus_1", at(HOUR), livemode=False
    )


def test_a_finished_checkout_names_the_buyer() -> None:
    assert translate(example("checkout.session.completed")) == commands.CompleteCheckout(
        "cs_test_1", Owner("cus_1", USER, at=at(HOUR)), "sub_1"
    )


def test_an_expired_checkout_has_neither_customer_nor_subscription() -> None:
    found = checkout_session(status="expired", customer=None)

    assert translate(event("checkout.session.expired", found)) == commands.ExpireCheckout(
        "cs_test_1", Owner(None, USER, at=at(START))
    )


def test_a_checkout_of_something_else_is_foreign() -> None:
    found = translate(event("checkout.session.completed", checkout_session(subscription=None)))

    assert isinstance(found, Unhandled)
    assert found.foreign


@both_shapes
@pytest.mark.parametrize("type", [type for type in EXAMPLES if type.startswith("invoice.")])
def test_an_invoice_of_no_subscription_is_foreign(type: str, shape: Shape) -> None:
    found = translate(event(type, invoice(shape=shape, subscription=None)))

    assert isinstance(found, Unhandled)
    assert found.foreign


@pytest.mark.parametrize(
    "type",
    ["charge.refunded", "invoice.created", "customer.subscription.pending_update_applied", "x"],
)
def test_another_type_asks_nothing_of_us(type: str) -> None:
    for found in ({}, customer(), {"id": 7}):
        result = translate(event(type, found))
        assert isinstance(result, Unhandled)
        assert not result.foreign


def test_the_mode_of_the_event_goes_with_its_owner() -> None:
    claimed = StripeWebhooks([], price_list()).translate(
        ClaimedWebhook(
            id=uuid4(),
            event_id="evt_1",
            event_type="customer.subscription.updated",
            ordering_key="sub_1",
            livemode=True,
            payload=encode(example("customer.subscription.updated")),
            traceparent=TRACE,
            age=timedelta(0),
            attempts=0,
        )
    )

    assert isinstance(claimed, ApplySubscriptionChange)
    assert claimed.owner.livemode


# Statuses


@pytest.mark.parametrize(
    ("stripe", "ours"),
    [
        ("incomplete", "incomplete"),
        ("incomplete_expired", "expired"),
        ("trialing", "trialing"),
        ("active", "active"),
        ("past_due", "past_due"),
        ("unpaid", "unpaid"),
        ("paused", "paused"),
        ("canceled", "canceled"),
        ("on_hold_2", "on_hold_2"),
    ],
)
def test_statuses_are_ours_or_kept_as_they_are(stripe: str, ours: str) -> None:
    assert seen_in(subscription(status=stripe)).status == ours


@pytest.mark.parametrize("status", ["", "Active", "a b", "1st", "ä", "a" * 51, "a\x00", "a\n"])
def test_a_status_that_cannot_be_a_name_is_unreadable(status: str) -> None:
    with pytest.raises(UnreadableWebhook, match=r"subscription\.status"):
        seen_in(subscription(status=status))


@pytest.mark.parametrize(
    "intent",
    ["seti_1", {"id": "seti_1", "status": "requires_payment_method"}],
)
def test_a_trial_that_still_awaits_its_card_is_incomplete(intent: Any) -> None:
    seen = seen_in(subscription(status="trialing", pending_setup_intent=intent))

    assert seen.status == "incomplete"
    assert not seen.shows_a_used_trial


def test_a_trial_whose_card_was_taken_is_one() -> None:
    intent = {"id": "seti_1", "status": "succeeded"}

    assert seen_in(subscription(status="trialing", pending_setup_intent=intent)).status == (
        "trialing"
    )
    assert seen_in(subscription(status="active", pending_setup_intent="seti_1")).status == "active"


def test_a_pause_of_collection_leaves_the_status() -> None:
    paused = {"behavior": "void", "resumes_at": None}

    assert seen_in(subscription(pause_collection=paused)).status == "active"


@pytest.mark.parametrize("status", ["active", "past_due", "trialing", "on_hold"])
def test_what_is_deleted_has_ended_whatever_its_last_status_was(status: str) -> None:
    found = change_of(subscription(status=status), kind="deleted")

    assert found.snapshot.status == "canceled"
    assert found.snapshot.end == at(HOUR), "when it was deleted, since it does not say"
    assert found.as_of == watermark(at(HOUR), Rank.DELETED)


def test_a_deleted_attempt_stays_expired() -> None:
    assert seen_in(subscription(status="incomplete_expired"), kind="deleted").status == "expired"


def test_an_end_is_when_it_ended_rather_than_when_that_was_asked_for() -> None:
    found = subscription(status="canceled", ended_at=START + 9 * DAY, canceled_at=START + DAY)

    assert seen_in(found).end == at(START + 9 * DAY)
    assert seen_in(found | {"ended_at": None}).end == at(START + DAY)


# Schedules and periods


@both_shapes
def test_a_cancellation_at_the_periods_end_is_scheduled_for_it(shape: Shape) -> None:
    found = subscription(shape=shape, cancel_at_period_end=True)

    assert seen_in(found).cancel_at == at(START + 30 * DAY)


@both_shapes
def test_a_cancellation_at_a_moment_is_scheduled_for_it(shape: Shape) -> None:
    found = subscription(shape=shape, cancel_at=START + 12 * DAY)

    assert seen_in(found).cancel_at == at(START + 12 * DAY)
    assert seen_in(found | {"cancel_at_period_end": True}).cancel_at == at(START + 12 * DAY)


def test_what_has_ended_has_nothing_scheduled() -> None:
    found = subscription(status="canceled", cancel_at=START + DAY, cancel_at_period_end=True)

    assert seen_in(found).cancel_at is None


def test_a_cancellation_without_a_period_is_scheduled_for_the_trials_end() -> None:
    found = subscription(status="trialing", cancel_at_period_end=True, items=None)

    assert seen_in(found).cancel_at == at(START + 180 * DAY)


# What was bought


def test_a_price_is_known_by_its_lookup_key_before_anything_was_learned() -> None:
    found = change_of(subscription(lookup_key="general_annual"), price_list())

    assert (found.snapshot.plan, found.snapshot.interval) == ("general", "year")
    assert found.owner.ours


def test_a_price_for_several_intervals_is_none_of_ours_whatever_its_lookup_key() -> None:
    yearly = price("general_annual")
    found = subscription(prices=[yearly | {"recurring": {"interval": "year", "interval_count": 2}}])

    assert seen_in(found).plan == "unknown"


def test_a_price_that_lost_its_lookup_key_is_known_by_its_reference() -> None:
    found = subscription(prices=[price("general_annual") | {"lookup_key": None}])

    for sold in (found, subscription(prices=[price(None, id="price_general_annual")])):
        seen = seen_in(sold)
        assert (seen.plan, seen.interval) == ("general", "year")


@both_shapes
def test_an_unknown_price_never_blocks_a_status(shape: Shape) -> None:
    retired = price(None, interval="year")
    found = change_of(subscription(shape=shape, status="past_due", prices=[retired]))

    assert found.snapshot.status == "past_due"
    assert (found.snapshot.plan, found.snapshot.interval) == ("unknown", "year")
    assert found.snapshot.price_ref == "price_foreign"
    assert not found.owner.ours


def test_a_plan_from_before_there_were_prices_is_known_by_its_reference() -> None:
    found = subscription(shape="old", lookup_key="general_annual")
    del found["items"]["data"][0]["price"]
    assert (seen_in(found).plan, seen_in(found).price_ref) == ("general", "price_general_annual")

    only_at_the_top = found | {"items": None}
    assert (seen_in(only_at_the_top).plan, seen_in(only_at_the_top).interval) == ("general", "year")

    unknown = subscription(shape="old", prices=[], plan=plan_of(price(None, interval="year")))
    assert (seen_in(unknown).plan, seen_in(unknown).interval) == ("unknown", "year")


def test_of_several_items_ours_is_what_was_bought() -> None:
    add_on = price(None, id="price_add_on")
    ours = price("event_organizer_monthly")

    for prices in ([add_on, ours], [ours, add_on]):
        seen = seen_in(subscription(prices=prices))
        assert (seen.plan, seen.price_ref) == ("event_organizer", ours["id"])
        assert seen.current_period_end == at(START + 30 * DAY)


def test_a_price_may_be_named_only() -> None:
    found = subscription()
    found["items"]["data"][0]["price"] = "price_general_annual"

    assert (seen_in(found).plan, seen_in(found).price_ref) == ("general", "price_general_annual")


@pytest.mark.parametrize("interval", ["", "x" * 21, "a\x00", "Month"])
def test_an_interval_that_cannot_be_one_is_unknown(interval: str) -> None:
    sold = price(None) | {"recurring": {"interval": interval, "interval_count": 1}}

    assert seen_in(subscription(prices=[sold], period=(START, START + DAY))).interval is None


def test_without_items_nothing_is_known_of_what_was_bought() -> None:
    empty: list[Any] = [None, {"data": []}]
    for items in empty:
        seen = seen_in(subscription(items=items))
        assert (seen.plan, seen.interval, seen.price_ref) == ("unknown", None, None)


@both_shapes
def test_an_invoice_over_one_of_our_prices_is_ours(shape: Shape) -> None:
    for lookup_key, ours in (("general_monthly", True), (None, False)):
        found = translate(
            event("invoice.paid", invoice(shape=shape, lookup_key=lookup_key, user_id=None))
        )
        assert isinstance(found, commands.RecordInvoicePaid)
        assert found.owner == Owner("cus_1", None, ours=ours, at=at(START))


# Whose it is


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"user_id": ""},
        {"user_id": "10"},
        {"user_id": None},
        {"user_id": 7},
        {"user_id": ["x"]},
        {"user_id": "0" * 33},
        {"user": str(USER)},
    ],
)
def test_metadata_without_a_uuid_names_nobody(metadata: Any) -> None:
    assert change_of(subscription(metadata=metadata)).owner.user_id is None


def test_metadata_may_hold_anything_else() -> None:
    metadata = {"user_id": str(USER), "more": {"deep": [1, None]}, "": ""}

    assert change_of(subscription(metadata=metadata)).owner.user_id == USER


@both_shapes
def test_expanded_objects_are_known_by_their_ids(shape: Shape) -> None:
    expanded = subscription(shape=shape, customer=customer())
    assert change_of(expanded).owner.customer_ref == "cus_1"

    paid = translate(
        event(
            "invoice.paid",
            invoice(shape=shape, customer=customer(), subscription=subscription(shape=shape)),
        )
    )
    assert isinstance(paid, commands.RecordInvoicePaid)
    assert (paid.subscription_ref, paid.owner.customer_ref) == ("sub_1", "cus_1")

    bought = checkout_session(customer=customer(), subscription=subscription(shape=shape))
    assert translate(event("checkout.session.completed", bought)) == commands.CompleteCheckout(
        "cs_test_1", Owner("cus_1", USER, at=at(START)), "sub_1"
    )


@pytest.mark.parametrize(
    ("email", "kept"),
    [
        (None, None),
        ("", None),
        ("a@b", "a@b"),
        ("a\x00@b", "a@b"),
        ("\x00", None),
        ("a" * 255, "a" * 255),
        ("a" * 256, None),
    ],
)
def test_an_email_is_kept_as_its_column_takes_it(email: str | None, kept: str | None) -> None:
    found = translate(event("customer.updated", customer(email=email)))

    assert isinstance(found, UpdateCustomer)
    assert found.email == kept


def test_a_name_is_cut_to_its_column() -> None:
    found = translate(event("customer.updated", customer(name="\x00" + "ü" * 300)))

    assert isinstance(found, UpdateCustomer)
    assert found.name == "ü" * 255


# What is not as we know it


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    found = []
    for key, child in inner:
        found += [(*prefix, key), *paths(child, (*prefix, key))]
    return found


def dotted(path: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in path)


# An invoice has no page before it is finalized, and of old did not repeat whose it is; metadata
# holds what somebody put there.
MAY_BE_NOT_THERE: Final = {"hosted_invoice_url", "invoice_pdf", "subscription_details", "user_id"}


@both_shapes
@pytest.mark.parametrize("type", EXAMPLES)
def test_a_missing_field_either_does_not_matter_or_is_named(type: str, shape: Shape) -> None:
    full = example(type, shape)["data"]
    with_all = translate(example(type, shape))
    for path in paths(full):
        if isinstance(path[-1], int):
            continue  # an entry of a list is no field
        lacking = deepcopy(full)
        owner = lacking
        for key in path[:-1]:
            owner = owner[key]
        del owner[path[-1]]
        try:
            found = translate(example(type, shape) | {"data": lacking})
        except UnreadableWebhook as error:
            message = str(error)
        else:
            if path[-1] not in MAY_BE_NOT_THERE:
                assert found == with_all, f"without {dotted(path)}"
            continue
        assert f"`{path[-1]}`" in message, f"{dotted(path)} is not named in: {message}"
        assert message.startswith(f"{type}: ")


@settings(max_examples=150)
@given(data=st.data())
def test_a_field_of_any_other_value_is_translated_or_unreadable(data: st.DataObject) -> None:
    type = data.draw(st.sampled_from(sorted(EXAMPLES)))
    full = example(type, data.draw(st.sampled_from(SHAPES)))
    *outer, last = data.draw(st.sampled_from(paths(full["data"])))
    owner = full["data"]
    for key in outer:
        owner = owner[key]
    owner[last] = data.draw(
        st.none()
        | st.booleans()
        | st.integers(-(10**19), 10**19)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=300)
        | st.just([])
        | st.just({})
        | st.just({"id": "x"})
    )
    try:
        found = translate(full)
    except UnreadableWebhook:
        return
    assert isinstance(found, Command | Unhandled)
    check_columns(found)


def check_columns(found: Command | Unhandled) -> None:
    """What was translated fits the columns it will be written to."""
    if isinstance(found, ApplySubscriptionChange):
        seen = found.snapshot
        for text in (seen.status, seen.plan, seen.interval, seen.price_ref, found.subscription_ref):
            check_text(text)
        for moment in (seen.start, seen.end, seen.trial_end, seen.cancel_at):
            assert moment is None or isinstance(moment, datetime)
    elif isinstance(found, UpdateCustomer):
        for text in (found.email, found.name, found.customer_ref):
            check_text(text)


def check_text(text: str | None) -> None:
    assert text is None or len(text) <= 255
    assert text is None or "\x00" not in text
    assert text is None or text.encode()


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (subscription("sub 1"), "subscription.id"),
        (subscription("s" * 256), "subscription.id"),
        (subscription(customer=""), "subscription.customer"),
        (subscription(customer={"id": "\n"}), "subscription.customer"),
        (subscription(customer=7), r"\$\.data\.object\.customer"),
        (subscription(trial_end=10**18), "no time"),
        (subscription(trial_end=10**12), "out of range"),
        (subscription(trial_end=10**30), "no time"),
        (subscription(trial_end="soon"), r"\$\.data\.object\.trial_end"),
        (subscription() | {"status": None}, r"\$\.data\.object\.status"),
        (subscription(items=[]), r"\$\.data\.object\.items"),
        (subscription(metadata="x"), r"\$\.data\.object\.metadata"),
        (subscription(status="trialing", pending_setup_intent={"id": "seti_1"}), "`status`"),
    ],
)
def test_a_subscription_with_an_unusable_field_is_unreadable(found: Payload, message: str) -> None:
    with pytest.raises(UnreadableWebhook, match=message):
        change_of(found)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (invoice(currency="dollar"), "not a currency"),
        (invoice(currency="u$d"), "not a currency"),
        (invoice(amount_paid="1000"), r"\$\.data\.object\.amount_paid"),
        (invoice(amount_paid=None), r"\$\.data\.object\.amount_paid"),
        (invoice(amount_paid=10.5), r"\$\.data\.object\.amount_paid"),
        (invoice(subscription="sub 1"), "invoice.subscription"),
    ],
)
def test_an_invoice_with_an_unusable_field_is_unreadable(found: Payload, message: str) -> None:
    with pytest.raises(UnreadableWebhook, match=message):
        translate(event("invoice.paid", found))


def test_an_upper_case_currency_is_understood() -> None:
    found = translate(event("invoice.paid", invoice(currency="USD")))

    assert isinstance(found, commands.RecordInvoicePaid)
    assert found.amount == Money(1000, "usd")


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"type": "x", "created": 10000000000000000000000000, "data": {}}'],
)
def test_stored_bytes_that_are_no_event_are_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableWebhook, match=r"customer\.updated"):
        translate(body, type="customer.updated")


def test_a_user_id_is_read_in_every_spelling_of_a_uuid() -> None:
    for spelling in (str(USER), str(USER).upper(), USER.hex):
        assert change_of(subscription(user_id=spelling)).owner.user_id == UUID(spelling)
