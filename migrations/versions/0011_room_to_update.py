"""Leaves room in each page of subscriptions for their next versions.

One that finds room in its own page, and changes no indexed column, touches none of the six indexes
(PostgreSQL: Heap-Only Tuples). Pages that are full get room as rows are updated out of them.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE payments.subscriptions SET (fillfactor = 70)")


def downgrade() -> None:
    op.execute("ALTER TABLE payments.subscriptions RESET (fillfactor)")
