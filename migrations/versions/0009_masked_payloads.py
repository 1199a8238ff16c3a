"""Notes which webhooks that were given up no longer say anything of people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "stripe_webhook_events",
        sa.Column("masked_at", postgresql.TIMESTAMP(timezone=True)),
        schema="payments",
    )


def downgrade() -> None:
    op.drop_column("stripe_webhook_events", "masked_at", schema="payments")
