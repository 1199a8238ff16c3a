"""Two linters that the field uses find nothing to say about the OpenAPI document."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from contracts.generate import ROOT
from tests import npm

DOCUMENT: Final = ROOT / "openapi.json"
REDOCLY: Final = {
    "extends": ["recommended-strict"],
    "rules": {
        "info-license": "off",  # there is no licence to name
        "operation-4xx-response": "off",  # knows no exception; see below
    },
}
SPECTRAL: Final = {"extends": ["spectral:oas"]}


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # These versions, because a newer one may find something new on any day.
    return npm.install(
        tmp_path_factory.mktemp("linters"), "@redocly/cli@2.77.0", "@stoplight/spectral-cli@6.16.3"
    )


def lint(
    programs: Path, folder: Path, linter: str, document: Path
) -> subprocess.CompletedProcess[str]:
    rules = folder / f"{linter}.yaml"  # which JSON is, too; redocly takes no other name
    rules.write_text(json.dumps(REDOCLY if linter == "redocly" else SPECTRAL))
    options = {
        "redocly": ("--config", rules),
        "spectral": ("--ruleset", rules, "--fail-severity", "hint"),
    }[linter]
    return subprocess.run(
        [programs / linter, "lint", *options, document],
        check=False,
        capture_output=True,
        text=True,
        env={
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "REDOCLY_TELEMETRY": "off",
            "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
        },
    )


@pytest.mark.parametrize("linter", ["redocly", "spectral"])
def test_the_document_is_clean(programs: Path, tmp_path: Path, linter: str) -> None:
    found = lint(programs, tmp_path, linter, DOCUMENT)

    assert found.returncode == 0, found.stdout + found.stderr


def test_whatever_takes_input_declares_that_it_may_be_wrong() -> None:
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    faultless = {
        path
        for path, operations in paths.items()
        for operation in operations.values()
        if not any(status.startswith("4") for status in operation["responses"])
    }
    assert faultless == {"/api/payments/config", "/health/live", "/health/ready"}


@pytest.mark.parametrize("linter", ["redocly", "spectral"])
def test_one_that_is_not_would_be_noticed(programs: Path, tmp_path: Path, linter: str) -> None:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    operation = document["paths"]["/api/payments/invoices"]["get"]
    operation["operationId"] = "viewSubscription"
    spoilt = tmp_path / "openapi.json"
    spoilt.write_text(json.dumps(document))

    found = lint(programs, tmp_path, linter, spoilt)

    assert found.returncode != 0
    assert "viewSubscription" in found.stdout + found.stderr or "unique" in found.stdout
