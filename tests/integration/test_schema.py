"""The schema as PostgreSQL has it, compared name by name with what others were promised."""

from typing import NamedTuple

import asyncpg
import pytest


class Column(NamedTuple):
    type: str
    default: str | None = None
    nullable: bool | None = None  # None: not promised


UUID = "uuid"
MOMENT = "timestamp with time zone"
BOOLEAN = "boolean"
INTEGER = "integer"
PRIMARY_KEY = Column(UUID, "gen_random_uuid()", nullable=False)
CREATED_AT = Column(MOMENT, "now()", nullable=False)
UPDATED_AT = Column(MOMENT, None, nullable=True)


def text(length: int) -> str:
    return f"character varying({length})"


COLUMNS = {
    "stripe_customers": {
        "id": PRIMARY_KEY,
        "user_id": Column(UUID),
        "stripe_customer_id": Column(text(255), nullable=False),
        "email": Column(text(255)),
        "name": Column(text(255)),
        "stripe_created_at": Column(MOMENT),
        "created_at": CREATED_AT,
        "updated_at": UPDATED_AT,
        "livemode": Column(BOOLEAN, "false", nullable=False),
    },
    "stripe_webhook_events": {
        "id": PRIMARY_KEY,
        "event_id": Column(text(255), nullable=False),
        "event_type": Column(text(100), nullable=False),
        "processed": Column(BOOLEAN, "false", nullable=False),
        "processed_at": Column(MOMENT, nullable=True),
        "error_message": Column(text(2000), nullable=True),
        "attempt_count": Column(INTEGER, "0", nullable=False),
        "created_at": CREATED_AT,
        "updated_at": UPDATED_AT,
        "livemode": Column(BOOLEAN, "false", nullable=False),
    },
    "subscriptions": {
        "id": PRIMARY_KEY,
        "user_id": Column(UUID, nullable=False),
        "stripe_customer_id": Column(text(255)),
        "stripe_subscription_id": Column(text(255)),
        "plan": Column(text(50), "'unknown'::character varying", nullable=False),
        "status": Column(text(50), "'trialing'::character varying", nullable=False),
        "start_date": Column(MOMENT),
        "end_date": Column(MOMENT, nullable=True),
        "trial_end_date": Column(MOMENT, nullable=True),
        "version": Column(INTEGER, "0", nullable=False),
        "created_at": CREATED_AT,
        "updated_at": UPDATED_AT,
        "livemode": Column(BOOLEAN, "false", nullable=False),
    },
    "outbox_events": {
        "id": PRIMARY_KEY,
        "subscription_id": Column(UUID, nullable=False),
        "version": Column(INTEGER, nullable=False),
        "type": Column(text(100), nullable=False),
        "body": Column("bytea", nullable=False),
        "created_at": CREATED_AT,
        "published_at": Column(MOMENT, nullable=True),
    },
    "trial_redemptions": {"user_id": Column(UUID, nullable=False)},
}

# index -> (table, columns, unique, where)
INDEXES = {
    "ix_stripe_customers_user_id": (
        "stripe_customers",
        ["user_id"],
        True,
        "(retired_at IS NULL)",
    ),
    "ix_stripe_customers_stripe_customer_id": (
        "stripe_customers",
        ["stripe_customer_id"],
        True,
        None,
    ),
    "ix_stripe_webhook_events_event_id": ("stripe_webhook_events", ["event_id"], True, None),
    "ix_stripe_webhook_events_event_type": ("stripe_webhook_events", ["event_type"], False, None),
    "ix_stripe_webhook_events_processed": ("stripe_webhook_events", ["processed"], False, None),
    "ix_stripe_webhook_events_processed_created_at": (
        "stripe_webhook_events",
        ["processed", "created_at"],
        False,
        None,
    ),
    "ix_subscriptions_stripe_subscription_id": (
        "subscriptions",
        ["stripe_subscription_id"],
        True,
        "(stripe_subscription_id IS NOT NULL)",
    ),
    "ix_subscriptions_stripe_customer_id": ("subscriptions", ["stripe_customer_id"], False, None),
    "ix_subscriptions_status": ("subscriptions", ["status"], False, None),
    "ix_subscriptions_trial_end_date": ("subscriptions", ["trial_end_date"], False, None),
}

