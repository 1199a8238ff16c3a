"""What is done to a table that is in use, without making those who use it wait."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from adapters.postgres.tables import SCHEMA


def create_index(
    name: str, table: str, columns: Sequence[str], *, unique: bool = False, where: str | None = None
) -> None:
    """Build an index while the table is written to.

    PostgreSQL does that in no transaction: what the migration did before is committed, so begin
    with it. Repeating it is safe: what a broken-off attempt left is an invalid index, which goes
    first.
    """
    with op.get_context().autocommit_block():
        # It stands in nobody's way while it waits for older transactions to end.
        waits = op.get_bind().scalar(sa.text("SELECT current_setting('lock_timeout')"))
        op.execute("SET lock_timeout = 0")
        op.drop_index(name, table, schema=SCHEMA, if_exists=True, postgresql_concurrently=True)
        op.create_index(
            name,
            table,
            columns,
            unique=unique,
            schema=SCHEMA,
            postgresql_where=None if where is None else sa.text(where),
            postgresql_concurrently=True,
        )
        op.execute(f"SET lock_timeout = '{waits}'")
