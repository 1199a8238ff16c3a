"""The committed contract files are what the code says, and the messages keep them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from contracts.generate import EXAMPLES, ROOT, files
from service.event_messages import MESSAGE_TYPES, MessageType

CONTRACTS = dict(files())


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.name)
def test_a_contract_file_is_what_the_code_says(path: Path) -> None:
    assert path.is_file(), "run `make contracts` and commit what it wrote"
    committed = path.read_text(encoding="utf-8")
    assert committed == CONTRACTS[path], "run `make contracts`, then look at the diff"


def test_every_event_has_an_example_and_no_file_is_left_over() -> None:
    assert {type(event) for _, event in EXAMPLES} == set(MESSAGE_TYPES)
    committed = {*ROOT.glob("*.json"), *ROOT.glob("events/*"), *ROOT.glob("examples/*")}
    assert committed == set(CONTRACTS)


@pytest.mark.parametrize("kind", list(MESSAGE_TYPES.values()), ids=lambda kind: kind.routing_key)
def test_an_example_is_valid_and_each_of_its_fields_is_required(kind: MessageType) -> None:
    routing_key = kind.routing_key
    schema = json.loads((ROOT / "events" / f"{routing_key}.schema.json").read_text())
    example = json.loads((ROOT / "examples" / f"{routing_key}.json").read_text())
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    validator.validate(example)
    for holder in (example, example["data"]):
        for name in list(holder):
            value = holder.pop(name)
            assert not validator.is_valid(example), f"{name} may be left out"
            holder[name] = value
