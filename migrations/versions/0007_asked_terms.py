"""On which terms purchases were asked for, so that a failure of other terms' can be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "purchase_terms",
        sa.Column("operation", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("price_ref", sa.String(length=255), nullable=False),
        sa.Column("trial_days", sa.SmallInteger(), nullable=False),
        sa.Column("success_url", sa.Text(), nullable=False),
        sa.Column("cancel_url", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("operation", "fingerprint"),
        schema="payments",
    )
    op.create_index(
        "ix_purchase_terms_created_at",
        "purchase_terms",
        ["created_at"],
        unique=False,
        schema="payments",
    )


def downgrade() -> None:
    op.drop_index("ix_purchase_terms_created_at", table_name="purchase_terms", schema="payments")
    op.drop_table("purchase_terms", schema="payments")
