"""Writes the contract files from the wire types: run by `make contracts`, checked by the tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from contracts import pages
from contracts.asyncapi import asyncapi
from contracts.examples import at_the_edges, examples, with_nulls
from contracts.openapi import openapi
from contracts.schemas import event_schema
from service.event_messages import MESSAGE_TYPES

ROOT: Final = Path(__file__).parent
GOLDEN: Final = ROOT / "golden"


def files() -> Iterator[tuple[Path, str]]:
    """Every contract file that follows from the code, and what it must hold."""
    yield ROOT / "openapi.json", _pretty(openapi())
    yield ROOT / "asyncapi.yaml", _yaml(asyncapi())
    readme = ROOT / "README.md"
    yield readme, pages.index(readme.read_text(encoding="utf-8"))
    for event, kind in MESSAGE_TYPES.items():
        name = kind.routing_key
        about = ROOT / "events" / f"{name}.md"
        written = about.read_text(encoding="utf-8") if about.exists() else None
        yield about, pages.page(event, written)
        yield ROOT / "events" / f"{name}.schema.json", _pretty(event_schema(event))
        yield ROOT / "examples" / f"{name}.json", _pretty(json.loads(examples()[event].body))


def golden() -> Iterator[tuple[Path, bytes]]:
    """The bytes of each message as it is encoded today, in three forms."""
    for form, messages in (
        ("", examples()),
        (".nulls", with_nulls()),
        (".edges", at_the_edges()),
    ):
        for message in messages.values():
            yield GOLDEN / f"{message.type}{form}.json", message.body


def _pretty(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Writes everything out, and texts of several lines as they are read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = "|" if "\n" in data else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _yaml(document: Any) -> str:
    begin = "# Made by `make contracts` from service/event_messages.py.\n"
    dumped = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return begin + str(dumped)


if __name__ == "__main__":
    for path, text in files():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path, body in golden():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
