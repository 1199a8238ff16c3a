"""The role of the service may do its work, and cannot destroy what it works on."""

import asyncio

import asyncpg
import pytest

from adapters.postgres.migrate import upgrade
from adapters.postgres.privileges import PRIVILEGES, grant_to
from adapters.postgres.tables import metadata
from ports.unit_of_work import StorageUnavailable
from tests.databases import as_role

TABLES = sorted(table.name for table in metadata.tables.values())


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE payments.{}",
        "TRUNCATE payments.{}",
        "ALTER TABLE payments.{} ADD COLUMN more integer",
        "CREATE TRIGGER t BEFORE INSERT ON payments.{} EXECUTE FUNCTION tsvector_update_trigger()",
        "CREATE INDEX ON payments.{} ((1))",
    ],
)
async def test_the_service_cannot_drop_empty_or_alter_its_tables(
    migrated_url: str, statement: str
) -> None:
    connection = await asyncpg.connect(migrated_url)
    try:
        for table in TABLES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement.format(table))
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP SCHEMA payments CASCADE",
        "CREATE TABLE payments.another (id integer)",
        "DELETE FROM payments.trial_redemptions",
        "UPDATE payments.trial_redemptions SET user_id = gen_random_uuid()",
        "DELETE FROM payments.paid_invoices",
        "DELETE FROM payments.subscriptions",
        "DELETE FROM payments.stripe_customers",
        "UPDATE payments.alembic_version SET version_num = '0001'",
    ],
)
async def test_what_is_kept_for_ever_cannot_be_taken_away(
    migrated_url: str, statement: str
) -> None:
    connection = await asyncpg.connect(migrated_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


def test_every_table_has_its_privileges() -> None:
    assert sorted(PRIVILEGES) == sorted([*TABLES, "alembic_version"])


async def test_granting_again_takes_away_what_is_too_much(
    database_url: str, service_role: str
) -> None:
    await asyncio.to_thread(upgrade, database_url)
    owner = await asyncpg.connect(database_url)
    await owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA payments TO {service_role}")
    await owner.close()
    await asyncio.to_thread(grant_to, database_url, service_role)

    connection = await asyncpg.connect(as_role(database_url, service_role))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("TRUNCATE payments.subscriptions")
    finally:
        await connection.close()


async def test_a_role_that_does_not_exist_is_said_to_be_missing(database_url: str) -> None:
    await asyncio.to_thread(upgrade, database_url)
    with pytest.raises(StorageUnavailable, match="create it first"):
        await asyncio.to_thread(grant_to, database_url, 'no"body')
