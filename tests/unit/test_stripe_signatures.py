"""Only what Stripe has signed just now is taken.

That signatures are compared in constant time is the SDK's doing; here is tested what is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import WebhookSignature

from adapters.stripe.signatures import TOLERANCE, verify
from ports.webhooks import RejectedWebhook, RejectionReason
from tests.stripe_payloads import SECRET, START, at, encode, event, signature, subscription

BODY: Final = encode(event("customer.subscription.created", subscription(), id="evt_1"))
HEADER: Final = signature(BODY, timestamp=START)
NOW: Final = at(START)
V1: Final = HEADER.split("v1=")[1]


def refused(
    body: bytes = BODY,
    header: str | None = HEADER,
    secrets: tuple[str, ...] = (SECRET,),
    seconds: int = 0,
) -> RejectionReason | None:
    try:
        verify(body, header, secrets, at(START + seconds))
    except RejectedWebhook as rejection:
        told = str(rejection)
        reason = rejection.reason
    else:
        return None
    assert not any(secret in told for secret in secrets if secret)
    return reason


def test_what_stripe_has_signed_just_now_is_taken() -> None:
    assert refused() is None


def test_the_official_sdk_takes_it_as_well() -> None:
    assert WebhookSignature.verify_header(BODY, HEADER, SECRET)


@pytest.mark.parametrize("secrets", [(SECRET, "whsec_new"), ("whsec_new", SECRET)])
def test_while_a_secret_is_rolled_either_signs(secrets: tuple[str, ...]) -> None:
    assert refused(secrets=secrets) is None


def test_while_a_secret_is_rolled_stripe_sends_a_signature_of_each() -> None:
    other = signature(BODY, secret="whsec_new", timestamp=START).split("v1=")[1]

    for header in (f"t={START},v1={other},v1={V1}", f"t={START},v1={V1},v1={other}"):
        assert refused(header=header) is None
        assert refused(header=header, secrets=("whsec_new",)) is None
        assert refused(header=header, secrets=("whsec_else",)) is not None


@pytest.mark.parametrize("secrets", [(), ("",), ("whsec_else",), (SECRET + "x",)])
def test_another_secret_or_none_signs_nothing(secrets: tuple[str, ...]) -> None:
    assert refused(secrets=secrets) is RejectionReason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        (TOLERANCE, None),
        (TOLERANCE + 1, RejectionReason.TIMESTAMP_TOO_OLD),
        (-TOLERANCE, None),
        (-TOLERANCE - 1, RejectionReason.TIMESTAMP_IN_FUTURE),
    ],
)
def test_a_signature_holds_for_five_minutes_either_way(
    seconds: int, reason: RejectionReason | None
) -> None:
    assert refused(seconds=seconds) is reason


def test_the_age_is_judged_only_of_what_is_genuine() -> None:
    assert refused(BODY + b" ", seconds=9 * TOLERANCE) is RejectionReason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("header", [None, ""])
def test_a_missing_header_is_named(header: str | None) -> None:
    assert refused(header=header) is RejectionReason.SIGNATURE_MISSING


@pytest.mark.parametrize(
    "header",
    [
        " ",
        ",",
        "=",
        "t",
        "v1",
        f"t={START}",
        f"t={START},",
        f"t={START},v0={V1}",
        f"t={START},xv1={V1}",
        f"v1={V1}",
        f"T={START},V1={V1}",
        f"t=,v1={V1}",
        f"t=now,v1={V1}",
        f"t=-{START},v1={V1}",
        f"t=+{START},v1={V1}",
        f"t={START}.0,v1={V1}",
        f"t={START}0000,v1={V1}",
        f"t={START};v1={V1}",
        f"t= {START},v1={V1}",
        f"t={START} ,v1={V1}",
        f"t={START},v1={V1},t={START}",
        f"t={START},v1=é{V1}",
        f"ü={V1},{HEADER}",
        "t=" + "".join(chr(ord(digit) + 0x0630) for digit in str(START)) + f",v1={V1}",
    ],
)
def test_a_malformed_header_is_named(header: str) -> None:
    assert refused(header=header) is RejectionReason.SIGNATURE_MALFORMED


@pytest.mark.parametrize("spelling", [" {}", "{} ", "+{}", "0{}=", "{:_}", "{}=x", "\t{}"])
def test_an_old_delivery_cannot_be_passed_off_as_new_with_a_second_time(spelling: str) -> None:
    """The SDK reads these as the time that was signed; the other is not the one to check."""
    late = START + 100 * TOLERANCE
    stamps = (f"t={spelling.format(START)}", f"t={late}")

    for first, second in (stamps, stamps[::-1]):
        header = f"{first},{second},v1={V1}"
        assert refused(header=header, seconds=100 * TOLERANCE) is not None


def test_a_signature_of_the_time_zero_is_too_old() -> None:
    assert refused(header=signature(BODY, timestamp=0)) is RejectionReason.TIMESTAMP_TOO_OLD


@pytest.mark.parametrize(
    "v1", ["", "0", "0" * 64, V1[:-1], V1 + "0", V1.upper(), f" {V1}", f"{V1} "]
)
def test_a_wrong_signature_is_refused(v1: str) -> None:
    assert refused(header=f"t={START},v1={v1}") is RejectionReason.SIGNATURE_MISMATCH


def test_the_test_scheme_v0_proves_nothing_and_does_not_disturb() -> None:
    assert refused(header=f"t={START},v0={V1},v1={V1}") is None
    assert refused(header=f"t={START},v0={V1},v1={'0' * 64}") is RejectionReason.SIGNATURE_MISMATCH


def test_the_time_is_part_of_what_is_signed() -> None:
    assert refused(header=f"t={START + 1},v1={V1}") is RejectionReason.SIGNATURE_MISMATCH


def test_a_signature_over_another_body_is_refused() -> None:
    other = signature(BODY.replace(b"sub_1", b"sub_2"), timestamp=START)

    assert refused(header=other) is RejectionReason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("change", [bytes.strip, lambda b: b + b"\n", lambda b: b" " + b])
def test_bytes_added_or_left_out_are_noticed(change: Callable[[bytes], bytes]) -> None:
    body = b"\n" + BODY + b"\n"
    header = signature(body, timestamp=START)

    assert refused(body, header) is None
    assert refused(change(body), header) is RejectionReason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("body", [b"\xff", b"\x80" + BODY, BODY + b"\xed\xa0\x80"])
def test_a_body_that_is_not_utf8_is_refused(body: bytes) -> None:
    assert refused(body) is RejectionReason.NOT_UTF8


@given(position=st.integers(0, len(BODY) - 1), flip=st.integers(1, 255))
def test_any_single_changed_byte_of_the_body_is_refused(position: int, flip: int) -> None:
    changed = bytearray(BODY)
    changed[position] ^= flip

    assert refused(bytes(changed)) in (
        RejectionReason.SIGNATURE_MISMATCH,
        RejectionReason.NOT_UTF8,
    )


@given(position=st.integers(0, len(HEADER) - 1), character=st.characters(max_codepoint=0x2FF))
def test_any_single_changed_character_of_the_header_is_refused(
    position: int, character: str
) -> None:
    changed = HEADER[:position] + character + HEADER[position + 1 :]

    assert (refused(header=changed) is None) == (changed == HEADER)


@given(header=st.text(), body=st.binary())
def test_nothing_but_a_rejection_comes_of_garbage(header: str, body: bytes) -> None:
    assert refused(body, header) is not None
