"""What becomes of a test whose program npm does not give: nothing passes unseen in CI."""

from pathlib import Path

import pytest

from tests import npm


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
@pytest.mark.parametrize("script", [None, "echo no such package >&2; exit 1"])
def test_without_a_program_a_test_fails_in_ci_and_is_skipped_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ci: str,
    outcome: type[BaseException],
    script: str | None,
) -> None:
    if script is not None:
        program = tmp_path / "npm"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no such package" if script else "npm is not installed"):
        npm.install(tmp_path, "anything")
