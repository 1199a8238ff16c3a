"""What users were shown of changes of plan, and claims on what one request at a time may do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plan_change_previews",
        sa.Column("subscription_id", sa.UUID(), nullable=False),
        sa.Column("price_ref", sa.String(length=255), nullable=False),
        sa.Column("proration_date", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("old_price_ref", sa.String(length=255), nullable=False),
        sa.Column("due_now", sa.BigInteger(), nullable=False),
        sa.Column("sum_of_lines", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("subscription_id", "price_ref", "proration_date"),
        schema="payments",
    )
    op.create_index(
        "ix_plan_change_previews_created_at",
        "plan_change_previews",
        ["created_at"],
        unique=False,
        schema="payments",
    )
    op.create_table(
        "claims",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("holder", sa.UUID(), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        schema="payments",
    )


def downgrade() -> None:
    op.drop_table("claims", schema="payments")
    op.drop_index(
        "ix_plan_change_previews_created_at", table_name="plan_change_previews", schema="payments"
    )
    op.drop_table("plan_change_previews", schema="payments")
