"""Keeps how far a periodic job has come, so that one that was cut off goes on there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "scheduled_jobs", sa.Column("progress", sa.Text(), nullable=True), schema="payments"
    )


def downgrade() -> None:
    op.drop_column("scheduled_jobs", "progress", schema="payments")
