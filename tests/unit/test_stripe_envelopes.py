"""What is signed by Stripe but no event we can keep is refused by the class of its fault."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.http.openapi import WEBHOOK_PATH
from adapters.stripe.webhooks import StripeWebhooks, read_event
from contracts.generate import ROOT
from ports.inbox import ReceivedWebhook
from ports.webhooks import RejectedWebhook, RejectionReason
from tests.builders import TRACE, price_list
from tests.stripe_payloads import (
    SECRET,
    START,
    Payload,
    Shape,
    at,
    checkout_session,
    customer,
    deleted,
    encode,
    event,
    invoice,
    signed,
    subscription,
)

READER: Final = StripeWebhooks([SECRET], price_list())
SHAPES: Final[tuple[Shape, ...]] = ("new", "old")
DEEP: Final = 200_000


def receive(payload: object) -> ReceivedWebhook:
    body, header = signed(payload, timestamp=START)
    return READER.receive(body, header, now=at(START), traceparent=TRACE)


def reason_for(payload: object) -> RejectionReason:
    with pytest.raises(RejectedWebhook) as rejected:
        receive(payload)
    assert SECRET not in str(rejected.value)
    return rejected.value.reason


def without(name: str) -> Payload:
    found = event("customer.created", customer())
    del found[name]
    return found


def test_an_event_is_kept_as_it_came() -> None:
    body, header = signed(
        event("customer.created", customer(), id="evt_1", livemode=True), timestamp=START
    )

    assert READER.receive(
        body, header, now=at(START) + timedelta(seconds=9), traceparent=TRACE
    ) == ReceivedWebhook(
        event_id="evt_1",
        event_type="customer.created",
        ordering_key="cus_1",
        livemode=True,
        api_version="2026-10-28.endive",
        created=at(START),
        payload=body,
        traceparent=TRACE,
    )


def test_the_signature_is_checked_before_anything_is_read() -> None:
    with pytest.raises(RejectedWebhook) as rejected:
        READER.receive(b"not JSON", f"t={START},v1=0", now=at(START), traceparent=TRACE)

    assert rejected.value.reason is RejectionReason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b'{"id": "evt_1"',
        b"{'id': 'evt_1'}",
        b'{"id": "evt_1",}',
        b"id=evt_1&type=x",
        b"<html></html>",
        b"{} {}",
        b'{"id": NaN}',
        b'{"created": Infinity}',
        pytest.param(b"\xef\xbb\xbf" + encode(event("x", {})), id="byte order mark"),
        b'{"id": "\\ud800"}',
        b'{"data": {"object": {"name": "\\ud800 alone"}}}',
        b'{"data": {"object": {"name": "\\udc00\\ud800"}}}',
        b'{"data": {"object": {"id": "\x01"}}}',
        b'{"data": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"else": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert reason_for(body) is RejectionReason.NOT_JSON


def test_bytes_that_are_no_text_are_refused_though_a_signature_may_fit_them() -> None:
    with pytest.raises(RejectedWebhook) as refused:
        read_event(b'{"id": "evt_\xdc"}', traceparent="")
    assert refused.value.reason is RejectionReason.NOT_JSON


@pytest.mark.parametrize("payload", [[], [event("x", {})], "event", 17, 1.5, True, None])
def test_json_that_is_no_object_is_refused(payload: object) -> None:
    assert reason_for(payload) is RejectionReason.NOT_AN_OBJECT


def test_a_thin_event_is_refused_by_its_name() -> None:
    thin = {
        "id": "evt_test_65R",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "livemode": False,
        "created": "2026-01-01T00:00:00.000Z",
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/x"},
        "reason": None,
    }

    assert reason_for(thin) is RejectionReason.THIN_EVENT
    assert reason_for(thin | {"data": {"object": {}}, "created": START}) is (
        RejectionReason.THIN_EVENT
    )


@pytest.mark.parametrize("name", ["id", "object", "type", "created", "livemode", "data"])
def test_an_event_that_lacks_what_is_relied_on_is_refused(name: str) -> None:
    assert reason_for(without(name)) is RejectionReason.NOT_AN_EVENT
    assert reason_for(without(name) | {name: None}) is RejectionReason.NOT_AN_EVENT


def test_the_document_requires_what_is_relied_on_and_no_more() -> None:
    operation = json.loads((ROOT / "openapi.json").read_text())["paths"][WEBHOOK_PATH]["post"]
    asked = operation["requestBody"]["content"]["application/json"]["schema"]

    for name in asked["properties"]:
        if name in asked["required"]:
            reason_for(without(name))
        else:
            receive(without(name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", ""),
        ("id", "evt 1"),
        ("id", "evt_\n"),
        ("id", "evt_ü"),
        ("id", "evt_\x00"),
        ("id", "e" * 256),
        ("id", 1),
        ("id", {}),
        ("type", ""),
        ("type", "customer created"),
        ("type", "ünknown"),
        ("type", "t" * 101),
        ("type", []),
        ("object", "Event"),
        ("object", "list"),
        ("created", -1),
        ("created", 10**12),
        ("created", 10**18),
        ("created", 10**30),
        ("created", 10**300),
        ("created", 1.5),
        ("created", float(START)),
        ("created", True),
        ("created", str(START)),
        ("created", "2026-01-01T00:00:00Z"),
        ("data", []),
        ("data", "object"),
        ("data", 0),
        ("livemode", "true"),
        ("livemode", None),
        ("api_version", 2026),
    ],
)
def test_an_event_with_an_unusable_member_is_refused(name: str, value: object) -> None:
    assert reason_for(event("customer.created", customer()) | {name: value}) is (
        RejectionReason.NOT_AN_EVENT
    )


def test_the_longest_id_and_type_are_kept() -> None:
    found = receive(event("t" * 100, customer(), id="e" * 255))

    assert (found.event_id, found.event_type) == ("e" * 255, "t" * 100)


@pytest.mark.parametrize("version", [None, "", "v" * 101, "2026 10"])
def test_an_odd_api_version_is_left_out(version: str | None) -> None:
    assert receive(event("x", customer(), api_version=version)).api_version is None


def test_of_two_members_with_one_name_the_last_is_read_here_as_everywhere() -> None:
    body = encode(event("customer.created", customer(), id="evt_2"))
    twice = b'{"id": "evt_1",' + body.lstrip()[1:]

    assert receive(twice).event_id == "evt_2" == json.loads(twice)["id"]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=9), children, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(body=st.text().map(str.encode) | st.binary())
def test_nothing_but_a_rejection_comes_of_any_signed_bytes(body: bytes) -> None:
    try:
        header = signed(body, timestamp=START).header
    except UnicodeDecodeError:
        header = f"t={START},v1=0"
    with pytest.raises(RejectedWebhook):
        READER.receive(body, header, now=at(START), traceparent=TRACE)


@settings(max_examples=300)
@given(payload=values)
def test_nothing_but_a_rejection_comes_of_any_signed_json(payload: object) -> None:
    assert reason_for(payload) in (RejectionReason.NOT_AN_OBJECT, RejectionReason.NOT_AN_EVENT)


@settings(max_examples=300)
@given(
    changes=st.dictionaries(
        st.sampled_from(["id", "object", "type", "created", "data", "livemode", "api_version"]),
        values | st.fixed_dictionaries({"object": values}),
        min_size=1,
        max_size=2,
    )
)
def test_an_event_with_any_member_changed_is_kept_or_rejected(changes: dict[str, Any]) -> None:
    try:
        found = receive(event("customer.created", customer()) | changes)
    except RejectedWebhook:
        return
    assert 1 <= len(found.event_id) <= 255
    assert 1 <= len(found.event_type) <= 100
    assert 1 <= len(found.ordering_key) <= 255
    found.ordering_key.encode("ascii")


# What must be worked on in order with what


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("subscription", "sub_1"),
        ("invoice", "sub_1"),
        ("invoice of no subscription", "cus_1"),
        ("expanded invoice", "sub_1"),
        ("customer", "cus_1"),
        ("deleted customer", "cus_1"),
        ("checkout", "sub_1"),
        ("expanded checkout", "sub_1"),
        ("expired checkout", "cus_1"),
        ("expired checkout of a stranger", "evt_1"),
        ("payment method", "cus_1"),
        ("balance", "evt_1"),
        ("no object", "evt_1"),
        ("an odd id", "evt_1"),
        ("a long id", "evt_1"),
        ("an id of another type", "evt_1"),
    ],
)
def test_the_ordering_key_is_the_subscription_else_the_customer_else_the_event(
    name: str, key: str, shape: Shape
) -> None:
    objects: dict[str, Payload] = {
        "subscription": subscription(shape=shape),
        "invoice": invoice(shape=shape),
        "invoice of no subscription": invoice(shape=shape, subscription=None),
        "expanded invoice": invoice(
            shape=shape, subscription={"id": "sub_1"}, customer={"id": "cus_1"}
        ),
        "customer": customer(),
        "deleted customer": deleted(),
        "checkout": checkout_session(),
        "expanded checkout": checkout_session(subscription=subscription(shape=shape)),
        "expired checkout": checkout_session(status="expired"),
        "expired checkout of a stranger": checkout_session(status="expired", customer=None),
        "payment method": {"id": "pm_1", "object": "payment_method", "customer": "cus_1"},
        "balance": {"object": "balance"},
        "no object": {},
        "an odd id": subscription("sub 1"),
        "a long id": subscription("s" * 256),
        "an id of another type": subscription() | {"id": 7},
    }

    assert receive(event("x.y", objects[name], id="evt_1", shape=shape)).ordering_key == key


def test_everything_about_one_subscription_has_one_ordering_key() -> None:
    objects = [subscription(), invoice(), checkout_session(), invoice(shape="old")]

    assert {receive(event("x.y", found)).ordering_key for found in objects} == {"sub_1"}
