"""SECURITY.md: each threat is held by tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """The cells of the table of threats."""
    lines = [line for line in SECURITY.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][1:]


def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_each_threat_has_something_that_holds_it_and_a_test_of_that() -> None:
    assert len(rows()) >= 20
    for row in rows():
        threat, defence, held_by = row
        assert threat
        assert defence
        assert _TEST.search(held_by), f"no test is named against: {threat}"


def test_each_test_that_is_named_exists() -> None:
    named = _TEST.findall(SECURITY)
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or name not in names_in(path)
    ]
    assert missing == []
    assert SECURITY.count("::") == len(named)
