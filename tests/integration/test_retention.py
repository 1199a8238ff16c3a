"""What was kept long enough goes; what is not done with stays for however long."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.idempotency import PostgresIdempotencyKeys
from adapters.postgres.inbox import PostgresIntake
from adapters.postgres.migrate import upgrade
from adapters.postgres.partitions import PostgresPartitions
from adapters.postgres.retention import ERASE, FORGET, REMOVE, PostgresRetention
from adapters.postgres.statements import Statement
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from domain.subscription import Subscription
from ports.idempotency import Answer, Begun, KeyedRequest
from ports.inbox import Dead, Outcome, Postponed, Processed, Verdict
from ports.retention import Kept, Swept
from ports.unit_of_work import StorageUnavailable
from service.retention import ApplyRetention
from service.working_set import WorkingSet
from tests.builders import POLICY, TRACE, snapshot
from tests.examples import HOUR, message, webhook
from tests.integration.backends import terminate, until_blocked
from tests.integration.test_claim_plan import plan_of
from tests.stripe_payloads import START, at

DAY = timedelta(days=1)
KEPT = Kept(payloads=35 * DAY, event_ids=400 * DAY, messages=35 * DAY, answers=DAY)


@pytest.fixture
def retention(engine: AsyncEngine) -> ApplyRetention:
    return ApplyRetention(PostgresRetention(engine), KEPT, batch=10)


async def receive(engine: AsyncEngine, *event_ids: str, payload: bytes = b"{}") -> list[bool]:
    intake = PostgresIntake(engine)
    return await asyncio.gather(
        *(intake.record(webhook(id_, payload=payload)) for id_ in event_ids)
    )


async def settle(engine: AsyncEngine, **verdicts: Any) -> None:
    """Have a worker come to these verdicts, each made from the webhook's id."""
    partitions = PostgresPartitions(engine)
    await partitions.renew()
    async with PostgresUnitOfWork(engine) as uow:
        claimed = await uow.inbox.claim(partitions.held(), limit=100)
        given: list[Verdict] = [
            verdicts[one.event_id](one.id) for one in claimed if one.event_id in verdicts
        ]
        await uow.inbox.settle(given)
        await uow.commit()
    await partitions.release()


def applied(id_: Any) -> Verdict:
    return Processed(id_, Outcome.APPLIED, "what came of it")


async def age(bystander: asyncpg.Connection, by: timedelta) -> None:
    """Let everything have come in that much earlier."""
    for table in ("stripe_webhook_events", "outbox_events"):
        await bystander.execute(
            f"UPDATE payments.{table} SET created_at = created_at - $1::interval",  # noqa: S608
            by,
        )


async def kept(bystander: asyncpg.Connection) -> dict[str, bytes | None]:
    rows = await bystander.fetch("SELECT event_id, payload FROM payments.stripe_webhook_events")
    return {row["event_id"]: row["payload"] for row in rows}


