"""Feeds bytes to what reads webhooks: the signature header, the envelope, the translation.

Nothing but the errors that these promise may come of any input. The arguments are libFuzzer's:

    python -m tests.fuzz.webhooks -runs=100000 corpus/
"""

from __future__ import annotations

import sys
from datetime import timedelta
from uuid import UUID

import atheris  # type: ignore[import-untyped]  # it has no annotations

with atheris.instrument_imports(include=["adapters.stripe", "domain"]):
    from adapters.stripe import signatures
    from adapters.stripe.webhooks import StripeWebhooks, read_event
    from ports.inbox import ClaimedWebhook
    from ports.webhooks import RejectedWebhook, UnreadableWebhook

from tests.builders import price_list
from tests.stripe_payloads import SECRET, START, at

NOW = at(START)
WEBHOOKS = StripeWebhooks([SECRET], price_list())
ID = UUID(int=1)


def one_input(data: bytes) -> None:
    """The first byte says whether the rest is a header with a body, or an event."""
    if data[:1] == b"s":
        header, _, body = data[1:].partition(b"\n")
        check_signature(body, header.decode("latin-1"))
    else:
        read(data[1:])


def check_signature(body: bytes, header: str) -> None:
    """No made-up signature is believed."""
    try:
        signatures.verify(body, header, (SECRET,), NOW)
    except RejectedWebhook:
        return
    raise AssertionError(f"a made-up signature was believed: {header!r}")


def read(payload: bytes) -> None:
    """What is taken in can be translated, or is said to be unreadable."""
    try:
        received = read_event(payload, traceparent="")
    except RejectedWebhook:
        return
    # What the inbox keeps fits its columns, and goes through PostgreSQL as UTF-8 text.
    assert len(received.event_id) <= 255
    assert len(received.event_type) <= 100
    assert len(received.ordering_key) <= 255
    assert "\0" not in received.event_id + received.event_type + received.ordering_key
    (received.event_id + received.event_type + received.ordering_key).encode()
    claimed = ClaimedWebhook(
        id=ID,
        event_id=received.event_id,
        event_type=received.event_type,
        ordering_key=received.ordering_key,
        livemode=received.livemode,
        payload=received.payload,
        traceparent="",
        age=timedelta(0),
        attempts=0,
    )
    try:
        WEBHOOKS.translate(claimed)
    except UnreadableWebhook:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
