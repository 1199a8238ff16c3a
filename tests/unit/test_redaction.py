"""What is kept of an error holds no secret and no whole address."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.process_inbox import ERROR_LENGTH, describe
from service.redaction import people_removed, redacted, without_people

_WORD = st.text("abcdefghij.+-_0123456789", min_size=2, max_size=20)


@given(local=_WORD, domain=_WORD, before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_address_is_left_whole(local: str, domain: str, before: str, after: str) -> None:
    assert f"{local}@{domain}" not in redacted(f"{before} {local}@{domain} {after}")


@pytest.mark.parametrize(
    "secret",
    [
        "sk_" + "test_51canaryCANARYcanary",
        "sk_" + "live_51canaryCANARYcanary",
        "rk_" + "live_51canaryCANARYcanary",
        "whsec_canaryCANARYcanary",
        "postgresql://payments:" + "canary@db.internal/payments",
        "amqps://user:" + "p%40canary:x@mq/",
        "postgresql://payments:" + "p@canary@db.internal/payments",
        "eyJhbGciOi." + "eyJzdWIiOi.canary_signature-x",
    ],
)
def test_no_secret_is_left(secret: str) -> None:
    for text in (secret, f"Invalid key provided: {secret}.", f"(error='{secret}')"):
        assert "canary" not in redacted(text)


@given(text=st.text(max_size=200))
def test_what_is_redacted_once_is_not_changed_again(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


def test_words_without_a_secret_are_left_as_they_are() -> None:
    said = "OwnershipConflict: the event names user 5f0c, sub_1 and cus_2 at 12:30: see evt_3"
    assert redacted(said) == said


def test_an_error_is_kept_redacted_and_of_bounded_length() -> None:
    kept = describe(ValueError("alice@example.com " * 1_000))
    assert "alice@" not in kept
    assert len(kept) == ERROR_LENGTH


def test_what_a_payload_says_of_people_is_masked_and_the_rest_is_there() -> None:
    payload = {
        "id": "evt_1",
        "data": {
            "object": {
                "customer_email": "alice@example.com",
                "customer_address": {"line1": "Canary Street 1"},
                "customer_shipping": {"name": "Alice Canary", "phone": None},
                "lines": [{"description": "for canary@example.com", "amount": 1000}],
            }
        },
    }

    shown = without_people(json.dumps(payload).encode())

    assert "canary" not in shown.lower()
    assert "alice" not in shown.lower()
    about = json.loads(shown)["data"]["object"]
    assert about["customer_email"] == "***"
    assert about["customer_shipping"] == {"name": "***", "phone": None}
    assert about["lines"][0]["amount"] == 1000


def test_of_a_payload_that_is_no_json_no_address_is_shown() -> None:
    assert "alice" not in without_people(b"\xff alice@example.com")


def test_what_a_database_quotes_of_a_row_is_left_out_and_its_hint_stays() -> None:
    said = "no\nDETAIL:  Failing row contains (1, Alice,\n Street).\nHINT:  See it.\n\nAbove"
    assert redacted(said) == "no\nDETAIL:  ***\nHINT:  See it.\n\nAbove"


def test_of_people_nothing_is_left_in_a_payload_that_is_kept_for_long() -> None:
    about = {
        "customer": "cus_1",
        "customer_details": {"email": "alice@example.com", "tax_ids": [{"value": "canary"}]},
        "metadata": {"user_id": "u", "contact": "alice@example.com"},
        "lines": [{"description": "for alice@example.com", "amount": 1000}],
    }

    kept = json.loads(people_removed(json.dumps(about).encode()))

    assert kept == {
        "customer": "cus_1",
        "customer_details": {},
        "metadata": {"user_id": "u", "contact": "***"},
        "lines": [{"description": "for ***", "amount": 1000}],
    }


@pytest.mark.parametrize("payload", [b"\xff", b"[" * 100_000 + b"]" * 100_000, b"no JSON"])
def test_of_a_payload_that_cannot_be_taken_apart_nothing_is_kept(payload: bytes) -> None:
    assert people_removed(payload) == b"{}"


def test_an_address_of_a_page_before_one_of_a_person_swallows_nothing() -> None:
    said = '{"site":"https://example.com","status":"open","for":"alice@example.com"}'
    assert json.loads(redacted(said)) == {
        "site": "https://example.com",
        "status": "open",
        "for": "a***@example.com",
    }
