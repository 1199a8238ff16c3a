"""Finds the webhooks that were held, tried again or given up, however many others wait."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import online

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SET_ASIDE = (
    "NOT processed AND (outcome IS NOT NULL OR attempt_count > 0 OR waiting_for IS NOT NULL)"
)


def upgrade() -> None:
    # Most webhooks are applied at once and never enter it.
    online.create_index(
        "ix_stripe_webhook_events_set_aside",
        "stripe_webhook_events",
        ["created_at"],
        where=_SET_ASIDE,
    )


def downgrade() -> None:
    op.drop_index(
        "ix_stripe_webhook_events_set_aside",
        table_name="stripe_webhook_events",
        schema="payments",
        postgresql_where=sa.text(_SET_ASIDE),
    )
