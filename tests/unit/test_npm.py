"""What is checked by programs from npm is not left unchecked in CI."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.outcomes import Failed, Skipped

from tests import npm


@pytest.mark.parametrize(("ci", "outcome"), [("true", Failed), ("1", Failed), ("", Skipped)])
def test_without_npm_a_check_is_skipped_but_fails_in_ci(
    ci: str, outcome: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(outcome, match="npm is not installed"):
        npm.install(tmp_path, "anything")
