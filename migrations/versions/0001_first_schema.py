"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox_events",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("subscription_id", sa.UUID(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("body", postgresql.BYTEA(), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("published_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("ordering_key", sa.String(length=255), nullable=False),
        sa.Column("partition", sa.SmallInteger(), nullable=False),
        sa.Column("must_be_routed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("unrouted_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="payments",
    )
    op.create_index(
        "ix_outbox_events_pending",
        "outbox_events",
        ["seq"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("published_at IS NULL AND unrouted_at IS NULL"),
    )
    op.create_index(
        "ix_outbox_events_subscription_id_version",
        "outbox_events",
        ["subscription_id", "version"],
        unique=True,
        schema="payments",
    )
    op.create_table(
        "paid_invoices",
        sa.Column("stripe_invoice_id", sa.String(length=255), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("stripe_invoice_id"),
        schema="payments",
    )
    op.create_table(
        "stripe_customers",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=True),
        sa.Column("stripe_customer_id", sa.String(length=255), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("stripe_created_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("livemode", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("contact_as_of", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("retired_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "user_id IS NOT NULL OR retired_at IS NOT NULL", name="ck_customer_has_user"
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="payments",
    )
    op.create_index(
        "ix_stripe_customers_stripe_customer_id",
        "stripe_customers",
        ["stripe_customer_id"],
        unique=True,
        schema="payments",
    )
    op.create_index(
        "ix_stripe_customers_user_id",
        "stripe_customers",
        ["user_id"],
        unique=True,
        schema="payments",
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "stripe_webhook_events",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("event_type", sa.String(length=100), nullable=False),
        sa.Column("processed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("processed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("error_message", sa.String(length=2000), nullable=True),
        sa.Column("attempt_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("livemode", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("ordering_key", sa.String(length=255), nullable=False),
        sa.Column("partition", sa.SmallInteger(), nullable=False),
        sa.Column("stripe_created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("api_version", sa.String(length=100), nullable=True),
        sa.Column("payload", postgresql.BYTEA(), nullable=True),
        sa.Column("traceparent", sa.String(length=55), nullable=False),
        sa.Column("next_attempt_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("waiting_for", sa.String(length=255), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="payments",
    )
    op.create_index(
        "ix_stripe_webhook_events_event_id",
        "stripe_webhook_events",
        ["event_id"],
        unique=True,
        schema="payments",
    )
    op.create_index(
        "ix_stripe_webhook_events_event_type",
        "stripe_webhook_events",
        ["event_type"],
        unique=False,
        schema="payments",
    )
    op.create_index(
        "ix_stripe_webhook_events_pending",
        "stripe_webhook_events",
        ["seq"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("NOT processed AND outcome IS NULL"),
    )
    op.create_index(
        "ix_stripe_webhook_events_processed",
        "stripe_webhook_events",
        ["processed"],
        unique=False,
        schema="payments",
    )
    op.create_index(
        "ix_stripe_webhook_events_processed_created_at",
        "stripe_webhook_events",
        ["processed", "created_at"],
        unique=False,
        schema="payments",
    )
    op.create_index(
        "ix_stripe_webhook_events_waiting_for",
        "stripe_webhook_events",
        ["waiting_for"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("waiting_for IS NOT NULL"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("stripe_customer_id", sa.String(length=255), nullable=True),
        sa.Column("stripe_subscription_id", sa.String(length=255), nullable=True),
        sa.Column("plan", sa.String(length=50), server_default="unknown", nullable=False),
        sa.Column("billing_interval", sa.String(length=20), nullable=True),
        sa.Column("stripe_price_id", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=50), server_default="trialing", nullable=False),
        sa.Column("start_date", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("end_date", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("trial_end_date", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("current_period_start", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("current_period_end", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("cancel_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("activated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("as_of", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("livemode", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="payments",
    )
    op.create_index(
        "ix_subscriptions_status", "subscriptions", ["status"], unique=False, schema="payments"
    )
    op.create_index(
        "ix_subscriptions_stripe_customer_id",
        "subscriptions",
        ["stripe_customer_id"],
        unique=False,
        schema="payments",
    )
    op.create_index(
        "ix_subscriptions_stripe_subscription_id",
        "subscriptions",
        ["stripe_subscription_id"],
        unique=True,
        schema="payments",
        postgresql_where=sa.text("stripe_subscription_id IS NOT NULL"),
    )
    op.create_index(
        "ix_subscriptions_trial_end_date",
        "subscriptions",
        ["trial_end_date"],
        unique=False,
        schema="payments",
    )
    op.create_index(
        "ix_subscriptions_user_id", "subscriptions", ["user_id"], unique=False, schema="payments"
    )
    op.create_table(
        "trial_redemptions",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("user_id"),
        schema="payments",
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="payments",
    )
    op.create_table(
        "worker_partitions",
        sa.Column("partition", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("worker_id", sa.UUID(), nullable=True),
        sa.ForeignKeyConstraint(
            ["worker_id"],
            ["payments.workers.id"],
            name="fk_worker_partitions_worker",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("partition"),
        schema="payments",
    )


def downgrade() -> None:
    op.drop_table("worker_partitions", schema="payments")
    op.drop_table("workers", schema="payments")
    op.drop_table("trial_redemptions", schema="payments")
    op.drop_index("ix_subscriptions_user_id", table_name="subscriptions", schema="payments")
    op.drop_index("ix_subscriptions_trial_end_date", table_name="subscriptions", schema="payments")
    op.drop_index(
        "ix_subscriptions_stripe_subscription_id",
        table_name="subscriptions",
        schema="payments",
        postgresql_where=sa.text("stripe_subscription_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_subscriptions_stripe_customer_id", table_name="subscriptions", schema="payments"
    )
    op.drop_index("ix_subscriptions_status", table_name="subscriptions", schema="payments")
    op.drop_table("subscriptions", schema="payments")
    op.drop_index(
        "ix_stripe_webhook_events_waiting_for",
        table_name="stripe_webhook_events",
        schema="payments",
        postgresql_where=sa.text("waiting_for IS NOT NULL"),
    )
    op.drop_index(
        "ix_stripe_webhook_events_processed_created_at",
        table_name="stripe_webhook_events",
        schema="payments",
    )
    op.drop_index(
        "ix_stripe_webhook_events_processed", table_name="stripe_webhook_events", schema="payments"
    )
    op.drop_index(
        "ix_stripe_webhook_events_pending",
        table_name="stripe_webhook_events",
        schema="payments",
        postgresql_where=sa.text("NOT processed AND outcome IS NULL"),
    )
    op.drop_index(
        "ix_stripe_webhook_events_event_type", table_name="stripe_webhook_events", schema="payments"
    )
    op.drop_index(
        "ix_stripe_webhook_events_event_id", table_name="stripe_webhook_events", schema="payments"
    )
    op.drop_table("stripe_webhook_events", schema="payments")
    op.drop_index(
        "ix_stripe_customers_user_id",
        table_name="stripe_customers",
        schema="payments",
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.drop_index(
        "ix_stripe_customers_stripe_customer_id", table_name="stripe_customers", schema="payments"
    )
    op.drop_table("stripe_customers", schema="payments")
    op.drop_table("paid_invoices", schema="payments")
    op.drop_index(
        "ix_outbox_events_subscription_id_version", table_name="outbox_events", schema="payments"
    )
    op.drop_index(
        "ix_outbox_events_pending",
        table_name="outbox_events",
        schema="payments",
        postgresql_where=sa.text("published_at IS NULL AND unrouted_at IS NULL"),
    )
    op.drop_table("outbox_events", schema="payments")