PRIMARY_KEYS = {
    "stripe_customers": ["id"],
    "stripe_webhook_events": ["id"],
    "subscriptions": ["id"],
    "outbox_events": ["id"],
    "trial_redemptions": ["user_id"],
}

_INDEX = """
    SELECT t.relname, i.indisunique,
           pg_get_expr(i.indpred, i.indrelid) AS condition,
           array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                 ORDER BY k.place) AS columns
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relnamespace = 'payments'::regnamespace
"""


@pytest.mark.parametrize("table", COLUMNS)
async def test_a_table_has_the_columns_that_were_promised(
    bystander: asyncpg.Connection, table: str
) -> None:
    rows = await bystander.fetch(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type,"
        " pg_get_expr(d.adbin, d.adrelid) AS default, NOT a.attnotnull AS nullable"
        " FROM pg_attribute a LEFT JOIN pg_attrdef d"
        "  ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        " WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped",
        f"payments.{table}",
    )
    promised = COLUMNS[table]
    found = {
        row["attname"]: Column(
            row["type"],
            row["default"],
            None if promised[row["attname"]].nullable is None else row["nullable"],
        )
        for row in rows
        if row["attname"] in promised
    }

    assert found == promised


@pytest.mark.parametrize("index", INDEXES)
async def test_an_index_has_the_name_and_the_kind_that_were_promised(
    bystander: asyncpg.Connection, index: str
) -> None:
    row = await bystander.fetchrow(f"{_INDEX} AND c.relname = $1", index)

    assert row is not None
    found = (row["relname"], row["columns"], row["indisunique"], row["condition"])
    assert found == INDEXES[index]


@pytest.mark.parametrize("table", PRIMARY_KEYS)
async def test_a_table_has_the_primary_key_that_was_promised(
    bystander: asyncpg.Connection, table: str
) -> None:
    row = await bystander.fetchrow(f"{_INDEX} AND i.indisprimary AND t.relname = $1", table)

    assert row is not None
    assert row["columns"] == PRIMARY_KEYS[table]


async def test_no_table_refers_to_what_another_service_owns(
    bystander: asyncpg.Connection,
) -> None:
    referred = await bystander.fetch(
        "SELECT DISTINCT confrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f' AND connamespace = 'payments'::regnamespace"
    )

    assert [row["confrelid"] for row in referred] == ["payments.workers"]


async def test_every_name_is_snake_case(bystander: asyncpg.Connection) -> None:
    names = await bystander.fetch(
        "SELECT relname AS name FROM pg_class WHERE relnamespace = 'payments'::regnamespace"
        " UNION SELECT attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
        " WHERE c.relnamespace = 'payments'::regnamespace AND attnum > 0"
    )

    assert [row["name"] for row in names if not row["name"].replace("_", "").isalnum()] == []
    assert [row["name"] for row in names if row["name"] != row["name"].lower()] == []


async def test_payloads_are_not_packed_slowly(bystander: asyncpg.Connection) -> None:
    """What PostgreSQL does by default takes longer than all the rest of taking a webhook."""
    has_lz4 = await bystander.fetchval(
        "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    )
    kept = await bystander.fetchrow(
        "SELECT attstorage, attcompression FROM pg_attribute WHERE attname = 'payload'"
        " AND attrelid = 'payments.stripe_webhook_events'::regclass"
    )

    expected = (b"x", b"l") if has_lz4 else (b"e", b"\0")
    assert tuple(kept or ()) == expected, "packed with lz4, or kept as it came"


async def test_a_subscription_finds_room_in_its_page_for_its_next_version(
    bystander: asyncpg.Connection,
) -> None:
    """What changes no indexed column and stays in its page touches none of the indexes."""
    transaction = bystander.transaction()
    await transaction.start()
    try:
        await bystander.execute(
            "INSERT INTO payments.subscriptions (user_id, stripe_subscription_id)"
            " SELECT gen_random_uuid(), 'sub_room_' || n FROM generate_series(1, 500) AS n"
        )
        await bystander.execute(
            "UPDATE payments.subscriptions SET version = 1"
            " WHERE stripe_subscription_id LIKE 'sub_room_%'"
        )
        updates, within_page = await bystander.fetchrow(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables"
            " WHERE relid = 'payments.subscriptions'::regclass"
        ) or (0, 0)
    finally:
        await transaction.rollback()

    assert updates == 500
    assert within_page >= updates / 3  # all versions of one transaction stay; without room: 2 %
