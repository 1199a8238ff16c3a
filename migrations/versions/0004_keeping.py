"""Finds what is old enough to be erased or removed, and says whose turn a periodic job is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import online

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Both are entered when a row is done with, an update that no page could take as HOT anyway,
    # and always at their right end.
    online.create_index(
        "ix_stripe_webhook_events_erasable",
        "stripe_webhook_events",
        ["created_at"],
        where="processed AND payload IS NOT NULL",
    )
    online.create_index(
        "ix_outbox_events_done",
        "outbox_events",
        ["created_at"],
        where="published_at IS NOT NULL OR unrouted_at IS NOT NULL",
    )
    op.create_table(
        "scheduled_jobs",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        schema="payments",
    )


def downgrade() -> None:
    op.drop_table("scheduled_jobs", schema="payments")
    op.drop_index(
        "ix_outbox_events_done",
        table_name="outbox_events",
        schema="payments",
        postgresql_where=sa.text("published_at IS NOT NULL OR unrouted_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_stripe_webhook_events_erasable",
        table_name="stripe_webhook_events",
        schema="payments",
        postgresql_where=sa.text("processed AND payload IS NOT NULL"),
    )
