"""Documents name what is there: commands, metrics, log lines, files."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

from adapters.prometheus.metrics import CollectorRegistry
from adapters.prometheus.page import PrometheusPage
from domain.plans import Plan
from domain.subscription import Status
from service import wiring
from service.cli import parser
from service.guest_commands import EXPLANATIONS
from service.logs import ERRORS
from service.wiring import count_from_zero
from tests.documents import (
    CHECKED_ONLY,
    CI,
    COMMANDS,
    DOCUMENTS,
    ROOT,
    commands_of,
    of_this_month,
    program_of,
    run_by,
    target_of,
)
from tests.unit.test_metrics import SomeDatabase, SomeLevels

OPERATING = (ROOT / "docs/operating.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_command_in_a_document_is_run_by_a_test_or_said_to_be_only_checked(
    document: Path,
) -> None:
    for command in commands_of(document):
        test = run_by(command)
        assert test is not None, f"{document}: say in tests/documents.py what runs `{command}`"
        if test == CI:
            assert " ".join(command.split()[:2]) in (ROOT / CI).read_text()
            continue
        path, _, name = test.partition("::")
        functions = ast.FunctionDef | ast.AsyncFunctionDef
        tree = ast.walk(ast.parse((ROOT / path).read_text()))
        tests = {node.name for node in tree if isinstance(node, functions)}
        assert name in tests, f"{test}, which is to run `{command}`, is gone"


def test_no_command_is_explained_that_is_in_no_document() -> None:
    found = {command for document in DOCUMENTS for command in commands_of(document)}
    assert not [start for start in COMMANDS if not any(one.startswith(start) for one in found)]


def test_commands_in_indented_blocks_are_seen_too() -> None:
    least_privilege = ROOT / "docs/least-privilege.md"
    assert {program_of(command) for command in commands_of(least_privilege)} == {
        "payments",
        "rabbitmqctl",
    }


def test_what_is_only_checked_is_told_to_be() -> None:
    told = (ROOT / "docs/developing.md").read_text().split("only checked:")[1].split("\n\n")[0]
    assert set(re.findall(r"`([^`]+)`", told)) == {start.strip() for start in CHECKED_ONLY}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_commands_of_the_service_can_be_read_by_it(document: Path) -> None:
    for command in commands_of(document):
        if program_of(command) == "payments":
            words = shlex.split(
                re.split(r"(?:^| )payments ", of_this_month(command), maxsplit=1)[1]
            )
            if words[0] not in EXPLANATIONS:
                parser().parse_args(words)
        if command.startswith("make "):
            assert re.search(rf"^{target_of(command)}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_that_a_document_names_are_there(document: Path) -> None:
    for name in re.findall(r"`((?:[a-z]+/)+[\w.-]*)`", document.read_text()):
        if (ROOT / name.split("/")[0]).is_dir():
            assert (ROOT / name).exists(), name


async def test_every_metric_is_described_and_none_that_is_gone() -> None:
    registry = CollectorRegistry()
    count_from_zero(registry)
    page = PrometheusPage(
        registry, SomeLevels(), SomeDatabase(), statuses=list(Status), plans=list(Plan)
    )
    await page.render("")
    suffix = {"counter": "_total", "info": "_info"}
    told = {
        family.name + suffix.get(family.type, "")
        for family in registry.collect()
        if family.name.startswith("payments_")
    }
    table = OPERATING.split("## What is counted")[1].split("\n## ")[0]
    assert set(re.findall(r"`(payments_[a-z_]+)`", table)) == told


def logged() -> dict[str, set[str]]:
    """Every line that the product may log, and at which levels."""
    found: dict[str, set[str]] = {}
    for folder in ("service", "adapters", "migrations"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                if ast.unparse(node.func.value) == "log":
                    level = {"exception": "error"}.get(node.func.attr, node.func.attr)
                    for name in _texts(node.args[0]):
                        found.setdefault(name, set()).add(level)
    return found


def _texts(node: ast.expr) -> list[str]:
    """The names that this expression may be; a test fails over what is no literal."""
    if isinstance(node, ast.IfExp):
        return _texts(node.body) + _texts(node.orelse)
    assert isinstance(node, ast.Constant), f"{ast.unparse(node)} is no name of a log line"
    return [str(node.value)]


def test_every_log_line_is_described_and_none_that_is_gone() -> None:
    table = OPERATING.split("## What is logged")[1].split("\n## ")[0]
    described = [
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert sorted(described) == sorted(logged())


def test_every_line_that_an_operator_should_look_at_is_counted() -> None:
    errors = {name for name, levels in logged().items() if "error" in levels}
    assert set(ERRORS) == errors
    alerts = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    for name in re.findall(r'event=~"([a-z_|]+)"', alerts):
        assert set(name.split("|")) <= errors


def test_the_connections_that_capacity_is_reckoned_with_are_those_of_the_pools() -> None:
    text = (ROOT / "docs/capacity.md").read_text()
    webhooks, users = wiring._POOL_SIZE, wiring._USERS_POOL_SIZE
    api = webhooks + users
    assert f"{api} ({webhooks} for webhooks, {users} for what users do)" in text
    assert f"`{api} * (api + 1) + {webhooks} * (worker + 1) + 10`" in text
    (two, eight) = (api * (n + 1) + webhooks * (n + 1) + 10 for n in (2, 8))
    assert f"need {two}," in text
    assert f"ends, {eight}." in text
