"""The service keeps what consumers expect of it: their pacts hold for what comes out of a queue.

`make verify-pact PACT=path` runs this with somebody else's pact.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest

from tests.end_to_end.consumer import Inbox
from tests.end_to_end.processes import running
from tests.pacts.provider import PactBroken, RunningProvider, read_pact
from tests.pacts.states import SITUATIONS
from tests.pacts.users_service import NAME, PACTS, expectations
from tests.stripe_stand_in import StripeStandIn

GIVEN = os.environ.get("PACT")
FILES = [Path(GIVEN)] if GIVEN else sorted(PACTS.glob("*.json"))
if GIVEN is not None:
    try:
        read_pact(FILES[0] if GIVEN else None)
    except PactBroken as error:
        raise pytest.UsageError(f"make verify-pact PACT=path: {error}") from None


@pytest.fixture
async def provider(
    environment: dict[str, str], stripe: StripeStandIn, inbox: Inbox, tmp_path: Path
) -> AsyncIterator[RunningProvider]:
    async with running("serve", environment, tmp_path) as service:
        yield RunningProvider(service, environment, stripe, inbox)


@pytest.mark.parametrize("pact", FILES, ids=lambda path: path.name)
async def test_a_pact_holds_for_what_is_published(provider: RunningProvider, pact: Path) -> None:
    await provider.verify(pact)


def rename_a_field(pact: dict[str, Any]) -> None:
    data = pact["interactions"][0]["contents"]["content"]["data"]
    data["state"] = data.pop("status")


def expect_another_value(pact: dict[str, Any]) -> None:
    pact["interactions"][0]["contents"]["content"]["data"]["status"] = "active"


def expect_another_form(pact: dict[str, Any]) -> None:
    rules = pact["interactions"][0]["matchingRules"]["body"]
    rules["$.sequence"]["matchers"] = [{"match": "regex", "regex": "^v[0-9]$"}]


def name_an_unknown_situation(pact: dict[str, Any]) -> None:
    pact["interactions"][0]["providerStates"] = [{"name": "the moon is full"}]


def name_no_situation(pact: dict[str, Any]) -> None:
    del pact["interactions"][0]["providerStates"]


def name_two_situations(pact: dict[str, Any]) -> None:
    pact["interactions"][0]["providerStates"] *= 2


def ask_over_http(pact: dict[str, Any]) -> None:
    pact["interactions"][0] |= {"type": "Synchronous/HTTP", "request": {}, "response": {}}


def ask_over_http_of_old(pact: dict[str, Any]) -> None:
    del pact["interactions"][0]["type"]
    pact["interactions"][0] |= {"request": {}, "response": {}}


def ask_for_what_is_not_caused(pact: dict[str, Any]) -> None:
    pact["interactions"][0]["description"] = "payments.subscription.canceled.v1"


# How a pact may be wrong about us, and what is said of it.
SPOILT: Final[Sequence[tuple[Callable[[dict[str, Any]], None], str]]] = (
    (rename_a_field, "missing the following keys: state"),
    (expect_another_value, "'active'"),
    (expect_another_form, "v[0-9]"),
    (name_an_unknown_situation, "take one of these: a trial has begun"),
    (name_no_situation, "activated.v1 of a trial names no provider state: take one of these"),
    (name_two_situations, "activated.v1 of a trial names several provider states"),
    (ask_over_http, "activated.v1 of a trial is about HTTP"),
    (ask_over_http_of_old, "activated.v1 of a trial is about HTTP"),
    (ask_for_what_is_not_caused, "this situation causes no payments.subscription.canceled.v1"),
)


async def test_pacts_that_do_not_hold_fail_and_it_is_said_why(
    provider: RunningProvider, tmp_path: Path
) -> None:
    original = json.loads((PACTS / NAME).read_text())
    first = expectations()[0].description
    original["interactions"] = [o for o in original["interactions"] if o["description"] == first]
    path = tmp_path / "pact.json"
    path.write_text(json.dumps(original))
    await provider.verify(path)

    for spoil, problem in SPOILT:
        spoilt = deepcopy(original)
        spoil(spoilt)
        path.write_text(json.dumps(spoilt))
        with pytest.raises(PactBroken) as broken:
            await provider.verify(path)
        assert problem in str(broken.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file"),
        (b"{", "is no pact"),
        (b"\xff", "is no pact"),
        (b"[]", "is no pact"),
        (b"{}", "expects nothing"),
        (b'{"interactions": null}', "expects nothing"),
        (b'{"interactions": 1}', "is no pact: its interactions"),
        (b'{"messages": [1]}', "is no pact: its interactions"),
    ],
)
def test_what_is_no_pact_is_refused_and_it_is_said_why(
    content: bytes | None, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "pact.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PactBroken, match=problem):
        read_pact(path)


@pytest.mark.parametrize(
    ("given", "problem"), [("", "give the path of your pact"), (".", ". cannot be read: Is a dir")]
)
def test_the_command_fails_without_a_pact_to_verify(given: str, problem: str) -> None:
    ran = subprocess.run(
        ["make", "--no-print-directory", "verify-pact", f"PACT={given}"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TEST_SERVERS": "containers"},  # nothing is to be installed for this
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode != 0
    assert problem in ran.stdout + ran.stderr


@pytest.mark.parametrize("state", SITUATIONS)
def test_every_situation_is_explained_to_who_writes_pacts(state: str) -> None:
    assert f"| {state} |" in (PACTS / "README.md").read_text(encoding="utf-8")