async def test_old_payloads_and_errors_are_erased_and_a_repeat_is_still_recognised(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    await receive(engine, "evt_1", payload=b'{"email": "alice@example.com"}')
    await settle(engine, evt_1=applied)
    await age(bystander, 36 * DAY)

    assert await retention() == Swept(payloads=1, event_ids=0, messages=0)

    row = await bystander.fetchrow("SELECT * FROM payments.stripe_webhook_events")
    assert row is not None
    assert (row["payload"], row["error_message"]) == (None, None)
    assert (row["processed"], row["outcome"]) == (True, "applied")
    assert "alice" not in str(dict(row))
    assert await receive(engine, "evt_1") == [False]
    assert await retention() == Swept(0, 0, 0)


async def test_ids_are_forgotten_after_they_have_been_kept_long_enough(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    await receive(engine, "evt_old")
    await settle(engine, evt_old=applied)
    await age(bystander, 390 * DAY)
    await receive(engine, "evt_new")
    await settle(engine, evt_new=applied)
    await age(bystander, 11 * DAY)
    await retention()

    assert await kept(bystander) == {"evt_new": b"{}"}


async def test_what_is_not_done_with_stays_as_it_is_for_however_long(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    await receive(engine, "evt_pending", "evt_dead", "evt_retried", "evt_held", "evt_done")
    await settle(
        engine,
        evt_done=applied,
        evt_dead=lambda id_: Dead(id_, "why"),
        evt_retried=lambda id_: Postponed(id_, HOUR, "why"),
        evt_held=lambda id_: Postponed(id_, HOUR, "why", failed=False, waits_for="sub_1"),
    )
    async with PostgresUnitOfWork(engine) as uow:
        await uow.outbox.add([message(version=1)])
        await uow.commit()
    await age(bystander, 5_000 * DAY)
    await retention()

    unfinished = ("evt_pending", "evt_dead", "evt_retried", "evt_held")
    assert await kept(bystander) == dict.fromkeys(unfinished, b"{}")
    errors = await bystander.fetch(
        "SELECT error_message FROM payments.stripe_webhook_events WHERE event_id <> 'evt_pending'"
    )
    assert [row["error_message"] for row in errors] == ["why"] * 3
    assert await bystander.fetchval("SELECT count(*) FROM payments.outbox_events") == 1


async def test_what_waits_or_was_given_up_is_kept_but_says_nothing_of_people(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    payload = (
        b'{"id":"evt_dead","data":{"object":{"id":"in_1","customer_email":"alice@example.com",'
        b'"metadata":{"user_id":"u"},"lines":{"data":[{"name":"Alice","amount":5}]}}}}'
    )
    await receive(engine, "evt_dead", "evt_held", "evt_pending", payload=payload)
    await settle(
        engine,
        evt_dead=lambda id_: Dead(id_, "why"),
        evt_held=lambda id_: Postponed(id_, HOUR, "why", failed=False, waits_for="sub_1"),
    )
    await age(bystander, 34 * DAY)
    assert await retention() == Swept(0, 0, 0)

    await age(bystander, 2 * DAY)
    assert await retention(dry_run=True) == Swept(0, 0, 0, masked=2)
    assert await retention() == Swept(0, 0, 0, masked=2)
    assert await retention() == Swept(0, 0, 0), "it was masked before"

    masked = (
        b'{"id":"evt_dead","data":{"object":{"id":"in_1",'
        b'"metadata":{"user_id":"u"},"lines":{"data":[{"amount":5}]}}}}'
    )
    assert await kept(bystander) == {
        "evt_dead": masked,
        "evt_held": masked,
        "evt_pending": payload,
    }
    async with PostgresUnitOfWork(engine) as uow:
        assert set(await uow.inbox.replay(["evt_dead"])) == {"evt_dead"}


async def test_messages_that_are_done_with_are_removed_when_they_are_old(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    now = datetime.now(UTC)
    published, unrouted, waiting, recent = (message(version=n) for n in (1, 2, 3, 4))
    async with PostgresUnitOfWork(engine) as uow:
        await uow.outbox.add([published, unrouted, waiting])
        await uow.outbox.mark_published([published.id], now)
        await uow.outbox.mark_unrouted([unrouted.id], now)
        await uow.commit()
    await age(bystander, 36 * DAY)
    async with PostgresUnitOfWork(engine) as uow:
        await uow.outbox.add([recent])
        await uow.outbox.mark_published([recent.id], now)
        await uow.commit()

    assert await retention() == Swept(payloads=0, event_ids=0, messages=2)

    rows = await bystander.fetch("SELECT id FROM payments.outbox_events ORDER BY version")
    assert [row["id"] for row in rows] == [waiting.id, recent.id]


async def test_answers_go_when_they_are_not_given_again_any_more(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    """They hold addresses and client secrets, and nobody may ever use a key again."""
    keys, now = PostgresIdempotencyKeys(engine), datetime.now(UTC)
    for name in ("old", "new"):
        request = KeyedRequest(uuid4(), name, b"digest")
        begun = await keys.begin(request, now, replayed_for=DAY)
        assert isinstance(begun, Begun)
        await keys.finish(request, begun, Answer(200, "application/json", b"alice@example.com"))
    for name, ago in (("old", DAY + HOUR), ("new", DAY - HOUR)):
        await bystander.execute(
            "UPDATE payments.idempotency_keys SET created_at = $1 WHERE key = $2", now - ago, name
        )

    assert await retention(dry_run=True) == Swept(0, 0, 0, answers=1)
    assert await retention() == Swept(0, 0, 0, answers=1)

    rows = await bystander.fetch("SELECT key FROM payments.idempotency_keys")
    assert [row["key"] for row in rows] == ["new"]


async def test_counting_changes_nothing(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    await receive(engine, "evt_1", "evt_2")
    await settle(engine, evt_1=applied, evt_2=applied)
    await age(bystander, 401 * DAY)

    assert await retention(dry_run=True) == Swept(payloads=2, event_ids=2, messages=0)
    assert await kept(bystander) == {"evt_1": b"{}", "evt_2": b"{}"}


async def test_a_crash_half_way_leaves_the_rest_for_the_next_time(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    ids = [f"evt_{number}" for number in range(30)]
    await receive(engine, *ids)
    await settle(engine, **dict.fromkeys(ids, applied))
    await age(bystander, 36 * DAY)

    class Crashing(PostgresRetention):
        steps = 0

        async def erase_payloads(self, age: timedelta, *, limit: int) -> int:
            self.steps += 1
            if self.steps == 3:
                raise StorageUnavailable("the database went away")
            return await super().erase_payloads(age, limit=limit)

    with pytest.raises(StorageUnavailable):
        await ApplyRetention(Crashing(engine), KEPT, batch=10)()
    assert list((await kept(bystander)).values()).count(None) == 20

    swept = await ApplyRetention(PostgresRetention(engine), KEPT, batch=10)()

    assert swept.payloads == 10
    assert set((await kept(bystander)).values()) == {None}


async def test_a_session_that_is_ended_half_way_undoes_its_step_alone(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    """A trigger holds the step up in the middle of its transaction, and its session is ended."""
    await receive(engine, "evt_1")
    await settle(engine, evt_1=applied)
    await age(bystander, 36 * DAY)
    await bystander.execute(
        "CREATE FUNCTION payments.hold_up() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;"
        " CREATE TRIGGER hold_up AFTER UPDATE ON payments.stripe_webhook_events"
        " FOR EACH ROW EXECUTE FUNCTION payments.hold_up()"
    )
    try:
        async with bystander.transaction():
            await bystander.execute("SELECT pg_advisory_xact_lock(1)")
            sweeping = asyncio.create_task(retention())
            await until_blocked(bystander)
            assert await terminate(bystander, "WITH old%") == 1
            with pytest.raises(StorageUnavailable):
                await sweeping
    finally:
        await bystander.execute("DROP FUNCTION payments.hold_up CASCADE")

    assert await kept(bystander) == {"evt_1": b"{}"}
    assert (await retention()).payloads == 1


async def test_a_row_that_somebody_works_on_is_left_for_the_next_time(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    await receive(engine, "evt_1", "evt_2")
    await settle(engine, evt_1=applied, evt_2=applied)
    await age(bystander, 36 * DAY)
    async with bystander.transaction():
        await bystander.execute(
            "SELECT 1 FROM payments.stripe_webhook_events WHERE event_id = 'evt_1' FOR UPDATE"
        )
        assert (await retention()).payloads == 1
    assert (await retention()).payloads == 1


async def test_two_workers_at_once_share_the_rows_and_the_work_goes_on_beside_them(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    old = [f"evt_old_{number}" for number in range(60)]
    await receive(engine, *old)
    await settle(engine, **dict.fromkeys(old, applied))
    await age(bystander, 401 * DAY)
    new = [f"evt_new_{number}" for number in range(60)]

    async def work() -> None:
        await receive(engine, *new)
        await settle(engine, **dict.fromkeys(new, applied))

    working = asyncio.create_task(work())
    sweeps = await asyncio.gather(
        *(ApplyRetention(PostgresRetention(engine), KEPT, batch=7)() for _ in range(2))
    )
    await working
    # What one had locked the other passed over, and left to it or to the next time.
    sweeps.append(await ApplyRetention(PostgresRetention(engine), KEPT, batch=7)())

    assert sum(swept.event_ids for swept in sweeps) == 60
    assert await kept(bystander) == dict.fromkeys(new, b"{}")


async def test_a_replay_finds_either_the_payload_or_nothing_to_repeat(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    await receive(engine, "evt_1")
    await settle(engine, evt_1=lambda id_: Processed(id_, Outcome.IGNORED))
    await age(bystander, 36 * DAY)
    async with PostgresUnitOfWork(engine) as uow:
        await retention()  # between somebody's look at the payload and the replay
        await uow.inbox.replay(["evt_1"])
        await uow.commit()

    row = await bystander.fetchrow("SELECT processed, payload FROM payments.stripe_webhook_events")
    assert row is not None
    assert tuple(row) == (True, None)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (ERASE, "ix_stripe_webhook_events_erasable"),
        (FORGET, "ix_stripe_webhook_events_processed_created_at"),
        (REMOVE, "ix_outbox_events_done"),
    ],
)
async def test_the_oldest_are_found_by_an_index_however_much_is_kept(
    database_url: str, statement: Any, index: str
) -> None:
    await asyncio.to_thread(upgrade, database_url)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "INSERT INTO payments.stripe_webhook_events (event_id, event_type, processed, outcome,"
            " ordering_key, partition, stripe_created_at, payload, traceparent, created_at)"
            " SELECT 'evt_' || n, 'type', true, 'applied', 'sub', 1, now(),"
            " CASE WHEN n > 19000 THEN convert_to('x', 'UTF8') END, 'trace',"
            " now() - (20000 - n) * interval '1 minute' FROM generate_series(1, 20000) AS n;"
            "INSERT INTO payments.outbox_events (subscription_id, version, type, body,"
            " ordering_key, partition, published_at, created_at)"
            " SELECT gen_random_uuid(), 1, 'type', '', 'sub', 1, now(),"
            " now() - (20000 - n) * interval '1 minute' FROM generate_series(1, 20000) AS n;"
            "ANALYZE"
        )
        plan = await plan_of(connection, Statement(statement), age="interval '1 day'", limit="500")
    finally:
        await connection.close()

    assert f'"Index Name": "{index}"' in plan
    assert "Sort" not in plan


async def test_versions_go_on_after_the_messages_before_them_were_removed(
    engine: AsyncEngine, bystander: asyncpg.Connection, retention: ApplyRetention
) -> None:
    subscription = Subscription(user_id=uuid4(), customer_ref="cus_1", subscription_ref="sub_1")
    statuses = ("active", "past_due", "active", "canceled")
    for seconds, status in enumerate(statuses):
        async with PostgresUnitOfWork(engine) as uow:
            known = await uow.subscriptions.find(["sub_1"])
            work = WorkingSet(POLICY, subscriptions=known or [subscription])
            draft = work.subscription("sub_1")
            assert draft is not None
            draft.observe(snapshot(status), at(START + seconds), POLICY)
            work.turn_to(TRACE, 0, {})
            work.put_subscription(draft, "alice@example.com")
            await work.flush(uow)
            await uow.outbox.mark_published([one.id for one in work.messages], datetime.now(UTC))
            await uow.commit()
        before = await bystander.fetch("SELECT version FROM payments.outbox_events ORDER BY seq")
        assert [row["version"] for row in before] == ([4, 5] if seconds == 3 else [seconds + 1])
        await age(bystander, 36 * DAY)
        await retention()
        assert await bystander.fetchval("SELECT count(*) FROM payments.outbox_events") == 0
