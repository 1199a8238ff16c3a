"""Statements as the driver runs them. SQLAlchemy writes them, and knows their parameters."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.asyncpg import dialect

# SQLAlchemy leaves the making of its dialects untyped.
DIALECT: Final[Dialect] = dialect()  # type: ignore[no-untyped-call]
_PLACEHOLDER: Final = re.compile(r"\$(\d+)")
# The condition of every change that it may have to wait for another: see `together`.
AFTER: Final = "(true /* after */)"

Parameters = Mapping[str, Any]


class Statement:
    """A statement of SQLAlchemy's, made ready for the driver."""

    def __init__(self, statement: sa.TextClause | sa.Select[*tuple[Any, ...]]) -> None:
        compiled = statement.compile(dialect=DIALECT)
        self.sql = str(compiled)
        # The parameters, in the order of $1, $2 and so on.
        self.names: Sequence[str] = compiled.positiontup or ()

    def values(self, parameters: Parameters) -> list[Any]:
        """The parameters in their order."""
        return [parameters[name] for name in self.names]


class Write:
    """An INSERT or UPDATE whose result nobody waits for, so that it can travel with others.

    `name` is what its result is called, of which `tell`, a SELECT of one text, may ask. Among the
    conditions of `change` is AFTER.
    """

    def __init__(self, name: str, change: str, *, tell: str | None = None) -> None:
        assert AFTER in change, "or nothing says when it is done"
        self.name = name
        self.change = Statement(
            sa.text(change if "RETURNING" in change else f"{change} RETURNING 1")
        )
        self.tell = None if tell is None else Statement(sa.text(tell))

    def values(self, parameters: Parameters) -> list[Any]:
        """The parameters as `together` numbers them."""
        told = [] if self.tell is None else self.tell.values(parameters)
        return [*self.change.values(parameters), *told]


@functools.cache  # there are as many as there are kinds of batches
def together(writes: tuple[Write, ...]) -> str:
    """One statement that does all of these; its parameters are theirs, one after the other.

    They are done in this order, so that locks are taken in it, too: each asks for what the one
    before it gave. Left to itself the server does them in any. But none of them sees what another
    one does, so no two may change the same row. (PostgreSQL: Data-Modifying Statements in WITH)
    """
    changes: list[str] = []
    told: list[str] = []
    number = 0
    before: str | None = None
    for write in writes:
        change = _numbered_from(number, write.change)
        number += len(write.change.names)
        if before is not None:
            change = change.replace(AFTER, f"(SELECT count(*) >= 0 FROM {before})")
        changes.append(f"{write.name} AS ({change})")
        before = write.name
        if write.tell is not None:
            told.append(f"({_numbered_from(number, write.tell)})")
            number += len(write.tell.names)
    return f"WITH {', '.join(changes)} {' UNION ALL '.join(told) or 'SELECT'}"


def _numbered_from(number: int, statement: Statement) -> str:
    return _PLACEHOLDER.sub(lambda found: f"${int(found[1]) + number}", statement.sql)
