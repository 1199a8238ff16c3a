"""The AsyncAPI document is valid, and names what is really there."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from contracts.generate import ROOT
from service.event_messages import MESSAGE_TYPES
from tests.npm import cannot_be_had

DOCUMENT: Final = ROOT / "asyncapi.yaml"
LOADED: Final[dict[str, Any]] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
# The parser brings the official schemas and lints by the official rules.
PARSER: Final = "@asyncapi/parser@3.6.3"
# Seconds to install it; where a registry answers at all, some ten are enough.
_INSTALL: Final = 120
# That there is a later AsyncAPI than 3.0, which is what consumers' tools know.
_EXPECTED: Final = "asyncapi-latest-version"


@pytest.fixture(scope="session")
def lint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], list[dict[str, str]]]:
    """Give the official linter, installed from npm into a folder of its own."""
    folder = tmp_path_factory.mktemp("asyncapi")
    if shutil.which("npm") is None:
        cannot_be_had("npm is not installed, so AsyncAPI's parser cannot be had")
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))
    try:
        subprocess.run(
            ["npm", "install", *options, PARSER], check=True, capture_output=True, timeout=_INSTALL
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        cannot_be_had(f"npm cannot install AsyncAPI's parser: {error}")

    def run(document: Path) -> list[dict[str, str]]:
        script = Path(__file__).with_name("asyncapi_lint.mjs")
        ran = subprocess.run(
            ["node", script, folder / "node_modules", document],
            check=True,
            capture_output=True,
            text=True,
        )
        return [json.loads(line) for line in ran.stdout.splitlines()]

    return run


def test_the_official_parser_and_linter_find_nothing(
    lint: Callable[[Path], list[dict[str, str]]],
) -> None:
    found = lint(DOCUMENT)

    assert [problem["code"] for problem in found] == [_EXPECTED], found


def drop_an_exchange(document: dict[str, Any]) -> None:
    document["channels"]["payments.payment.failed.v1"]["bindings"]["amqp"]["exchange"] = 7


def misspell_a_key(document: dict[str, Any]) -> None:
    channel = document["channels"]["payments.payment.failed.v1"]
    channel["adress"] = channel.pop("address")


def lose_a_message(document: dict[str, Any]) -> None:
    del document["components"]["messages"]["PaymentFailed"]


def invent_a_type(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["PaymentFailedData"]["properties"]["amount"]["type"] = "money"


@pytest.mark.parametrize("spoil", [drop_an_exchange, misspell_a_key, lose_a_message, invent_a_type])
def test_they_would_find_what_is_wrong(
    lint: Callable[[Path], list[dict[str, str]]],
    tmp_path: Path,
    spoil: Callable[[dict[str, Any]], None],
) -> None:
    spoiled = deepcopy(LOADED)
    spoil(spoiled)
    path = tmp_path / "asyncapi.yaml"
    path.write_text(yaml.safe_dump(spoiled))

    assert {problem["code"] for problem in lint(path)} - {_EXPECTED}


def test_every_message_has_a_channel_an_operation_and_an_example_of_its_own() -> None:
    keys = {kind.routing_key for kind in MESSAGE_TYPES.values()}

    assert LOADED["asyncapi"] == "3.0.0"
    assert set(LOADED["channels"]) == keys
    assert {channel["address"] for channel in LOADED["channels"].values()} == keys
    sent = {operation["channel"]["$ref"] for operation in LOADED["operations"].values()}
    assert sent == {f"#/channels/{key}" for key in keys}
    for message in LOADED["components"]["messages"].values():
        example = json.loads((ROOT / "examples" / f"{message['name']}.json").read_text())
        assert message["examples"][0]["payload"] == example
        # The parser does not compare the two.
        jsonschema.validate(example, {**message["payload"], "components": LOADED["components"]})
