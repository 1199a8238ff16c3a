"""Spends less on packing payloads, which took longer than everything else that keeps a webhook.

What is there already stays as it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Only a server that was built with it takes lz4.
_HAS_LZ4 = "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"


def upgrade() -> None:
    if op.get_bind().scalar(sa.text(_HAS_LZ4)):
        op.execute(
            "ALTER TABLE payments.stripe_webhook_events ALTER COLUMN payload SET COMPRESSION lz4"
        )
    else:
        op.execute(
            "ALTER TABLE payments.stripe_webhook_events ALTER COLUMN payload SET STORAGE EXTERNAL"
        )


def downgrade() -> None:
    op.execute(
        "ALTER TABLE payments.stripe_webhook_events ALTER COLUMN payload SET STORAGE EXTENDED,"
        " ALTER COLUMN payload SET COMPRESSION default"
    )
