"""Many webhooks, one commit: how requests share transactions, and how they fail."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import group_commit
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.inbox import PostgresIntake
from ports.inbox import Overloaded, ReceivedWebhook
from ports.unit_of_work import StorageUnavailable
from tests.examples import NOW, webhook
from tests.integration.backends import terminate, until_blocked

LOCK = "LOCK TABLE payments.stripe_webhook_events IN SHARE ROW EXCLUSIVE MODE"


async def submit(intake: PostgresIntake, *webhooks: ReceivedWebhook) -> list[asyncio.Task[bool]]:
    """Hand these in, and return once each waits to be written."""
    tasks = [asyncio.create_task(intake.record(webhook)) for webhook in webhooks]
    await asyncio.wait(tasks, timeout=0)
    return tasks


async def stored(bystander: asyncpg.Connection) -> list[str]:
    rows = await bystander.fetch("SELECT event_id FROM payments.stripe_webhook_events ORDER BY seq")
    return [row["event_id"] for row in rows]


async def test_webhooks_that_come_together_share_a_commit(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    intake = PostgresIntake(engine)

    assert all(await asyncio.gather(*(intake.record(webhook()) for _ in range(100))))

    transactions = await bystander.fetchval(
        "SELECT count(DISTINCT xmin::text) FROM payments.stripe_webhook_events"
    )
    assert len(await stored(bystander)) == 100
    assert transactions == 1


async def test_webhooks_that_come_during_a_commit_share_the_next_one_in_the_order_of_their_making(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    """Their ids say nothing of it, nor does who was first on the way."""
    intake = PostgresIntake(engine)
    made = [
        webhook(f"evt_{9 - number}", created=NOW + timedelta(seconds=number))
        for number in range(10)
    ]
    async with bystander.transaction():
        await bystander.execute(LOCK)
        first = await submit(intake, made[0])
        await until_blocked(bystander)
        rest = await submit(intake, *made[5:], *made[1:5])
    await asyncio.gather(*first, *rest)

    assert await stored(bystander) == [one.event_id for one in made]
    transactions = await bystander.fetch(
        "SELECT xmin::text, count(*) FROM payments.stripe_webhook_events GROUP BY 1 ORDER BY 2"
    )
    assert [row["count"] for row in transactions] == [1, 9]


async def test_what_was_made_in_one_second_comes_in_the_order_of_what_builds_on_what(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    intake = PostgresIntake(engine)
    await asyncio.gather(
        intake.record(webhook("evt_1", event_type="invoice.paid")),
        intake.record(webhook("evt_2", event_type="customer.subscription.updated")),
        intake.record(webhook("evt_3", event_type="customer.subscription.created")),
    )

    assert await stored(bystander) == ["evt_3", "evt_2", "evt_1"]


async def test_no_answer_comes_before_the_commit(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    intake = PostgresIntake(engine)
    async with bystander.transaction():
        await bystander.execute(LOCK)
        answers = await submit(intake, webhook("evt_1"), webhook("evt_2"))
        await until_blocked(bystander)
        assert not any(answer.done() for answer in answers)
    assert await asyncio.gather(*answers) == [True, True]


async def test_no_answer_comes_while_the_row_is_written_but_not_committed(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    """A trigger that runs within the commit itself holds it up after the row was written."""
    await bystander.execute(
        "CREATE FUNCTION payments.hold_up() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;"
        " CREATE CONSTRAINT TRIGGER hold_up AFTER INSERT ON payments.stripe_webhook_events"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments.hold_up()"
    )
    try:
        intake = PostgresIntake(engine)
        async with bystander.transaction():
            await bystander.execute("SELECT pg_advisory_xact_lock(1)")
            [answer] = await submit(intake, webhook("evt_1"))
            await until_blocked(bystander)
            assert not answer.done()
            assert await stored(bystander) == []
        assert await answer
        assert await stored(bystander) == ["evt_1"]
    finally:
        await bystander.execute("DROP FUNCTION payments.hold_up CASCADE")


async def test_an_event_that_comes_twice_in_one_batch_is_new_once(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    intake = PostgresIntake(engine)

    answers = await asyncio.gather(
        *(intake.record(webhook(id_)) for id_ in ("evt_1", "evt_2", "evt_1", "evt_1"))
    )

    assert answers == [True, True, False, False]
    assert sorted(await stored(bystander)) == ["evt_1", "evt_2"]


async def test_an_event_of_an_earlier_batch_is_known_and_the_others_of_its_batch_are_new(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    intake = PostgresIntake(engine)
    await intake.record(webhook("evt_1"))

    answers = await asyncio.gather(
        *(intake.record(webhook(id_)) for id_ in ("evt_2", "evt_1", "evt_3"))
    )

    assert answers == [True, False, True]
    assert await stored(bystander) == ["evt_1", "evt_2", "evt_3"]


async def test_two_processes_that_write_the_same_events_agree_which_were_new(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    intakes = PostgresIntake(engine), PostgresIntake(engine)
    made = [webhook(created=NOW + timedelta(seconds=number % 3)) for number in range(50)]
    # Opposite orders, so that each would wait for rows of the other.
    answers = await asyncio.gather(
        *(intakes[0].record(one) for one in made),
        *(intakes[1].record(one) for one in reversed(made)),
    )

    assert sum(answers) == 50
    assert sorted(await stored(bystander)) == sorted(one.event_id for one in made)


async def test_two_processes_write_the_same_events_in_the_same_order(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    """So that whoever waits for a row of the other holds none that the other waits for."""
    made = [
        webhook(created=NOW + timedelta(seconds=number % 3), ordering_key=f"sub_{number % 4}")
        for number in range(50)
    ]
    orders = []
    for sent in (made, made[::-1]):
        await asyncio.gather(*map(PostgresIntake(engine).record, sent))
        orders.append(await stored(bystander))
        await bystander.execute("TRUNCATE payments.stripe_webhook_events")

    assert orders[0] == orders[1]
    assert orders[0] != sorted(orders[0]), "it is not the ids alone that decide"


@pytest.mark.parametrize(
    "unwritable",
    [
        pytest.param(webhook("evt_\0"), id="a character PostgreSQL does not store"),
        pytest.param(webhook("evt_" + "x" * 300), id="an id longer than its column"),
        pytest.param(webhook(event_type="x" * 101), id="a type longer than its column"),
        pytest.param(webhook(event_type="\ud800"), id="text that is not Unicode"),
    ],
)
async def test_one_unwritable_webhook_fails_alone(
    engine: AsyncEngine, bystander: asyncpg.Connection, unwritable: ReceivedWebhook
) -> None:
    intake = PostgresIntake(engine)

    first, failed, last = await asyncio.gather(
        intake.record(webhook("evt_1")),
        intake.record(unwritable),
        intake.record(webhook("evt_2")),
        return_exceptions=True,
    )

    assert (first, last) == (True, True)
    assert isinstance(failed, Exception)
    # Repeating it cannot help, and must not be asked for.
    assert not isinstance(failed, StorageUnavailable)
    assert await stored(bystander) == ["evt_1", "evt_2"]


async def test_a_request_that_went_away_does_not_harm_the_others(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    intake = PostgresIntake(engine)
    async with bystander.transaction():
        await bystander.execute(LOCK)
        writing, also_writing = await submit(intake, webhook("evt_1"), webhook("evt_2"))
        await until_blocked(bystander)
        waiting, also_waiting = await submit(intake, webhook("evt_3"), webhook("evt_4"))
        writing.cancel()
        waiting.cancel()

    assert all(await asyncio.gather(also_writing, also_waiting))
    assert await asyncio.gather(writing, waiting, return_exceptions=True)
    assert await stored(bystander) == ["evt_1", "evt_2", "evt_4"]


async def test_a_session_that_is_ended_fails_its_batch_and_the_next_one_works(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    intake = PostgresIntake(engine)
    async with bystander.transaction():
        await bystander.execute(LOCK)
        writing = await submit(intake, webhook("evt_1"), webhook("evt_2"))
        await until_blocked(bystander)
        waiting = await submit(intake, webhook("evt_3"))
        assert await terminate(bystander) == 1
    failed = await asyncio.gather(*writing, return_exceptions=True)

    assert [type(error) for error in failed] == [StorageUnavailable] * 2
    assert await asyncio.gather(*waiting) == [True]
    assert await intake.record(webhook("evt_1"))
    assert await stored(bystander) == ["evt_3", "evt_1"]


async def test_a_committer_that_is_killed_fails_all_who_wait_and_the_next_request_works(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    intake = PostgresIntake(engine)
    async with bystander.transaction():
        await bystander.execute(LOCK)
        before = asyncio.all_tasks()
        writing = await submit(intake, webhook("evt_1"))
        await until_blocked(bystander)
        waiting = await submit(intake, webhook("evt_2"))
        [committer] = asyncio.all_tasks() - before - {*writing, *waiting}
        committer.cancel()
        failed = await asyncio.gather(*writing, *waiting, return_exceptions=True)

    assert [type(error) for error in failed] == [StorageUnavailable] * 2
    assert await intake.record(webhook("evt_1"))
    assert await stored(bystander) == ["evt_1"]


async def test_what_is_too_much_to_wait_is_turned_away_until_there_is_room(
    engine: AsyncEngine, bystander: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MOST_WAITING", 3)
    intake = PostgresIntake(engine)
    async with bystander.transaction():
        await bystander.execute(LOCK)
        writing = await submit(intake, webhook())
        await until_blocked(bystander)
        waiting = await submit(intake, *(webhook() for _ in range(3)))
        with pytest.raises(Overloaded):
            await intake.record(webhook("evt_too_many"))

    assert all(await asyncio.gather(*writing, *waiting))
    assert await intake.record(webhook("evt_too_many"))


async def test_what_is_too_large_to_wait_is_turned_away_until_there_is_room(
    engine: AsyncEngine, bystander: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MOST_WAITING_BYTES", 100)
    intake = PostgresIntake(engine)
    async with bystander.transaction():
        await bystander.execute(LOCK)
        writing = await submit(intake, webhook(payload=b"x" * 100))
        await until_blocked(bystander)  # what is being written waits no longer
        waiting = await submit(intake, webhook(payload=b"x" * 60))
        with pytest.raises(Overloaded):
            await intake.record(webhook(payload=b"x" * 41))
        waiting += await submit(intake, webhook(payload=b"x" * 40))

    assert all(await asyncio.gather(*writing, *waiting))
    assert await intake.record(webhook(payload=b"x" * 100))


async def test_one_unwritable_item_costs_few_more_writes_in_the_largest_of_batches() -> None:
    writes: list[int] = []

    async def write(items: Sequence[int]) -> Sequence[int]:
        writes.append(len(items))
        if 123 in items:
            raise ValueError("123 cannot be written")
        return items

    commits = GroupCommit[int, int](write, lambda _: 1)
    results = await asyncio.gather(*map(commits.submit, range(500)), return_exceptions=True)

    assert [number for number in range(500) if results[number] != number] == [123]
    assert len(writes) < 20


async def test_no_batch_is_larger_than_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "LARGEST_BATCH", 4)
    batches: list[int] = []

    async def write(items: Sequence[int]) -> Sequence[int]:
        batches.append(len(items))
        return items

    commits = GroupCommit[int, int](write, lambda _: 1)

    assert await asyncio.gather(*map(commits.submit, range(10))) == list(range(10))
    assert batches == [4, 4, 2]


async def test_a_missing_table_is_not_mistaken_for_an_unwritable_webhook(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    await bystander.execute("ALTER TABLE payments.stripe_webhook_events RENAME COLUMN payload TO p")
    try:
        with pytest.raises(StorageUnavailable, match="payments migrate"):
            await PostgresIntake(engine).record(webhook())
    finally:
        await bystander.execute(
            "ALTER TABLE payments.stripe_webhook_events RENAME COLUMN p TO payload"
        )


async def test_an_unwritable_webhooks_error_says_what_is_wrong_with_it(
    engine: AsyncEngine,
) -> None:
    unwritable = webhook("x" * 256, payload=b"alice@example.com", ordering_key="cus_alice")
    with pytest.raises(asyncpg.DataError, match="too long") as raised:
        await PostgresIntake(engine).record(unwritable)
    assert "alice" not in str(raised.value)
