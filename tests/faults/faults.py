"""What may happen to a running service. Each function lets it happen, and ends it again.

How long a fault lasts is never a matter of time, but of what is seen meanwhile: so many webhooks
taken, so many tries refused, so many sessions that wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import asyncpg

from tests.faults.world import World, on_servers
from tests.stripe_stand_in import Failure, half, hang, reset, status

Fault = Callable[[World, random.Random], Awaitable[None]]

# Where Debian's package libfaketime, or another system's, puts it.
FAKETIME: Final = next(
    (
        path
        for pattern in ("lib/*/faketime/libfaketime.so.1", "lib*/faketime/libfaketime.so.1")
        for path in Path("/usr").glob(pattern)
    ),
    None,
)
PATIENCE: Final = 60.0  # seconds


async def api_killed(world: World, chance: random.Random) -> None:
    api = chance.choice(world.apis)
    await api.kill()
    await world.sender.accepted(5)
    await api.start()


async def every_api_killed(world: World, chance: random.Random) -> None:
    del chance
    for api in world.apis:
        await api.kill()
    await world.sender.refused(5)
    await asyncio.gather(*(api.start() for api in world.apis))


async def worker_killed(world: World, chance: random.Random) -> None:
    worker = chance.choice(world.workers)
    await worker.kill()
    await world.sender.accepted(20)
    await worker.start()


async def everything_killed(world: World, chance: random.Random) -> None:
    del chance
    members = [*world.apis, *world.workers]
    for member in members:
        await member.kill()
    await asyncio.gather(*(member.start() for member in members))


async def one_of_each_killed(world: World, chance: random.Random) -> None:
    api, worker = chance.choice(world.apis), chance.choice(world.workers)
    await asyncio.gather(api.kill(), worker.kill())
    await world.sender.accepted(10)
    await asyncio.gather(api.start(), worker.start())


async def api_stopped(world: World, chance: random.Random) -> None:
    """In order: what it has in hand is answered, or refused and sent again."""
    api = chance.choice(world.apis)
    await api.stop()
    await api.start()


async def worker_stopped(world: World, chance: random.Random) -> None:
    worker = chance.choice(world.workers)
    await worker.stop()
    await world.consumer.received(10)
    await worker.start()


async def worker_frozen(world: World, chance: random.Random) -> None:
    """It stalls with its share in hand, and wakes when another has worked on it."""
    worker = chance.choice(world.workers)
    share = await _partitions(world)
    worker.freeze()
    await _until(lambda: _differs(world, share))
    await world.consumer.received(20)
    worker.thaw()


async def api_frozen(world: World, chance: random.Random) -> None:
    api = chance.choice(world.apis)
    api.freeze()
    await world.sender.accepted(20)
    api.thaw()


async def broker_killed(world: World, chance: random.Random) -> None:
    node = chance.choice(world.brokers)
    node.kill()
    await world.sender.accepted(20)
    await on_servers(node.start)


async def broker_frozen(world: World, chance: random.Random) -> None:
    node = chance.choice(world.brokers)
    node.pause()
    await world.sender.accepted(30)
    node.resume()


async def broker_connections_cut(world: World, chance: random.Random) -> None:
    """Again and again, in the middle of publishing and confirming."""
    for _ in range(chance.randint(1, 4)):
        await world.consumer.received(3)
        world.broker.drop()


async def broker_confirms_nothing(world: World, chance: random.Random) -> None:
    """Some bytes still reach the broker, then nothing does: confirms are cut in the middle."""
    async with world.broker.half_stalled(after=chance.randint(1, 4000)):
        await world.sender.accepted(20)
    world.broker.drop()


async def broker_unreachable(world: World, chance: random.Random) -> None:
    del chance
    async with world.broker.cut():
        await world.sender.accepted(20)


async def broker_disk_full(world: World, chance: random.Random) -> None:
    node = chance.choice(world.brokers)
    await on_servers(node.control, "set_disk_free_limit", "9999GB")
    await world.sender.accepted(30)
    await on_servers(node.control, "set_disk_free_limit", "50MB")


async def database_restarted(world: World, chance: random.Random) -> None:
    del chance
    await on_servers(world.postgres.stop)
    await world.sender.refused(5)
    await on_servers(world.postgres.start)


async def database_killed(world: World, chance: random.Random) -> None:
    del chance
    await on_servers(world.postgres.kill)
    await world.sender.refused(5)
    await on_servers(world.postgres.start)


async def database_frozen(world: World, chance: random.Random) -> None:
    """No longer than a few seconds: until one webhook was given up on."""
    del chance
    world.postgres.pause()
    await world.sender.refused(1)
    world.postgres.resume()


async def sessions_terminated(world: World, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 4)):
        await world.sender.accepted(3)
        async with _superuser(world) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


async def database_connections_cut(world: World, chance: random.Random) -> None:
    """What a failover looks like from here: every connection breaks, the next one works."""
    for _ in range(chance.randint(1, 4)):
        await world.sender.accepted(3)
        world.database.drop()


async def transactions_refused(world: World, chance: random.Random) -> None:
    """The server picks transactions as victims of deadlocks or of conflicts."""
    code = chance.choice(["40001", "40P01"])
    tables = ("stripe_webhook_events", "subscriptions", "outbox_events", "workers")
    async with _superuser(world) as connection:
        await connection.execute(f"""
            CREATE SCHEMA faults;
            CREATE SEQUENCE faults.refusals;
            CREATE FUNCTION faults.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF random() < 0.5 THEN
                        PERFORM nextval('faults.refusals');
                        RAISE EXCEPTION 'a fault of the tests' USING ERRCODE = '{code}';
                    END IF;
                    RETURN NULL;
                END
            $$;
        """)
        for table in tables:
            await connection.execute(
                f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON payments.{table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION faults.refuse()"
            )

        async def refused() -> bool:
            return bool(await connection.fetchval("SELECT last_value > 10 FROM faults.refusals"))

        await _until(refused)
        # One at a time: with locks on several tables it would be a victim itself.
        for table in tables:
            await connection.execute(f"DROP TRIGGER refuse ON payments.{table}")
        await connection.execute("DROP SCHEMA faults CASCADE")


async def tables_locked(world: World, chance: random.Random) -> None:
    """Somebody holds a table for himself, and everyone queues up behind him."""
    table = chance.choice(["stripe_webhook_events", "subscriptions", "outbox_events"])
    async with _superuser(world) as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE payments.{table} IN ACCESS EXCLUSIVE MODE")

        async def waited_for() -> bool:
            return bool(
                await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
            )

        await _until(waited_for)


async def network_slow(world: World, chance: random.Random) -> None:
    proxy = chance.choice([world.database, world.broker, world.provider])
    async with proxy.slow(chance.uniform(0.01, 0.1)):
        await world.recovered()


async def database_black_holed(world: World, chance: random.Random) -> None:
    del chance
    async with world.database.stalled():
        await world.sender.refused(1)


async def broker_black_holed(world: World, chance: random.Random) -> None:
    del chance
    async with world.broker.stalled():
        await world.sender.accepted(30)


async def connections_forgotten(world: World, chance: random.Random) -> None:
    """The connections there are lead nowhere any more and nobody says so; new ones work."""
    chance.choice([world.database, world.broker]).abandon()
    await world.recovered()


async def provider_failing(world: World, chance: random.Random) -> None:
    """Every way in which Stripe can fail to answer, one after the other."""
    failures: list[Failure] = [
        status(500, retry=True),
        status(429, "rate_limit_error", retry=True),
        status(409, "idempotency_error"),
        status(503),
        reset,
        half,
    ]
    world.stripe.failures += chance.sample(failures, len(failures))
    await _until(lambda: _nothing_left(world.stripe.failures))


async def provider_hanging(world: World, chance: random.Random) -> None:
    del chance
    world.stripe.failures += [hang, hang]
    await _until(lambda: _nothing_left(world.stripe.failures))
    await world.recovered()
    world.stripe.let_go()


async def provider_unreachable(world: World, chance: random.Random) -> None:
    del chance
    async with world.provider.cut():
        await world.sender.accepted(30)


async def clock_skewed(world: World, chance: random.Random) -> None:
    """A worker's clock is wrong by up to a day, in either direction."""
    assert FAKETIME is not None, "libfaketime is not installed"
    worker = chance.choice(world.workers)
    await worker.kill()
    await worker.start(
        LD_PRELOAD=str(FAKETIME),
        FAKETIME=f"{chance.choice('+-')}{chance.randint(10, 86_400)}",
        # Time that only ever goes forward is not what an administrator sets wrong.
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    await world.recovered()
    await worker.kill()
    await worker.start()


FAULTS: Final[Mapping[str, tuple[Fault, ...]]] = {
    "processes": (
        api_killed,
        every_api_killed,
        worker_killed,
        one_of_each_killed,
        everything_killed,
        api_stopped,
        worker_stopped,
        api_frozen,
        worker_frozen,
    ),
    "broker": (
        broker_killed,
        broker_frozen,
        broker_connections_cut,
        broker_confirms_nothing,
        broker_unreachable,
        broker_disk_full,
    ),
    "database": (
        database_restarted,
        database_killed,
        database_frozen,
        sessions_terminated,
        database_connections_cut,
        transactions_refused,
        tables_locked,
    ),
    "network": (
        network_slow,
        database_black_holed,
        broker_black_holed,
        connections_forgotten,
    ),
    "provider": (provider_failing, provider_hanging, provider_unreachable),
    "clocks": (clock_skewed,),
}


@contextlib.asynccontextmanager
async def _superuser(world: World) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(world.database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def _partitions(world: World) -> str:
    """Who holds what, as one text."""
    async with _superuser(world) as connection:
        found: str = await connection.fetchval(
            "SELECT string_agg(partition || ':' || coalesce(worker_id::text, ''), ' '"
            " ORDER BY partition) FROM payments.worker_partitions"
        )
        return found


async def _differs(world: World, share: str) -> bool:
    return await _partitions(world) != share


async def _nothing_left(failures: list[Failure | None]) -> bool:
    return not failures


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    # Neither tables nor the stand-in's thread give an event to wait on.
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            await asyncio.sleep(0.02)
