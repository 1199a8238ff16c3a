"""Every alert can fire, can keep quiet, and says what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.images import ROOT
from tests.documents import commands_of
from tests.programs import unavailable

PROMETHEUS = ROOT / "deploy/prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0][
    "rules"
]
RUNBOOK = (ROOT / "docs/operating.md").read_text()
# GitHub's way to name a heading.
ANCHORS = {re.sub(r"[^\w-]", "", line.lower()) for line in re.findall(r"^#+ (.+)$", RUNBOOK, re.M)}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        unavailable("promtool is not installed: apt-get install prometheus")
    return subprocess.run(
        [program, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    done = promtool(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_shown_firing_and_keeping_quiet() -> None:
    shown: defaultdict[str, set[bool]] = defaultdict(set)
    for test in yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]:
        for expected in test["alert_rule_test"]:
            shown[expected["alertname"]].add(bool(expected["exp_alerts"]))
    assert shown == {rule["alert"]: {True, False} for rule in RULES}


def test_alerts_lead_to_where_the_runbook_is_kept(tmp_path: Path) -> None:
    command = next(one for one in commands_of(ROOT / "docs/operating.md") if one.startswith("sed "))
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    rules = yaml.safe_load((tmp_path / "deploy/prometheus/alerts.yml").read_text())
    for rule, before in zip(rules["groups"][0]["rules"], RULES, strict=True):
        url = rule["annotations"]["runbook_url"]
        assert url.startswith("https://")
        assert url.endswith("/" + before["annotations"]["runbook_url"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_leads_to_a_paragraph_of_the_runbook(rule: dict[str, Any]) -> None:
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    assert (ROOT / page).is_file()
    assert anchor in ANCHORS
    assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_the_runbook_has_no_paragraph_for_an_alert_that_is_gone() -> None:
    described = set(re.findall(r"^### (Payments\w+)$", RUNBOOK, re.M))
    assert described == {rule["alert"] for rule in RULES}
