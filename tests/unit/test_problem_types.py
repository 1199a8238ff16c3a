"""The table of problems is what the code raises: no more, no less, each under its status."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from adapters.http import problems
from adapters.http.openapi import WEBHOOK_PATH
from adapters.http.problems import KINDS, TYPE
from contracts.generate import ROOT
from domain import errors
from ports.webhooks import RejectionReason

REPOSITORY: Final = Path(__file__).parents[2]
DOCUMENT: Final[dict[str, Any]] = json.loads((ROOT / "openapi.json").read_text())
# What takes the name of a problem first, and the status it stands for where it is one alone.
NAMING: Final = {"problem": None, "NotFound": 404, "Conflict": 409, "Unacceptable": 422}


def named() -> Iterator[tuple[str, int | None]]:
    """Every problem that is named somewhere in the code, and its status where that tells."""
    for folder in ("service", "adapters/http"):
        for file in sorted((REPOSITORY / folder).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    for name in names_in(node):
                        yield name, NAMING[node.func.id]
    for status, (name, _) in problems._REFUSALS.items():
        yield name, status
    for reason in RejectionReason:
        yield str(reason).replace("_", "-"), 400
    for rule in errors.RuleViolation.__subclasses__():
        yield re.sub(r"(?<!^)([A-Z])", r"-\1", rule.__name__).lower(), 409


def names_in(call: ast.Call) -> Iterator[str]:
    assert isinstance(call.func, ast.Name)
    if call.func.id not in NAMING or not call.args:
        return
    match call.args[0]:
        case ast.Constant(value=str(name)):
            yield name
        case ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=str(end))]):
            yield from (f"{whose}{end}" for whose in ("payment", "identity"))


def test_every_problem_is_in_the_table_under_its_status() -> None:
    for name, status in named():
        assert name in KINDS, name
        assert status in (None, KINDS[name].status), name


def test_nothing_else_is() -> None:
    assert {name for name, _ in named()} == KINDS.keys()


def test_the_document_names_them_all() -> None:
    values = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["type"]

    assert values["x-extensible-enum"] == [f"{TYPE}{name}" for name in KINDS]


def test_the_document_says_with_which_status_each_comes() -> None:
    values = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["type"]

    assert values["x-statuses"] == {f"{TYPE}{name}": kind.status for name, kind in KINDS.items()}


REJECTIONS: Final = [str(reason).replace("_", "-") for reason in RejectionReason]
OF_THE_WEBHOOK: Final = {
    "400": ["bad-request", *REJECTIONS],
    "408": ["body-too-slow"],
    "413": ["body-too-large"],
    "500": ["internal-error"],
    "503": ["try-again"],
}


def types_told(operation: dict[str, Any]) -> dict[str, list[str]]:
    """The types of problems that an operation names, by their status."""
    return {
        status: re.findall("`([^`]*)`", response["description"].partition("Types: ")[2])
        for status, response in operation["responses"].items()
        if problems.MEDIA_TYPE in response["content"]
    }


def test_every_answer_names_those_of_its_status() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            for status, told in types_told(operation).items():
                of_status = [name for name, kind in KINDS.items() if kind.status == int(status)]
                assert told, f"{path} {status}"
                if path != WEBHOOK_PATH:
                    assert told == [name for name in of_status if name not in REJECTIONS]


def test_the_webhook_names_what_is_wrong_with_an_event_and_nothing_of_users() -> None:
    assert types_told(DOCUMENT["paths"][WEBHOOK_PATH]["post"]) == OF_THE_WEBHOOK
