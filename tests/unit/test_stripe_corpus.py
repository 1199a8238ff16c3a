"""Real payloads from public projects are taken as they are.

They lie beside the checkout on some machines and are no part of this project, so that these
tests are skipped where they are missing. Where they lack a type of event, it is composed of a
real object and an envelope of our own.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from adapters.stripe.translation import HANDLED_TYPES
from adapters.stripe.webhooks import StripeWebhooks
from domain.commands import (
    ApplySubscriptionChange,
    Command,
    RecordInvoicePaid,
    RecordPaymentFailure,
    RetireCustomer,
    UpdateCustomer,
)
from domain.plans import PriceList
from ports.inbox import ClaimedWebhook, ReceivedWebhook
from ports.webhooks import Unhandled
from tests.builders import TRACE, price_list
from tests.stripe_payloads import SECRET, START, USER, Payload, at, event, signed

CORPUS: Final = Path(__file__).parents[3] / "shared" / "stripe"
RECORDED: Final = sorted((CORPUS / "payloads").glob("*/*.json"))
FIXTURES: Final = CORPUS / "fixtures.json"

pytestmark = pytest.mark.skipif(
    not RECORDED or not FIXTURES.exists(),
    reason="needs the recorded payloads, in ../shared/stripe beside the checkout",
)


def load(path: Path) -> Payload:
    found: Payload = json.loads(path.read_text())
    return found


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


LOADED: Final = {name_of(path): load(path) for path in RECORDED}
EVENTS: Final = {name: found for name, found in LOADED.items() if found.get("object") == "event"}
FIXTURE_OBJECTS: Final[dict[str, Payload]] = (
    load(FIXTURES)["resources"] if FIXTURES.exists() else {}
)


def objects(kind: str) -> list[Payload]:
    """Every recorded object of this kind: those in events, those alone, Stripe's own sample."""
    recorded = [found["data"]["object"] if "data" in found else found for found in LOADED.values()]
    samples = [FIXTURE_OBJECTS[kind]] if FIXTURE_OBJECTS else []
    return [found for found in [*recorded, *samples] if found.get("object") == kind]


def take(payload: Payload, prices: PriceList | None = None) -> tuple[ReceivedWebhook, Any]:
    """Receive an event as Stripe would deliver it, and translate what was stored."""
    reader = StripeWebhooks([SECRET], prices or price_list(learned=True))
    body, header = signed(payload, timestamp=START)
    received = reader.receive(body, header, now=at(START), traceparent=TRACE)
    claimed = ClaimedWebhook(
        id=uuid4(),
        event_id=received.event_id,
        event_type=received.event_type,
        ordering_key=received.ordering_key,
        livemode=received.livemode,
        payload=received.payload,
        traceparent=received.traceparent,
        age=timedelta(0),
        attempts=0,
    )
    return received, reader.translate(claimed)


@pytest.mark.parametrize("name", EVENTS)
def test_every_recorded_event_is_received_and_translated(name: str) -> None:
    received, meaning = take(EVENTS[name])

    assert received.event_id == EVENTS[name]["id"]
    assert received.api_version == EVENTS[name]["api_version"]
    assert received.created == at(EVENTS[name]["created"])
    assert isinstance(meaning, Command | Unhandled)
    if received.event_type not in HANDLED_TYPES:
        assert isinstance(meaning, Unhandled)


def test_recorded_events_belong_to_no_user_of_ours() -> None:
    for recorded in EVENTS.values():
        _, meaning = take(recorded)
        if isinstance(meaning, ApplySubscriptionChange | RecordInvoicePaid | RecordPaymentFailure):
            assert meaning.owner.user_id is None
            assert not meaning.owner.ours
        if isinstance(meaning, UpdateCustomer):
            assert meaning.user_id is None


def test_there_are_recorded_objects_of_every_kind() -> None:
    for kind in ("subscription", "invoice", "customer"):
        assert len(objects(kind)) > 1


@pytest.mark.parametrize("index", range(len(objects("subscription")) if RECORDED else 0))
def test_a_recorded_subscription_becomes_a_snapshot(index: int) -> None:
    recorded = objects("subscription")[index]
    _, meaning = take(event("customer.subscription.updated", recorded))

    assert isinstance(meaning, ApplySubscriptionChange)
    assert meaning.subscription_ref == recorded["id"]
    assert meaning.owner.customer_ref == recorded["customer"]
    assert meaning.owner.user_id is None
    assert not meaning.owner.ours
    seen = meaning.snapshot
    assert seen.status == recorded["status"]
    assert seen.plan == "unknown"
    assert seen.interval in ("day", "week", "month", "year")
    assert seen.start == at(recorded["start_date"])
    assert seen.current_period_start is not None
    assert seen.current_period_end is not None
    assert (seen.end is None) == (seen.status != "canceled")


@pytest.mark.parametrize("index", range(len(objects("subscription")) if RECORDED else 0))
def test_a_recorded_subscription_to_one_of_our_prices_is_ours(index: int) -> None:
    overlaid = json.loads(json.dumps(objects("subscription")[index]))
    overlaid["metadata"]["user_id"] = str(USER)
    for item in overlaid["items"]["data"]:
        item["price"] = {**(item.get("price") or {}), "lookup_key": "event_organizer_annual"}
    _, meaning = take(event("customer.subscription.updated", overlaid), price_list())

    assert isinstance(meaning, ApplySubscriptionChange)
    assert meaning.owner.user_id == USER
    assert meaning.owner.ours
    assert meaning.snapshot.plan == "event_organizer"
    assert meaning.snapshot.interval == "year"
    assert meaning.snapshot.price_ref is not None


@pytest.mark.parametrize("type", ["invoice.paid", "invoice.payment_failed"])
@pytest.mark.parametrize("index", range(len(objects("invoice")) if RECORDED else 0))
def test_a_recorded_invoice_is_understood(index: int, type: str) -> None:
    recorded = objects("invoice")[index]
    _, meaning = take(event(type, recorded))

    details = (recorded.get("parent") or {}).get("subscription_details") or {}
    named = details.get("subscription") or recorded.get("subscription")
    if named is None:
        assert isinstance(meaning, Unhandled)
        assert meaning.foreign
    else:
        assert isinstance(meaning, RecordInvoicePaid | RecordPaymentFailure)
        assert meaning.subscription_ref == named
        assert meaning.invoice_ref == recorded["id"]
        assert meaning.amount.currency == recorded["currency"]


@pytest.mark.parametrize("index", range(len(objects("customer")) if RECORDED else 0))
def test_a_recorded_customer_is_understood(index: int) -> None:
    recorded = objects("customer")[index]
    if recorded.get("deleted"):  # of which only `customer.deleted` tells
        _, meaning = take(event("customer.deleted", recorded))
        assert isinstance(meaning, RetireCustomer)
        assert meaning.customer_ref == recorded["id"]
        return
    _, meaning = take(event("customer.updated", recorded))

    assert isinstance(meaning, UpdateCustomer)
    assert meaning.customer_ref == recorded["id"]
    assert meaning.email == (recorded.get("email") or None)


def test_recorded_objects_of_one_subscription_share_an_ordering_key() -> None:
    for recorded in objects("invoice"):
        named = recorded.get("subscription")
        if isinstance(named, str):
            assert take(event("invoice.paid", recorded))[0].ordering_key == named
    for recorded in objects("subscription"):
        assert (
            take(event("customer.subscription.updated", recorded))[0].ordering_key
            == (recorded["id"])
        )
