"""What the documents say of the code is what the code says."""

from __future__ import annotations

from docs.generate import README, rewritten


def test_the_settings_in_the_readme_are_those_of_the_code() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == rewritten(text), "run `make docs` and commit the README"
