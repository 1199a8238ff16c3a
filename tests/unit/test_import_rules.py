"""Prove that every import rule can fail: a rule that cannot would only look like one."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "ports", "service", "adapters", "migrations")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS: dict[str, dict[str, Any]] = {
    contract["name"]: contract for contract in SETTINGS["tool"]["importlinter"]["contracts"]
}

INWARDS = "Imports point inwards, from adapters over service and ports to domain"
WIRING = "Only service.cli imports service.wiring"
INJECTOR = "Only service.wiring imports dependency_injector"
STRIPE = "Only adapters.stripe imports stripe"
ADAPTERS = "Adapters do not know each other"
STANDARD_LIBRARY = "Domain and ports import the standard library only"
SERVICE = "The service adds only msgspec, structlog and opentelemetry"
PRODUCT = "The product imports neither sandbox nor tests"

VIOLATIONS = [
    (INWARDS, {"domain/planted.py": "import ports"}),
    (INWARDS, {"ports/planted.py": "import service"}),
    (INWARDS, {"service/planted.py": "import adapters.planted", "adapters/planted.py": ""}),
    (WIRING, {"service/planted.py": "import service.wiring"}),
    (INJECTOR, {"service/planted.py": "import dependency_injector.containers"}),
    (STRIPE, {"adapters/planted.py": "import stripe"}),
    (ADAPTERS, {"adapters/one.py": "import adapters.other", "adapters/other.py": ""}),
    (STANDARD_LIBRARY, {"domain/planted.py": "import msgspec"}),
    (STANDARD_LIBRARY, {"ports/planted.py": "import sqlalchemy.orm"}),
    (SERVICE, {"service/planted.py": "import sqlalchemy.orm"}),
    (PRODUCT, {"adapters/planted.py": "import tests.servers"}),
    (PRODUCT, {"migrations/planted.py": "import sandbox.servers"}),
]


@pytest.fixture
def product(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def broken_contracts(product: Path) -> set[str]:
    linter = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=product,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    verdicts = {
        name: match[1]
        for name in CONTRACTS
        if (match := re.search(rf"^{re.escape(name)} (KEPT|BROKEN)\b", linter.stdout, re.MULTILINE))
    }
    assert verdicts.keys() == CONTRACTS.keys(), linter.stdout + linter.stderr
    broken = {name for name, verdict in verdicts.items() if verdict == "BROKEN"}
    assert (linter.returncode != 0) == bool(broken)
    return broken


def test_the_product_keeps_every_rule(product: Path) -> None:
    assert broken_contracts(product) == set()


@pytest.mark.parametrize(("contract", "files"), VIOLATIONS)
def test_a_planted_violation_breaks_its_rule(
    product: Path, contract: str, files: dict[str, str]
) -> None:
    for path, source in files.items():
        (product / path).write_text(source)

    assert broken_contracts(product) == {contract}


def test_every_rule_has_a_planted_violation() -> None:
    assert {contract for contract, _ in VIOLATIONS} == CONTRACTS.keys()


def test_every_runtime_dependency_is_forbidden_to_domain_and_ports() -> None:
    dependencies = {
        re.split(r"[\[=<>~! ]", requirement)[0].lower()
        for requirement in SETTINGS["project"]["dependencies"]
    }
    modules = {
        module
        for module, distributions in packages_distributions().items()
        if not module.startswith("_") and dependencies & {name.lower() for name in distributions}
    }

    assert modules <= set(CONTRACTS[STANDARD_LIBRARY]["forbidden_modules"])
