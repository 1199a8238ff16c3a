"""What the documents say of the code is what the code says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from docs.generate import TABLES, rewritten


@pytest.mark.parametrize(("document", "name", "source", "table"), TABLES)
def test_the_tables_in_the_documents_are_those_of_the_code(
    document: Path, name: str, source: str, table: Callable[[], str]
) -> None:
    text = document.read_text(encoding="utf-8")
    assert text == rewritten(text, name, source, table()), "run `make docs` and commit it"
