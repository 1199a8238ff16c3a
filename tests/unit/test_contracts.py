"""The committed contract files are what the code says, and the messages keep them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from contracts.examples import examples
from contracts.generate import ROOT, files, golden
from contracts.pages import SECTIONS
from service.event_messages import MESSAGE_TYPES, MessageType

CONTRACTS = dict(files())
GOLDEN = dict(golden())

every_kind = pytest.mark.parametrize(
    "kind", list(MESSAGE_TYPES.values()), ids=lambda kind: kind.routing_key
)


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.name)
def test_a_contract_file_is_what_the_code_says(path: Path) -> None:
    assert path.is_file(), "run `make contracts` and commit what it wrote"
    committed = path.read_text(encoding="utf-8")
    assert committed == CONTRACTS[path], "run `make contracts`, then look at the diff"


def test_every_event_has_an_example_and_no_file_is_left_over() -> None:
    assert set(examples()) == set(MESSAGE_TYPES)
    patterns = ("*.json", "*.yaml", "*.md", "events/*", "examples/*", "golden/*")
    committed = {path for pattern in patterns for path in ROOT.glob(pattern)}
    assert committed == {*CONTRACTS, *GOLDEN}


@every_kind
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


@every_kind
def test_every_event_has_a_page_that_says_what_a_consumer_needs(kind: MessageType) -> None:
    page = (ROOT / "events" / f"{kind.routing_key}.md").read_text(encoding="utf-8")
    title, *sections = re.split(r"^#+ ", page, flags=re.MULTILINE)[1:]
    assert title.strip() == kind.routing_key
    words = {heading: text.split() for heading, _, text in (s.partition("\n") for s in sections)}
    assert tuple(words) == SECTIONS
    for heading, said in words.items():
        assert len(said) > 5, f"write in events/{kind.routing_key}.md: {heading}"


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_a_message_is_still_encoded_byte_for_byte_as_consumers_got_it(path: Path) -> None:
    assert path.read_bytes() == GOLDEN[path], (
        f"consumers have got the bytes of {path.name}: keep them, or make a v2. If all you did is "
        "add an optional field, delete that file and run `make contracts`"
    )


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_a_client_without_our_code_understands_the_golden_bytes(path: Path) -> None:
    said = json.loads(path.read_bytes())

    understood = understand(path, path.name)

    assert understood["class"] == "cloudevents.core.v1.event"
    assert understood["data"] == said.pop("data")
    assert understood["attributes"] == said | {"time": said["time"].replace("Z", "+00:00")}
    assert understood["attributes"]["type"] == path.stem


def test_that_client_notices_what_is_not_as_promised(tmp_path: Path) -> None:
    original = next(iter(GOLDEN))
    spoiled = tmp_path / "spoiled.json"
    spoiled.write_bytes(original.read_bytes().replace(b'"userId"', b'"user"'))

    with pytest.raises(subprocess.CalledProcessError) as failure:
        understand(spoiled, original.name)
    assert "'userId' is a required property" in failure.value.stderr


def understand(message: Path, name: str) -> Any:
    """What the foreign client makes of a message, by the schema of this name."""
    schema = ROOT / "events" / name.replace(".json", ".schema.json")
    client = Path(__file__).with_name("golden_client.py")
    libraries = sysconfig.get_path("purelib")
    ran = subprocess.run(
        [sys.executable, "-I", "-S", client, libraries, schema, message],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(ran.stdout)
