"""No migration makes the service wait, or takes away what the previous release uses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

VERSIONS: Final = Path(__file__).parents[2] / "migrations/versions"
# The first one makes everything, with nobody there to wait.
LATER: Final = sorted(VERSIONS.glob("[0-9]*.py"))[1:]
# What breaks a rule all the same: the migration, what it does, and why nobody is hurt.
EXCEPTIONS: Final[dict[tuple[str, str], str]] = {
    (
        "0008_payloads_as_they_came",
        "execute: does in SQL what the operations above may not",
    ): "says how new values are kept, and reads no row",
}

TAKES_AWAY: Final = {"drop_table", "drop_column", "drop_constraint", "rename_table"}
CHECKS_EVERY_ROW: Final = {
    "create_check_constraint",
    "create_foreign_key",
    "create_primary_key",
    "create_unique_constraint",
    "create_exclude_constraint",
}
SQL: Final = re.compile(
    r"\b(drop|rename|not null|add constraint|validate|alter column|lock table)\b"
    r"|create (unique )?index",
    re.I,
)


def broken_rules(source: str) -> Iterator[str]:
    """What `upgrade` of this migration does that it must not."""
    functions = {n.name: n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)}
    calls = [node for node in ast.walk(functions["upgrade"]) if isinstance(node, ast.Call)]
    new = {_text(call.args[0]) for call in calls if _name(call) == "op.create_table"}
    for call in calls:
        name, given = _name(call), {one.arg: one.value for one in call.keywords}
        operation = name.removeprefix("op.").removeprefix("batch_op.")
        if operation in TAKES_AWAY or operation == "drop_index":
            yield f"{operation}: a release that is still running may use it"
        if operation in CHECKS_EVERY_ROW:
            yield f"{operation}: locks the table while it reads every row"
        if name == "op.create_index" and _text(call.args[1]) not in new:
            yield "create_index: locks out writers; migrations/online.py builds it beside them"
        if operation == "alter_column" and given.keys() & {"nullable", "new_column_name", "type_"}:
            yield "alter_column: reads or rewrites every row, or takes a name away"
        if operation == "add_column" and _not_null_without_default(call):
            yield "add_column: the previous release writes rows without it"
        if operation == "execute" and SQL.search(ast.unparse(call)):
            yield "execute: does in SQL what the operations above may not"


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _text(node: ast.expr) -> str:
    return ast.unparse(node)


def _not_null_without_default(call: ast.Call) -> bool:
    said = ast.unparse(call)
    return "nullable=False" in said and "server_default=" not in said


@pytest.mark.parametrize("path", LATER, ids=lambda path: path.stem)
def test_a_migration_keeps_the_rules(path: Path) -> None:
    found = {rule for rule in broken_rules(path.read_text()) if (path.stem, rule) not in EXCEPTIONS}
    assert not found, "see docs/operating.md, or give a reason in EXCEPTIONS"


def test_no_exception_outlives_its_reason() -> None:
    broken = {(path.stem, rule) for path in LATER for rule in broken_rules(path.read_text())}
    assert EXCEPTIONS.keys() <= broken


@pytest.mark.parametrize(
    "statement",
    [
        "op.create_index('ix', 'subscriptions', ['told'], schema='payments')",
        "op.drop_column('subscriptions', 'told')",
        "op.drop_table('claims')",
        "op.rename_table('claims', 'holds')",
        "op.alter_column('subscriptions', 'told', new_column_name='said')",
        "op.alter_column('subscriptions', 'told', nullable=False)",
        "op.add_column('subscriptions', sa.Column('told', sa.Text(), nullable=False))",
        "op.create_foreign_key('fk', 'a', 'b', ['x'], ['y'])",
        "op.execute('CREATE INDEX ix ON payments.subscriptions (told)')",
        "op.execute('ALTER TABLE payments.claims RENAME TO holds')",
    ],
)
def test_what_would_hurt_is_seen(statement: str) -> None:
    assert list(broken_rules(f"def upgrade():\n    {statement}\n"))


@pytest.mark.parametrize(
    "statement",
    [
        "online.create_index('ix', 'subscriptions', ['told'])",
        "op.create_table('claims', sa.Column('x'))\n    op.create_index('ix', 'claims', ['x'])",
        "op.add_column('subscriptions', sa.Column('told', sa.Text(), nullable=True))",
        "op.execute('ALTER TABLE payments.claims SET (fillfactor = 70)')",
    ],
)
def test_what_hurts_nobody_is_let_through(statement: str) -> None:
    assert not list(broken_rules(f"def upgrade():\n    {statement}\n"))
