"""Remembers what the messages said of a subscription, for the snapshots of who comes late."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "subscriptions", sa.Column("told", postgresql.JSONB(), nullable=True), schema="payments"
    )


def downgrade() -> None:
    op.drop_column("subscriptions", "told", schema="payments")
