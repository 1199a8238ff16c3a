"""Keeps what is promised with a release: run by `make release-contracts`."""

from __future__ import annotations

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import yaml

from contracts.compatibility import (
    broken_api,
    broken_bytes,
    broken_channels,
    broken_messages,
)
from contracts.generate import ROOT

RELEASED: Final = ROOT / "released"
_API: Final = "openapi.v1.json"
_CHANNELS: Final = "asyncapi.v1.yaml"
# What was released and how it was, so that nothing of it goes or is changed unseen.
_INDEX: Final = "index.json"


def broken_promises(current: Path, released: Path) -> list[str]:
    """What the contracts in one folder break of those in the other, each with what to do."""
    problems = _tampered(released)
    if problems:
        return problems
    for old in sorted((released / "events").glob("*.schema.json")):
        new = current / "events" / old.name
        event = old.name.removesuffix(".schema.json")
        found = (
            broken_messages(_read(old), _read(new)) if new.exists() else ["message: was removed"]
        )
        problems += [
            f"{event}: {problem}; keep it as it was, and make a {_next(event)} beside it"
            for problem in found
        ]
    for golden in sorted((released / "golden").glob("*.json")):
        new = current / "golden" / golden.name
        found = (
            broken_bytes(golden.read_bytes(), new.read_bytes())
            if new.exists()
            else ["message: was removed"]
        )
        problems += [
            f"golden/{golden.name}: {problem}; consumers have got these bytes: keep them as they "
            "were, with their example, and make the next version beside them"
            for problem in found
        ]
    if (released / _API).exists():
        found = broken_api(_read(released / _API), _read(current / "openapi.json"))
        problems += [
            f"{problem}; keep it as it was, and make a v2 of that path beside it"
            for problem in found
        ]
    if (released / _CHANNELS).exists():
        found = broken_channels(_yaml(released / _CHANNELS), _yaml(current / "asyncapi.yaml"))
        problems += [
            f"{problem}; keep it as it was, and make a next version beside it" for problem in found
        ]
    return problems


def _tampered(released: Path) -> list[str]:
    if not released.exists():
        return []
    index = released / _INDEX
    listed: dict[str, str] = _read(index) if index.exists() else {}
    there = _digests(released)
    return [
        f"released/{name}: was {'changed' if name in there and name in listed else 'removed'}"
        if name in listed
        else f"released/{name}: is not in released/{_INDEX}"
        for name in sorted(listed.keys() | there.keys())
        if listed.get(name) != there.get(name)
    ]


def _digests(released: Path) -> dict[str, str]:
    return {
        path.relative_to(released).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(released.rglob("*"))
        if path.is_file() and path.name != _INDEX
    }


def release(current: Path, released: Path) -> list[str]:
    """Keep the current contracts as promised; returns what they break, and then keeps nothing."""
    problems = broken_promises(current, released)
    if not problems:
        for folder, kept in (("events", "*.schema.json"), ("golden", "*.json")):
            (released / folder).mkdir(parents=True, exist_ok=True)
            for file in (current / folder).glob(kept):
                shutil.copyfile(file, released / folder / file.name)
        shutil.copyfile(current / "openapi.json", released / _API)
        shutil.copyfile(current / "asyncapi.yaml", released / _CHANNELS)
        index = json.dumps(_digests(released), indent=2) + "\n"
        (released / _INDEX).write_text(index, encoding="utf-8")
    return problems


def _next(event: str) -> str:
    name, _, version = event.rpartition(".v")
    return f"{name}.v{int(version) + 1}"


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    broken = release(ROOT, RELEASED)
    sys.stderr.writelines(f"{line}\n" for line in broken)
    sys.exit(1 if broken else 0)
