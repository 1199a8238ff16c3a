"""Whose turn it is to do what is done from time to time."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.schedule import PostgresSchedule
from adapters.prometheus.metrics import PrometheusMetrics
from ports.payment_provider import ProviderUnavailable
from service.housekeeping import AGAIN, LEASE, Housekeeping, Job, Progress, TurnLost

DAY = timedelta(days=1)


class Counted:
    """A job that counts how often it was done, or fails as it is told to."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.times = 0
        self.failure = failure

    async def __call__(self, progress: Progress) -> None:
        self.times += 1
        if self.failure is not None:
            raise self.failure


async def seconds_to_go(bystander: asyncpg.Connection) -> float:
    return float(
        await bystander.fetchval(
            "SELECT extract(epoch FROM due_at - now()) FROM payments.scheduled_jobs"
        )
    )


async def let_pass(bystander: asyncpg.Connection, time: timedelta) -> None:
    await bystander.execute(
        "UPDATE payments.scheduled_jobs SET due_at = due_at - $1::interval", time
    )


async def test_of_many_workers_one_does_a_job_and_then_nobody_until_it_is_due_again(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    job = Counted()
    workers = [Housekeeping(PostgresSchedule(engine), [Job("job", DAY, job)]) for _ in range(5)]
    assert sum(await asyncio.gather(*(worker.run_once() for worker in workers))) == 1
    assert sum(await asyncio.gather(*(worker.run_once() for worker in workers))) == 0
    assert 0.9 * DAY.total_seconds() - 60 < await seconds_to_go(bystander)
    assert await seconds_to_go(bystander) <= 1.1 * DAY.total_seconds()

    await let_pass(bystander, 1.1 * DAY)
    assert sum(await asyncio.gather(*(worker.run_once() for worker in workers))) == 1
    assert job.times == 2


async def test_a_failure_of_whatever_kind_is_repeated_sooner_and_holds_nothing_up(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    for failure in (ProviderUnavailable("Stripe is away"), ZeroDivisionError("a mistake")):
        await bystander.execute("DELETE FROM payments.scheduled_jobs")
        failing, other = Counted(failure), Counted()
        schedule = PostgresSchedule(engine)
        await Housekeeping(schedule, [Job("failing", DAY, failing)]).run_once()
        assert await seconds_to_go(bystander) <= 1.1 * AGAIN.total_seconds()

        await let_pass(bystander, DAY)
        both = [Job("failing", DAY, failing), Job("other", DAY, other)]
        assert await Housekeeping(schedule, both).run_once() == 2
        assert (failing.times, other.times) == (2, 1)


async def test_the_job_of_a_worker_that_died_goes_to_another(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    started, job = asyncio.Event(), Counted()

    async def die(progress: Progress) -> None:
        started.set()
        await asyncio.Event().wait()

    schedule = PostgresSchedule(engine)
    dying = asyncio.create_task(Housekeeping(schedule, [Job("job", DAY, die)]).run_once())
    await started.wait()
    dying.cancel()
    await asyncio.wait([dying])
    successor = Housekeeping(schedule, [Job("job", DAY, job)])
    assert await successor.run_once() == 0

    await let_pass(bystander, LEASE)
    assert await successor.run_once() == 1
    assert job.times == 1


async def test_a_database_that_is_away_is_waited_for(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    job = Counted()
    housekeeping = Housekeeping(PostgresSchedule(engine), [Job("job", DAY, job)])
    await bystander.execute("ALTER TABLE payments.scheduled_jobs RENAME TO gone")
    try:
        assert await housekeeping.run_once() == 0
    finally:
        await bystander.execute("ALTER TABLE payments.gone RENAME TO scheduled_jobs")
    assert await housekeeping.run_once() == 1


async def test_a_job_that_is_cut_off_goes_on_where_it_was(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    seen: list[str | None] = []

    async def work(progress: Progress) -> None:
        seen.append(progress.kept)
        if progress.kept is None:
            await progress.keep("half of it")
            raise TimeoutError  # as when its time is up
        await progress.keep(None)

    for _ in range(3):
        worker = Housekeeping(PostgresSchedule(engine), [Job("job", DAY, work)])
        assert await worker.run_once() == 1
        await let_pass(bystander, 1.1 * DAY)

    assert seen == [None, "half of it", None]


async def test_whoever_wakes_late_changes_nothing_of_the_turn_of_another(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    schedule = PostgresSchedule(engine)
    late = await schedule.take("job", lease=LEASE)
    assert late is not None
    await let_pass(bystander, LEASE)
    now = await schedule.take("job", lease=LEASE)
    assert now is not None

    assert not await schedule.keep(late, "nonsense")
    assert not await schedule.put_off(late, DAY)
    with pytest.raises(TurnLost):
        await Progress(schedule, late).keep("nonsense")
    assert await seconds_to_go(bystander) <= LEASE.total_seconds()

    assert await schedule.keep(now, "half of it")
    assert await schedule.put_off(now, -DAY)
    again = await schedule.take("job", lease=LEASE)
    assert again is not None
    assert again.progress == "half of it"


async def test_how_a_job_ended_is_counted(
    engine: AsyncEngine, bystander: asyncpg.Connection
) -> None:
    registry = CollectorRegistry()
    metrics = PrometheusMetrics(registry, event_types=(), api_version="")
    jobs = [Job("good", DAY, Counted()), Job("bad", DAY, Counted(ProviderUnavailable("away")))]
    await Housekeeping(PostgresSchedule(engine), jobs, metrics).run_once()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("payments_task_runs_total", task="good", result="ok") == 1
    assert value("payments_task_runs_total", task="bad", result="failed") == 1
    succeeded = value("payments_task_last_success_timestamp_seconds", task="good")
    assert succeeded == pytest.approx(datetime.now(UTC).timestamp(), abs=60)
    assert value("payments_task_last_success_timestamp_seconds", task="bad") is None
