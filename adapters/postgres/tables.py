"""The schema `payments`. The names of the first four tables' columns and indexes are a contract."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP, UUID

SCHEMA: Final = "payments"
# The migration that this release needs. Ids have four digits: a later one is the greater text.
REVISION: Final = "0011"

metadata = sa.MetaData(schema=SCHEMA)

_now = sa.text("now()")
_moment = TIMESTAMP(timezone=True)


def _id() -> sa.Column[object]:
    return sa.Column(
        "id", UUID(as_uuid=True), primary_key=True, server_default=sa.text("gen_random_uuid()")
    )


def _created_at() -> sa.Column[object]:
    return sa.Column("created_at", _moment, nullable=False, server_default=_now)


def _livemode() -> sa.Column[object]:
    return sa.Column("livemode", sa.Boolean, nullable=False, server_default=sa.false())


stripe_customers = sa.Table(
    "stripe_customers",
    metadata,
    _id(),
    # NULL only for a customer whose deletion was heard of before anything else.
    sa.Column("user_id", UUID(as_uuid=True)),
    sa.Column("stripe_customer_id", sa.String(255), nullable=False),
    sa.Column("email", sa.String(255)),
    sa.Column("name", sa.String(255)),
    sa.Column("stripe_created_at", _moment),
    _created_at(),
    sa.Column("updated_at", _moment),
    _livemode(),
    # The watermark of the newest customer event applied; see domain/watermark.py.
    sa.Column("contact_as_of", _moment),
    # When Stripe deleted the customer: the user may then be linked to a new one.
    sa.Column("retired_at", _moment),
    sa.CheckConstraint(
        "user_id IS NOT NULL OR retired_at IS NOT NULL", name="ck_customer_has_user"
    ),
    sa.Index(
        "ix_stripe_customers_user_id",
        "user_id",
        unique=True,
        postgresql_where=sa.text("retired_at IS NULL"),
    ),
    sa.Index("ix_stripe_customers_stripe_customer_id", "stripe_customer_id", unique=True),
)

# A webhook is pending until it is processed or given up as dead.
PENDING: Final = "NOT processed AND outcome IS NULL"
# Neither done with nor simply next: held, tried again or given up.
SET_ASIDE: Final = (
    "NOT processed AND (outcome IS NOT NULL OR attempt_count > 0 OR waiting_for IS NOT NULL)"
)

stripe_webhook_events = sa.Table(
    "stripe_webhook_events",
    metadata,
    _id(),
    sa.Column("event_id", sa.String(255), nullable=False),
    sa.Column("event_type", sa.String(100), nullable=False),
    sa.Column("processed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("processed_at", _moment),
    sa.Column("error_message", sa.String(2000)),
    sa.Column("attempt_count", sa.Integer, nullable=False, server_default=sa.text("0")),
    _created_at(),
    sa.Column("updated_at", _moment),
    _livemode(),
    # The order of arrival.
    sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("ordering_key", sa.String(255), nullable=False),
    sa.Column("partition", sa.SmallInteger, nullable=False),
    sa.Column("stripe_created_at", _moment, nullable=False),
    sa.Column("api_version", sa.String(100)),
    # The signed bytes as they came. Not jsonb: that would neither keep them nor be as fast. Packed
    # with lz4 or not at all, as migration 0008 says.
    sa.Column("payload", BYTEA),
    sa.Column("traceparent", sa.String(55), nullable=False),
    # NULL: due at once. By the database's clock, since those of the workers may differ.
    sa.Column("next_attempt_at", _moment),
    # What wakes it before its next attempt; a subscription's or customer's reference, or a user.
    sa.Column("waiting_for", sa.String(255)),
    # What became of it: an Outcome, or 'dead'.
    sa.Column("outcome", sa.String(20)),
    # Since when the payload of one that was given up says nothing of people.
    sa.Column("masked_at", _moment),
    sa.Index("ix_stripe_webhook_events_event_id", "event_id", unique=True),
    sa.Index("ix_stripe_webhook_events_event_type", "event_type"),
    sa.Index("ix_stripe_webhook_events_processed", "processed"),
    sa.Index("ix_stripe_webhook_events_processed_created_at", "processed", "created_at"),
    # The claim reads this index in its own order, so no statistics, however stale, can talk the
    # planner into sorting the backlog.
    sa.Index("ix_stripe_webhook_events_pending", "seq", postgresql_where=sa.text(PENDING)),
    sa.Index(
        "ix_stripe_webhook_events_waiting_for",
        "waiting_for",
        postgresql_where=sa.text("waiting_for IS NOT NULL"),
    ),
    # What is set aside is few among many that are pending; see levels.py.
    sa.Index(
        "ix_stripe_webhook_events_set_aside",
        "created_at",
        postgresql_where=sa.text(SET_ASIDE),
    ),
    # What may have to be erased, in the order in which its time comes; see retention.py.
    sa.Index(
        "ix_stripe_webhook_events_erasable",
        "created_at",
        postgresql_where=sa.text("processed AND payload IS NOT NULL"),
    ),
)

subscriptions = sa.Table(
    "subscriptions",
    metadata,
    _id(),
    sa.Column("user_id", UUID(as_uuid=True), nullable=False),
    sa.Column("stripe_customer_id", sa.String(255)),
    sa.Column("stripe_subscription_id", sa.String(255)),
    sa.Column("plan", sa.String(50), nullable=False, server_default="unknown"),
    sa.Column("billing_interval", sa.String(20)),
    sa.Column("stripe_price_id", sa.String(255)),
    sa.Column("status", sa.String(50), nullable=False, server_default="trialing"),
    sa.Column("start_date", _moment),
    sa.Column("end_date", _moment),
    sa.Column("trial_end_date", _moment),
    sa.Column("current_period_start", _moment),
    sa.Column("current_period_end", _moment),
    sa.Column("cancel_at", _moment),
    sa.Column("version", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("activated", sa.Boolean, nullable=False, server_default=sa.false()),
    # The watermark of the newest snapshot applied; see domain/watermark.py.
    sa.Column("as_of", _moment),
    # What the messages up to a version said. A release that does not know of it leaves the version
    # behind, and what stands here is then not taken.
    sa.Column("told", JSONB),
    _livemode(),
    _created_at(),
    sa.Column("updated_at", _moment),
    sa.Index(
        "ix_subscriptions_stripe_subscription_id",
        "stripe_subscription_id",
        unique=True,
        postgresql_where=sa.text("stripe_subscription_id IS NOT NULL"),
    ),
    sa.Index("ix_subscriptions_stripe_customer_id", "stripe_customer_id"),
    sa.Index("ix_subscriptions_status", "status"),
    sa.Index("ix_subscriptions_trial_end_date", "trial_end_date"),
    sa.Index("ix_subscriptions_user_id", "user_id"),
    # A subscription changes time and again, and most changes touch no index.
    postgresql_with={"fillfactor": 70},
)

outbox_events = sa.Table(
    "outbox_events",
    metadata,
    _id(),
    sa.Column("subscription_id", UUID(as_uuid=True), nullable=False),
    # Below zero where it takes no number of the sequence: -1, -2, … per subscription.
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("type", sa.String(100), nullable=False),
    sa.Column("body", BYTEA, nullable=False),
    _created_at(),
    sa.Column("published_at", _moment),
    sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("ordering_key", sa.String(255), nullable=False),
    sa.Column("partition", sa.SmallInteger, nullable=False),
    sa.Column("must_be_routed", sa.Boolean, nullable=False, server_default=sa.false()),
    # No queue wanted it, and it was one that need not be routed.
    sa.Column("unrouted_at", _moment),
    sa.Index("ix_outbox_events_subscription_id_version", "subscription_id", "version", unique=True),
    sa.Index(
        "ix_outbox_events_pending",
        "seq",
        postgresql_where=sa.text("published_at IS NULL AND unrouted_at IS NULL"),
    ),
    sa.Index(
        "ix_outbox_events_done",
        "created_at",
        postgresql_where=sa.text("published_at IS NOT NULL OR unrouted_at IS NOT NULL"),
    ),
)

trial_redemptions = sa.Table(
    "trial_redemptions",
    metadata,
    sa.Column("user_id", UUID(as_uuid=True), primary_key=True),
    _created_at(),
)

# Invoices told of as paid: `invoice.paid` and `invoice.payment_succeeded` both come for each.
paid_invoices = sa.Table(
    "paid_invoices",
    metadata,
    sa.Column("stripe_invoice_id", sa.String(255), primary_key=True),
    _created_at(),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("expires_at", _moment, nullable=False),
)

worker_partitions = sa.Table(
    "worker_partitions",
    metadata,
    sa.Column("partition", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column(
        "worker_id",
        UUID(as_uuid=True),
        sa.ForeignKey(
            "payments.workers.id", ondelete="SET NULL", name="fk_worker_partitions_worker"
        ),
    ),
)

# What a user's request was answered with under their key; without a status it is under way.
idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("user_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("request_hash", BYTEA, nullable=False),
    sa.Column("status", sa.SmallInteger),
    sa.Column("media_type", sa.String(100)),
    sa.Column("body", BYTEA),
    _created_at(),
    sa.Index("ix_idempotency_keys_created_at", "created_at"),
)

# Subscriptions that were found running beside another one of the same user, for an operator.
duplicate_subscriptions = sa.Table(
    "duplicate_subscriptions",
    metadata,
    sa.Column("subscription_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("user_id", UUID(as_uuid=True), nullable=False),
    _created_at(),
)

# When each periodic job is due again; whoever moves the date on has taken the job.
scheduled_jobs = sa.Table(
    "scheduled_jobs",
    metadata,
    sa.Column("name", sa.String(50), primary_key=True),
    sa.Column("due_at", _moment, nullable=False),
    sa.Column("progress", sa.Text),
)

# What users were shown of changes of plan; a change is held to it. Amounts in minor units.
plan_change_previews = sa.Table(
    "plan_change_previews",
    metadata,
    sa.Column("subscription_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("price_ref", sa.String(255), primary_key=True),
    sa.Column("proration_date", _moment, primary_key=True),
    sa.Column("old_price_ref", sa.String(255), nullable=False),
    sa.Column("due_now", sa.BigInteger, nullable=False),
    sa.Column("sum_of_lines", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    _created_at(),
    sa.Index("ix_plan_change_previews_created_at", "created_at"),
)

# On which terms purchases were asked for, under the name of each operation.
purchase_terms = sa.Table(
    "purchase_terms",
    metadata,
    sa.Column("operation", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.String(32), primary_key=True),
    sa.Column("price_ref", sa.String(255), nullable=False),
    sa.Column("trial_days", sa.SmallInteger, nullable=False),
    sa.Column("success_url", sa.Text, nullable=False),
    sa.Column("cancel_url", sa.Text, nullable=False),
    _created_at(),
    sa.Index("ix_purchase_terms_created_at", "created_at"),
)

# What one request at a time may do. A claim whose holder died runs out.
claims = sa.Table(
    "claims",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("holder", UUID(as_uuid=True), nullable=False),
    sa.Column("expires_at", _moment, nullable=False),
)
