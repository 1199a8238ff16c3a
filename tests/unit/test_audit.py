"""`make audit`: what it finds, what it leaves, and what it says where it cannot look."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "secret",
    [
        'KEY = "sk_' + "live_" + "a1B2c3D4e5F6" * 2 + '"',
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "url = postgresql://payments:" + "correcthorse" + "@db.internal/payments",
        "token = ghp_" + "a1B2c3D4e5F6" * 3,
        "url = postgresql://payments:" + "correcthorse" + "@postgres.internal/payments",
        "url = amqp://payments:" + "correcthorse" + "@hosted.example.io/",
        "a = amqp://a:b@localhost; b = amqp://payments:" + "correcthorse" + "@mq.internal/",
        "token = ghp_" + "a1B2c3D4e5F6" * 3 + " # of root@localhost",
    ],
)
def test_a_secret_in_a_file_is_found_and_not_quoted(
    audit: ModuleType, tmp_path: Path, secret: str
) -> None:
    file = tmp_path / "settings.py"
    file.write_text(f"nothing = 1\n{secret}\n")

    found, *_ = audit.secrets([file])

    assert f"{file}:2" in found
    assert "a1B2" not in found
    assert "correcthorse" not in found


def test_a_line_that_opens_nothing_can_be_marked(audit: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "settings.py"
    key = "sk_" + "live_" + "a1B2c3D4e5F6" * 2
    file.write_text(f'KEY = "{key}"  # pragma: allowlist secret\n')

    assert audit.secrets([file]) == []


def test_there_is_no_secret_in_what_we_keep(audit: ModuleType) -> None:
    files = audit._tracked()

    assert len(files) > 100
    assert audit.secrets(files) == []


def test_a_known_hole_is_found_with_its_remedy(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer: dict[str, Any] = {
        "dependencies": [
            {"name": "safe", "version": "1.0", "vulns": []},
            {
                "name": "holey",
                "version": "1.0",
                "vulns": [{"id": "CVE-2030-1", "fix_versions": ["1.1"]}],
            },
            {"name": "ours", "skip_reason": "not found"},
        ]
    }
    monkeypatch.setattr(audit, "_json_of", lambda command: answer)

    assert audit.python_dependencies(ROOT / "requirements.lock") == [
        "holey 1.0: CVE-2030-1, mended in 1.1"
    ]


@pytest.mark.parametrize("answer", [None, {"dependencies": [{"name": "a", "skip_reason": "?"}]}])
def test_where_no_source_can_be_reached_it_says_so(
    audit: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: Any,
) -> None:
    monkeypatch.setattr(audit, "_json_of", lambda command: answer)

    assert audit.python_dependencies(ROOT / "requirements.lock") == []
    assert "requirements.lock: NOT AUDITED" in capsys.readouterr().out


def test_the_next_source_is_asked_where_one_is_away(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(command: list[str]) -> Any:
        known = {"dependencies": [{"name": "safe", "version": "1.0", "vulns": []}]}
        return known if "osv" in command else None

    monkeypatch.setattr(audit, "_json_of", answer)

    assert audit.python_dependencies(ROOT / "requirements.lock") == []
    assert "1 packages audited by osv" in capsys.readouterr().out


def test_the_last_line_says_what_was_not_audited(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "_json_of", lambda *_: None)
    monkeypatch.setattr(audit, "_tracked", list)
    monkeypatch.setattr(audit.shutil, "which", lambda _: "npm")

    assert audit.main() == 0

    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        "audit: nothing found; NOT AUDITED: requirements.lock, requirements-dev.lock, web"
    )
