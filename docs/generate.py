"""Writes into the README what the code knows better: run by `make docs`, checked by the tests."""

from __future__ import annotations

from pathlib import Path

from service.settings import USED_BY, VARIABLES

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- settings: begin, made by `make docs` from service/settings.py -->\n"
END = "<!-- settings: end -->"


def settings_table() -> str:
    """Every setting, its default and who uses it."""
    lines = ["| variable | default | used by | meaning |", "|---|---|---|---|"]
    for field, variable in VARIABLES.items():
        used_by = ", ".join(name for name, fields in USED_BY.items() if field in fields)
        default = (
            f"`{variable.default}`"
            if variable.default
            else ("required" if variable.required else "none")
        )
        names = f"`{variable.name}`" + (" (or `…_FILE`)" if variable.secret else "")
        lines.append(f"| {names} | {default} | {used_by} | {variable.help} |")
    return "\n".join(lines) + "\n"


def rewritten(text: str) -> str:
    """The README with the table as it should be."""
    return between(BEGIN, END, text, settings_table())


def between(begin: str, end: str, text: str, table: str) -> str:
    """The text with this table between the two marks, which it must have once."""
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return before + begin + table + end + after


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")
