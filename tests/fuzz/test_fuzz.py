"""Whatever is sent as a webhook, nothing comes of it but what is promised."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stripe_payloads import (
    START,
    Payload,
    Shape,
    checkout_session,
    customer,
    deleted,
    event,
    invoice,
    signature,
    subscription,
)

RUNS = int(os.environ.get("FUZZ_RUNS", "20000"))
ROOT = Path(__file__).parents[2]
# An input may not take more than so many seconds, nor all of them together so many megabytes.
LIMITS = ["-timeout=5", "-rss_limit_mb=1024", "-max_len=8192"]
SHAPES: tuple[Shape, ...] = ("new", "old")


def known() -> list[Payload]:
    """Events of every kind, in both generations of their shape."""
    return [
        event(kind, about, created=START, shape=shape)
        for shape in SHAPES
        for kind, about in (
            ("customer.subscription.created", subscription(shape=shape, status="trialing")),
            ("customer.subscription.updated", subscription(shape=shape, cancel_at=START)),
            ("customer.subscription.deleted", subscription(shape=shape, status="canceled")),
            ("customer.subscription.trial_will_end", subscription(shape=shape)),
            ("invoice.paid", invoice(shape=shape)),
            ("invoice.payment_failed", invoice(shape=shape, paid=False)),
            ("customer.updated", customer()),
            ("customer.deleted", deleted()),
            ("checkout.session.completed", checkout_session()),
            ("charge.refunded", {"id": "ch_1", "object": "charge"}),
        )
    ]


def fuzz(corpus: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.webhooks", *LIMITS, *more, str(corpus)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60 + RUNS / 100,
    )


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    if importlib.util.find_spec("atheris") is None:
        missing = "the fuzzer, atheris, is for CPython 3.11 to 3.13 on Linux"
        # A pass of the pipeline has to mean that it ran.
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number, payload in enumerate(known()):
        body = json.dumps(payload).encode()
        (folder / f"event-{number}").write_bytes(b"e" + body)
        header = signature(body, timestamp=START - 1_000).encode()
        (folder / f"signature-{number}").write_bytes(b"s" + header + b"\n" + body)
    # What parsers stumble over, which a fuzzer would take long to come upon.
    for number, nasty in enumerate(
        (
            b"[" * 4_000,
            b'{"a":' * 1_000,
            b'{"id":"evt_1","id":"evt_2","type":"a","type":"b","object":"event"}',
            b'{"id":"\\ud800","type":"a","object":"event","created":1,"data":{"object":{}}}',
            b'{"id":"evt_1","type":"a","object":"event","created":1e308,"data":{"object":{}}}',
            b"\xff\xfe\x00",
            b"{}" + b"\x00" * 100,
        )
    ):
        (folder / f"nasty-{number}").write_bytes(b"e" + nasty)
    return folder


def test_nothing_but_what_is_promised_comes_of_any_bytes(corpus: Path) -> None:
    ran = fuzz(corpus, f"-runs={RUNS}")

    assert ran.returncode == 0, ran.stderr[-4000:]
    assert f"Done {RUNS} runs" in ran.stderr


def test_a_forged_event_with_a_valid_signature_would_be_found(corpus: Path) -> None:
    """The fuzzer ends with what is wrong: here, a genuine signature among the inputs."""
    body = b"{}"
    genuine = signature(body, timestamp=START).encode()
    (corpus / "genuine").write_bytes(b"s" + genuine + b"\n" + body)

    ran = fuzz(corpus, "-runs=100", f"-artifact_prefix={corpus}/")

    assert ran.returncode != 0
    assert "a made-up signature was believed" in ran.stderr + ran.stdout
