"""Writes into the documents what the code knows better: run by `make docs`, held by the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from adapters.postgres.privileges import PRIVILEGES
from sandbox.gateway.pages import STRIPE, content_security_policy
from service.settings import USED_BY, VARIABLES

_DOCS = Path(__file__).parent


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


def privileges_table() -> str:
    """What the service's role may do with each table."""
    rows = [f"| `{table}` | {privileges} |" for table, privileges in PRIVILEGES.items()]
    return "\n".join(["| table | privileges |", "|---|---|", *rows]) + "\n"


def page_policy() -> str:
    """The policy for a page that takes payments, a directive a line, as a block of code."""
    directives = content_security_policy(STRIPE).split("; ")
    return "\n```text\n" + ";\n".join(directives) + "\n```\n\n"


# Webhooks a month for each subscriber who pays, and messages for each of them: docs/capacity.md.
_WEBHOOKS_A_MONTH = 4
_MESSAGES_FOR_EACH = 0.75
# Bytes of a row with its indexes, as docs/capacity.md says how they were measured.
_WITH_PAYLOAD, _ERASED, _MESSAGE, _SUBSCRIBER = 6_900, 420, 950, 3_900


def capacity_table() -> str:
    """What comes of so many subscribers, with the retention that is set by default."""
    days = {
        name: int(VARIABLES[name].default or 0)
        for name in ("payload_retention_days", "event_id_retention_days", "message_retention_days")
    }
    lines = [
        "| subscribers who pay | webhooks a month | a second, in the mean | in a busy hour "
        "| in a wave | disk |",
        "|---|---|---|---|---|---|",
    ]
    for subscribers in (100_000, 1_000_000, 10_000_000, 100_000_000):
        month = subscribers * _WEBHOOKS_A_MONTH
        day, second = month / 30, month / 30 / 86_400
        wave = subscribers / 10 * _WEBHOOKS_A_MONTH / 3_600
        kept = day * (
            _WITH_PAYLOAD * days["payload_retention_days"]
            + _ERASED * (days["event_id_retention_days"] - days["payload_retention_days"])
            + _MESSAGE * _MESSAGES_FOR_EACH * days["message_retention_days"]
        )
        disk = 2 * (kept + subscribers * _SUBSCRIBER)
        lines.append(
            f"| {subscribers:,} | {month:,} | {_rounded(second)} | {_rounded(10 * second)} "
            f"| {_rounded(wave)} | {_rounded(disk / 1e9)} GB |"
        )
    return "\n".join(lines) + "\n"


def _rounded(value: float) -> str:
    """To two digits that count."""
    return f"{float(f'{value:.2g}'):,.2f}" if value < 1 else f"{float(f'{value:.2g}'):,.0f}"


# Where each table stands: the document, the name of its marks, what it is made from.
TABLES: tuple[tuple[Path, str, str, Callable[[], str]], ...] = (
    (_DOCS.parent / "README.md", "settings", "service/settings.py", settings_table),
    (
        _DOCS / "least-privilege.md",
        "privileges",
        "adapters/postgres/privileges.py",
        privileges_table,
    ),
    (_DOCS.parent / "web" / "README.md", "policy", "sandbox/gateway/pages.py", page_policy),
    (_DOCS / "capacity.md", "capacity", "docs/generate.py", capacity_table),
)


def rewritten(text: str, name: str, source: str, table: str) -> str:
    """The document with this table as it should be."""
    begin = f"<!-- {name}: begin, made by `make docs` from {source} -->\n"
    return between(begin, f"<!-- {name}: end -->", text, table)


def between(begin: str, end: str, text: str, table: str) -> str:
    """The text with this table between the two marks, which it must have once."""
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return before + begin + table + end + after


if __name__ == "__main__":
    for document, name, source, table in TABLES:
        text = rewritten(document.read_text(encoding="utf-8"), name, source, table())
        document.write_text(text, encoding="utf-8")
