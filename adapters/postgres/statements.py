"""Statements as the driver runs them. SQLAlchemy writes them, and knows their parameters."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import dialect

_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
_PLACEHOLDER: Final = re.compile(r"\$(\d+)")
# Where a change says that it comes after another: see Write.
AFTER: Final = "(true /* after */)"

Parameters = Mapping[str, Any]


class Statement:
    """A statement of SQLAlchemy's, made ready for the driver."""

    def __init__(self, statement: sa.Executable) -> None:
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        self.sql = str(compiled)
        # The parameters, in the order of $1, $2 and so on.
        self.names: Sequence[str] = compiled.positiontup or ()

    def values(self, parameters: Parameters) -> list[Any]:
        """The parameters in their order."""
        return [parameters[name] for name in self.names]


class Write:
    """An INSERT or UPDATE whose result nobody waits for, so that it can travel with others.

    `name` is what its result is called, of which `tell`, a SELECT of one text, may ask. Where the
    one called `after` travels with it, that is done first: its condition AFTER sees to it.
    """

    def __init__(
        self, name: str, change: str, *, tell: str | None = None, after: str | None = None
    ) -> None:
        self.name = name
        self.after = after
        self.change = Statement(sa.text(change))
        self.tell = None if tell is None else Statement(sa.text(tell))

    def values(self, parameters: Parameters) -> list[Any]:
        """The parameters as `together` numbers them."""
        told = [] if self.tell is None else self.tell.values(parameters)
        return [*self.change.values(parameters), *told]


@functools.cache  # there are as many as there are kinds of batches
def together(writes: tuple[Write, ...]) -> str:
    """One statement that does all of these; its parameters are theirs, one after the other.

    None of them sees what another one does, so no two may change the same row.
    (PostgreSQL: Data-Modifying Statements in WITH)
    """
    changes: list[str] = []
    told: list[str] = []
    number = 0
    for write in writes:
        change = _numbered_from(number, write.change)
        number += len(write.change.names)
        if write.after in {other.name for other in writes}:
            # To count what the other one gives takes all of it to be done.
            change = change.replace(AFTER, f"(SELECT count(*) >= 0 FROM {write.after})")
        changes.append(f"{write.name} AS ({change})")
        if write.tell is not None:
            told.append(f"({_numbered_from(number, write.tell)})")
            number += len(write.tell.names)
    return f"WITH {', '.join(changes)} {' UNION ALL '.join(told) or 'SELECT'}"


def _numbered_from(number: int, statement: Statement) -> str:
    return _PLACEHOLDER.sub(lambda found: f"${int(found[1]) + number}", statement.sql)
