"""The committed contract files are what the code says, and the messages keep them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import msgspec
import pytest

import contracts.examples
from adapters.rabbitmq.event_publisher import CONTENT_TYPE
from contracts.compatibility import broken_messages
from contracts.examples import examples
from contracts.generate import ROOT, files, golden
from contracts.pages import SECTIONS
from contracts.release import RELEASED, broken_promises
from contracts.schemas import event_schema
from domain import events
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


def validator_of(schema: Any) -> jsonschema.Draft202012Validator:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    assert {"date-time", "uuid"} <= checker.checkers.keys(), "a format would not be looked at"
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=checker)


def schema_and_example(kind: MessageType) -> tuple[Any, Any]:
    schema = json.loads((ROOT / "events" / f"{kind.routing_key}.schema.json").read_text())
    return schema, json.loads((ROOT / "examples" / f"{kind.routing_key}.json").read_text())


def promised(kind: MessageType) -> set[str]:
    """The fields that were always there: all but those with a default, which came later."""
    fields = msgspec.structs.fields(kind.data)
    return {field.encode_name for field in fields if field.required}


@every_kind
def test_an_example_is_valid_and_what_was_always_there_is_required(kind: MessageType) -> None:
    schema, example = schema_and_example(kind)
    validator = validator_of(schema)
    validator.validate(example)
    assert set(example["data"]) == {f.encode_name for f in msgspec.structs.fields(kind.data)}
    envelope = set(example)
    for holder, required in ((example, envelope), (example["data"], promised(kind))):
        for name in list(holder):
            value = holder.pop(name)
            assert validator.is_valid(example) is (name not in required), name
            holder[name] = value


@every_kind
@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("id", "1"),
        ("type", "payments.subscription.renamed.v1"),
        ("source", "/elsewhere"),
        ("time", "yesterday"),
        ("time", "2026-01-05 09:30"),
        ("sequence", "0"),
        ("sequence", "1.5"),
        ("traceparent", "00-1-1-01"),
        ("specversion", "0.3"),
        ("datacontenttype", "text/plain"),
    ],
)
def test_an_envelope_of_another_form_is_not_valid(
    kind: MessageType, field: str, wrong: str
) -> None:
    schema, example = schema_and_example(kind)
    assert not validator_of(schema).is_valid({**example, field: wrong})


def test_a_field_may_be_added_where_it_is_optional() -> None:
    """From the type it is encoded with to the comparison with what was released."""
    event = events.SubscriptionCanceled
    kind = MESSAGE_TYPES[event]
    more = msgspec.defstruct(
        kind.data.__name__, [("note", str | None, None)], bases=(kind.data,), kw_only=True
    )
    old, example = schema_and_example(kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MESSAGE_TYPES, event, replace(kind, data=more))  # type: ignore[arg-type]
        new = event_schema(event)
        written = json.loads(examples()[event].body)
        assert promised(MESSAGE_TYPES[event]) == set(example["data"])
    assert broken_messages(old, new) == []
    assert written["data"] == {**example["data"], "note": None}
    validator_of(new).validate(written)
    validator_of(new).validate(example)  # those that are on their way
    validator_of(old).validate(written)  # and who knows the old schema


@dataclass(frozen=True, slots=True)
class SubscriptionCanceledV2(events.SubscriptionCanceled):
    """The subscription has ended for good, said in another way."""


def test_a_second_version_is_made_beside_the_first_and_breaks_nothing(tmp_path: Path) -> None:
    """As the README says: an entry in the table, and an example under a number of its own."""
    first = MESSAGE_TYPES[events.SubscriptionCanceled]
    second = replace(first, routing_key="payments.subscription.canceled.v2")
    history = []
    for number, at, event in contracts.examples._HISTORY:
        history.append((number, at, event))
        if isinstance(event, events.SubscriptionCanceled):
            said = SubscriptionCanceledV2(event.user_id, event.end, event.access_until)
            history.append((max(n for n, *_ in contracts.examples._HISTORY) + 1, at, said))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MESSAGE_TYPES, SubscriptionCanceledV2, second)
        patch.setattr(contracts.examples, "_HISTORY", tuple(history))
        written = {path: text.encode() for path, text in files()} | dict(golden())
        ids = {message.id for message in examples().values()}
        assert len(ids) == len(MESSAGE_TYPES), "two of them pass for repeats of each other"
    for path, content in written.items():
        file = tmp_path / path.relative_to(ROOT)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    assert broken_promises(tmp_path, RELEASED) == []
    assert {path.name for path in written.keys() - CONTRACTS.keys() - GOLDEN.keys()} == {
        f"{second.routing_key}{end}"
        for end in (".md", ".schema.json", ".json", ".nulls.json", ".edges.json")
    }


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
def test_golden_bytes_are_what_is_sent(path: Path) -> None:
    """What was released of them is held byte for byte: see test_released_contracts."""
    assert path.read_bytes() == GOLDEN[path], "run `make contracts`, then look at the diff"


@every_kind
def test_golden_bytes_show_what_is_hard_to_read(kind: MessageType) -> None:
    bare, edge = (
        json.loads((ROOT / "golden" / f"{kind.routing_key}.{form}.json").read_bytes())
        for form in ("nulls", "edges")
    )
    hints = get_type_hints(kind.data)
    may_be_null = {
        field.encode_name
        for field in msgspec.structs.fields(kind.data)
        if type(None) in get_args(hints[field.name])
    }
    null = {name for name, value in bare["data"].items() if value is None}
    assert "email" in null
    assert may_be_null - null <= {"accessUntil"}, "what ends, or will, says when"
    assert not edge["data"]["email"].isascii()
    assert edge["time"].endswith(".120450Z")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_a_client_without_our_code_understands_the_golden_bytes(path: Path) -> None:
    said = json.loads(path.read_bytes())

    understood = understand(path, said["type"])

    assert understood["class"] == "cloudevents.core.v1.event"
    assert understood["data"] == said.pop("data")
    assert understood["attributes"] == said | {"time": said["time"].replace("Z", "+00:00")}
    assert path.name.startswith(understood["attributes"]["type"])


def test_that_client_notices_what_is_not_as_promised(tmp_path: Path) -> None:
    original = next(iter(GOLDEN))
    spoiled = tmp_path / "spoiled.json"
    spoiled.write_bytes(original.read_bytes().replace(b'"userId"', b'"user"'))

    with pytest.raises(subprocess.CalledProcessError) as failure:
        understand(spoiled, original.stem)
    assert "'userId' is a required property" in failure.value.stderr


def understand(message: Path, type: str) -> Any:
    """What the foreign client makes of a message that comes as the service sends one of a type."""
    schema = ROOT / "events" / f"{type}.schema.json"
    client = Path(__file__).with_name("golden_client.py")
    libraries = sysconfig.get_path("purelib")
    ran = subprocess.run(
        [sys.executable, "-I", "-S", client, libraries, schema, message, CONTENT_TYPE],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(ran.stdout)
