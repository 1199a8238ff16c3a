"""Many rows in one statement, as one array per column.

Several times faster than one parameter set per row, and the server plans a single statement
whatever the size of the batch. The table's own definition gives the columns' types.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from adapters.postgres.statements import AFTER, DIALECT


def insert_arrays(table: sa.Table, columns: Sequence[str], then: str) -> str:
    """`INSERT INTO table … SELECT FROM unnest(:column, …)`, followed by `then`, in which `old` is
    the row that is there already.
    """
    return (
        f"INSERT INTO {table.fullname} AS old ({', '.join(columns)}) "
        f"SELECT {', '.join(columns)} FROM {unnest(table, columns)} WHERE {AFTER} {then}"
    )


def unnest(table: sa.Table, columns: Sequence[str], **more: str) -> str:
    """`unnest(…) AS new(…)` over array parameters named like these columns, and over `more`, which
    has the types of what is no column.
    """
    types = {name: _type_of(table.c[name]) for name in columns} | more
    arrays = (f"CAST(:{name} AS {type_}[])" for name, type_ in types.items())
    return f"unnest({', '.join(arrays)}) AS new({', '.join(types)})"


def _type_of(column: sa.Column[object]) -> str:
    # A cast to varchar(n) would cut off silently what an assignment refuses.
    if isinstance(column.type, sa.String):
        return "text"
    return column.type.compile(dialect=DIALECT)
