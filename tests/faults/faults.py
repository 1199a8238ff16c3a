"""What may happen to a running service. Each function lets it happen, and ends it again.

How long a fault lasts is never a matter of time, but of what is seen meanwhile: so many webhooks
taken, so many tries refused, so many sessions that wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg

from sandbox.servers import PrivatePostgres
from tests.databases import as_role
from tests.faults.world import Member, World, on_servers
from tests.proxy import Proxy
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
# Webhooks that are a full batch for each of three workers, and more for the first that comes.
BACKLOG: Final = 1_500


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


async def workers_killed_over_a_backlog(world: World, chance: random.Random) -> None:
    """So much waits that each worker takes it in several lanes, and dies over it."""
    del chance
    for worker in world.workers:
        await worker.kill()
    await world.sender.accepted(BACKLOG)
    [backlog] = await _look(world, "SELECT max(seq) AS last FROM payments.stripe_webhook_events")
    await asyncio.gather(*(worker.start() for worker in world.workers))
    await world.consumer.received(BACKLOG // 10)
    for worker in world.workers:
        await worker.kill()
    [row] = await _look(
        world,
        "SELECT count(*) AS left FROM payments.stripe_webhook_events"  # noqa: S608  # a number
        f" WHERE NOT processed AND seq <= {backlog['last']}",
    )
    assert row["left"], "they were quicker than they were killed"
    await asyncio.gather(*(worker.start() for worker in world.workers))


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


async def one_node_of_each_killed(world: World, chance: random.Random) -> None:
    """A machine that had an API, a worker and a node of the broker on it is gone."""
    api, worker = chance.choice(world.apis), chance.choice(world.workers)
    node = chance.choice(world.brokers)
    await asyncio.gather(api.kill(), worker.kill(), on_servers(node.kill))
    await world.sender.accepted(20)
    if len(world.brokers) > 1:
        await world.consumer.received(10)  # the others have a majority
    await asyncio.gather(api.start(), worker.start(), on_servers(node.start))


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
    # After another fault one may have no share yet: nobody would miss it.
    await _until(lambda: _is_shared_out(world))
    share = await _partitions(world)
    worker.freeze()
    await _until(lambda: _differs(world, share))
    await world.consumer.received(20)
    worker.thaw()


async def worker_cut_off(world: World, chance: random.Random) -> None:
    """It reaches the broker and not the database, and takes itself for the holder of its share
    while others have taken that over.
    """
    own = chance.choice(world.worker_databases)
    await _until(lambda: _is_shared_out(world))
    share = await _partitions(world)
    async with own.stalled():
        await _until(lambda: _differs(world, share))
        await world.consumer.received(20)


async def api_frozen(world: World, chance: random.Random) -> None:
    api = chance.choice(world.apis)
    api.freeze()
    await asyncio.gather(world.sender.accepted(20), world.sender.refused(1))
    api.thaw()


async def broker_killed(world: World, chance: random.Random) -> None:
    node = chance.choice(world.brokers)
    await on_servers(node.kill)
    await _broker_is_missed(world)
    await on_servers(node.start)


async def broker_frozen(world: World, chance: random.Random) -> None:
    node = chance.choice(world.brokers)
    node.pause()
    await _broker_is_missed(world)
    node.resume()


async def broker_connections_cut(world: World, chance: random.Random) -> None:
    """Again and again, in the middle of publishing and confirming."""
    for _ in range(chance.randint(1, 4)):
        await world.consumer.received(3)
        world.broker.drop()


async def broker_confirms_nothing(world: World, chance: random.Random) -> None:
    """Some bytes still reach the broker, then nothing does: confirms are cut in the middle."""
    async with world.broker.half_stalled(after=chance.randint(1, 4000)):
        await _messages_wait(world)
    world.broker.drop()


async def broker_confirms_lost(world: World, chance: random.Random) -> None:
    """Messages are delivered and their confirms are lost, so that they come again."""
    del chance
    delivered: set[str] = set()

    async def some_are_delivered() -> bool:
        rows = await _look(
            world, "SELECT id FROM payments.outbox_events WHERE published_at IS NULL"
        )
        delivered.update(id_ for row in rows if world.consumer.times(id_ := str(row["id"])))
        return bool(delivered)

    async def some_came_again() -> bool:
        """Those that are just being marked do not, nor where no worker was connected just then:
        without an answer none can connect.
        """
        await world.consumer.received(10)
        async with world.broker.unanswered():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await _until(some_are_delivered)
        await world.consumer.received(20)
        return any(world.consumer.times(id_) > 1 for id_ in delivered)

    await _until(some_came_again)


async def broker_unreachable(world: World, chance: random.Random) -> None:
    del chance
    async with world.broker.cut():
        await _messages_wait(world)


async def broker_disk_full(world: World, chance: random.Random) -> None:
    """One node raises its alarm, and all of them take no more messages."""
    node = chance.choice(world.brokers)
    await on_servers(node.control, "set_disk_free_limit", "9999GB")
    # What does not match is an error, which `control` raises.
    await on_servers(node.control, "eval", "[_ | _] = rabbit_alarm:get_alarms().")
    await _messages_wait(world)
    await on_servers(node.control, "set_disk_free_limit", "50MB")
    await on_servers(node.control, "eval", "[] = rabbit_alarm:get_alarms().")


async def broker_slow(world: World, chance: random.Random) -> None:
    await _slow(world, world.broker, chance)


async def broker_black_holed(world: World, chance: random.Random) -> None:
    del chance
    async with world.broker.stalled():
        await _messages_wait(world)


async def broker_connections_forgotten(world: World, chance: random.Random) -> None:
    del chance
    await _forget_connections(world.broker)


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


async def database_moved(world: World, chance: random.Random) -> None:
    """A failover: all connections end, and new ones lead to another address."""
    del chance
    await on_servers(world.postgres.stop)
    await world.sender.refused(5)
    world.postgres.port = PrivatePostgres(world.postgres.data_dir).port  # another that is free
    await on_servers(world.postgres.start)
    world.database.move(as_role(world.database_url, world.role))


async def database_failed_over(world: World, chance: random.Random) -> None:
    """The server is gone for good, and the standby that has followed it takes its place.

    It followed synchronously: what a standby has not got is lost with the server, as nothing that
    was answered 200 may be.
    """
    directory = world.postgres.data_dir.with_name(f"standby-{chance.getrandbits(32):08x}")
    standby = PrivatePostgres(directory, of=world.postgres)
    await on_servers(standby.start)
    async with _superuser(world) as connection:
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await connection.execute("SELECT pg_reload_conf()")

        async def follows() -> bool:
            return bool(
                await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
                )
            )

        await _until(follows)
    await world.sender.accepted(10)
    await on_servers(world.postgres.kill)
    vars(world.postgres).update(vars(standby))  # whoever ends that server ends this one
    world.database.drop()
    # For a while it takes no writes, and is all there is.
    world.database.move(as_role(world.database_url, world.role))
    await world.sender.refused(5)
    async with _superuser(world) as connection:
        assert await connection.fetchval("SELECT pg_promote()")


async def transactions_refused(world: World, chance: random.Random) -> None:
    """The server picks transactions as victims of deadlocks or of conflicts."""
    await _refuse(world, chance, "TRIGGER", "BEFORE", "FOR EACH STATEMENT")


async def commits_refused(world: World, chance: random.Random) -> None:
    """All statements succeed, and then the commit does not."""
    await _refuse(
        world,
        chance,
        "CONSTRAINT TRIGGER",
        "AFTER",
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
    )


async def deadlocks_forced(world: World, chance: random.Random) -> None:
    """Somebody locks what a worker locks in the opposite order, and the worker is the victim."""
    del chance
    async with _superuser(world) as connection:
        # Who has waited for so long looks for a deadlock, and is its victim: after one second
        # by default. So this session is one only where the worker looked too early.
        await connection.execute("SET deadlock_timeout = '3s'")

        async def deadlocks() -> int:
            found: int = await connection.fetchval(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            )
            return found

        before = await deadlocks()

        async def has_a_victim() -> bool:
            nonlocal before
            try:
                async with connection.transaction():
                    await connection.execute(
                        "LOCK TABLE payments.subscriptions IN ACCESS EXCLUSIVE MODE"
                    )
                    await _until(lambda: _waits_for(world, "subscriptions", 1))
                    # Whoever waits has claimed webhooks before.
                    await connection.execute(
                        "LOCK TABLE payments.stripe_webhook_events IN ACCESS EXCLUSIVE MODE"
                    )
            except asyncpg.DeadlockDetectedError:
                before += 1
            return await deadlocks() > before

        await _until(has_a_victim)


async def tables_locked(world: World, chance: random.Random) -> None:
    """Somebody holds a table for himself, and everyone queues up behind him."""
    table, waiting = chance.choice(
        [
            ("stripe_webhook_events", 3),
            ("outbox_events", 3),
            ("subscriptions", len(world.workers)),  # each in one session, and nobody else
        ]
    )
    async with _superuser(world) as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE payments.{table} IN ACCESS EXCLUSIVE MODE")
        await _until(lambda: _waits_for(world, table, waiting))


async def database_slow(world: World, chance: random.Random) -> None:
    await _slow(world, world.database, chance)


async def database_black_holed(world: World, chance: random.Random) -> None:
    del chance
    async with world.database.stalled():
        await world.sender.refused(1)


async def database_answers_lost(world: World, chance: random.Random) -> None:
    """What is asked is carried out, commits as well, and nobody hears of it."""
    del chance
    async with world.database.unanswered():
        await world.sender.refused(1)


async def database_connections_forgotten(world: World, chance: random.Random) -> None:
    del chance
    await _forget_connections(world.database)


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
    world.stripe_was_away = True
    world.stripe.failures += chance.sample(failures, len(failures))
    await _until(lambda: _nothing_left(world.stripe.failures))


async def provider_hanging(world: World, chance: random.Random) -> None:
    del chance
    world.stripe_was_away = True
    world.stripe.failures += [hang, hang]
    await _until(lambda: _nothing_left(world.stripe.failures))
    await world.recovered()
    world.stripe.let_go()


async def provider_unreachable(world: World, chance: random.Random) -> None:
    del chance
    world.stripe_was_away = True
    async with world.provider.cut():
        await asyncio.gather(world.sender.accepted(30), _hindered(world.provider, 3))


async def provider_slow(world: World, chance: random.Random) -> None:
    await _slow(world, world.provider, chance)


async def worker_clock_skewed(world: World, chance: random.Random) -> None:
    """A worker's clock is wrong by up to a day, in either direction, while things fail."""
    world.stripe_was_away = True
    world.stripe.failures += [status(503)] * 4
    await _skew(world, chance.choice(world.workers), chance, 86_400)


async def worker_clock_stepped(world: World, chance: random.Random) -> None:
    """A worker's clock is set back by an hour while messages wait for the broker."""
    assert FAKETIME is not None, "libfaketime is not installed"
    worker = chance.choice(world.workers)
    with tempfile.TemporaryDirectory(prefix="payments-clock-") as directory:
        clock = Path(directory) / "clock"
        clock.write_text("+0\n")
        await worker.kill()
        await worker.start(
            LD_PRELOAD=str(FAKETIME),
            FAKETIME_TIMESTAMP_FILE=str(clock),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )
        async with world.broker.cut():
            await _messages_wait(world)
            clock.write_text("-3600\n")

        async def is_set_back() -> bool:
            return datetime.now(UTC) - worker.clock() > timedelta(minutes=50)

        await asyncio.gather(_until(is_set_back), world.recovered())
        await worker.kill()
    await worker.start()


async def api_clock_skewed(world: World, chance: random.Random) -> None:
    """An API's is wrong by less than the age up to which a signature is taken, 300 seconds."""
    await _skew(world, chance.choice(world.apis), chance, 120)


# What a fault of each kind hurts is nothing that one of another kind does: two of different kinds
# may happen at once. Clocks are set wrong by starting processes anew.
FAULTS: Final[Mapping[str, tuple[Fault, ...]]] = {
    "processes": (
        api_killed,
        every_api_killed,
        worker_killed,
        one_of_each_killed,
        workers_killed_over_a_backlog,
        everything_killed,
        api_stopped,
        worker_stopped,
        api_frozen,
        worker_frozen,
        worker_cut_off,
    ),
    "broker": (
        broker_killed,
        broker_frozen,
        broker_connections_cut,
        broker_confirms_nothing,
        broker_confirms_lost,
        broker_unreachable,
        broker_disk_full,
        broker_slow,
        broker_black_holed,
        broker_connections_forgotten,
    ),
    "database": (
        database_restarted,
        database_killed,
        database_frozen,
        database_moved,
        database_failed_over,
        sessions_terminated,
        database_connections_cut,
        transactions_refused,
        commits_refused,
        deadlocks_forced,
        tables_locked,
        database_slow,
        database_black_holed,
        database_answers_lost,
        database_connections_forgotten,
    ),
    "provider": (provider_failing, provider_hanging, provider_unreachable, provider_slow),
    "clocks": (worker_clock_skewed, worker_clock_stepped, api_clock_skewed),
}
EXCLUDING: Final = {"processes", "clocks"}


async def _skew(world: World, member: Member, chance: random.Random, most: int) -> None:
    assert FAKETIME is not None, "libfaketime is not installed"
    await member.kill()
    wrong = chance.choice([-1, 1]) * chance.randint(30, most)
    await member.start(
        LD_PRELOAD=str(FAKETIME),
        FAKETIME=f"{wrong:+}",
        # Time that only ever goes forward is not what an administrator sets wrong.
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    error = (member.clock() - datetime.now(UTC)).total_seconds()
    assert abs(error - wrong) < 25, f"its clock is wrong by {error} s, and not by {wrong}"
    await world.recovered()
    await member.kill()
    await member.start()


async def _refuse(
    world: World, chance: random.Random, trigger: str, moment: str, extent: str
) -> None:
    """Let every other transaction fail until some have."""
    code = chance.choice(["40001", "40P01"])
    tables = ("stripe_webhook_events", "subscriptions", "outbox_events", "workers")
    async with _superuser(world) as connection:
        await connection.execute(f"""
            CREATE SCHEMA faults;
            CREATE SEQUENCE faults.refusals;
            CREATE FUNCTION faults.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
                BEGIN
                    -- A transaction writes many rows, and its fate is not to depend on how many.
                    IF hashint8(pg_current_xact_id()::text::bigint) % 2 = 0 THEN
                        PERFORM nextval('faults.refusals');
                        RAISE EXCEPTION 'a fault of the tests' USING ERRCODE = '{code}';
                    END IF;
                    RETURN NULL;
                END
            $$;
        """)
        for table in tables:
            await connection.execute(
                f"CREATE {trigger} refuse {moment} INSERT OR UPDATE ON payments.{table}"
                f" {extent} EXECUTE FUNCTION faults.refuse()"
            )

        async def refused() -> bool:
            return bool(await connection.fetchval("SELECT last_value > 10 FROM faults.refusals"))

        await _until(refused)
        # One at a time: with locks on several tables it would be a victim itself.
        for table in tables:
            await connection.execute(f"DROP TRIGGER refuse ON payments.{table}")
        await connection.execute("DROP SCHEMA faults CASCADE")


async def _slow(world: World, proxy: Proxy, chance: random.Random) -> None:
    async with proxy.slow(chance.uniform(0.01, 0.1)):
        await asyncio.gather(world.recovered(), _hindered(proxy, 5))


async def _forget_connections(proxy: Proxy) -> None:
    """The connections there are lead nowhere any more and nobody says so; new ones work."""
    proxy.abandon()
    await _hindered(proxy, 1)


async def _hindered(proxy: Proxy, more: int) -> None:
    """Return once this proxy has hindered so much more."""
    enough = proxy.hindered + more

    async def is_enough() -> bool:
        return proxy.hindered >= enough

    await _until(is_enough)


async def _broker_is_missed(world: World) -> None:
    """Return once the absence of a node has had an effect, if it is one that is needed."""
    if len(world.brokers) > 1:
        await asyncio.gather(world.sender.accepted(30), world.consumer.received(10))
    else:
        await _messages_wait(world)


async def _messages_wait(world: World) -> None:
    """Return once messages have waited, all of them, while further webhooks were taken."""

    async def unpublished() -> set[object]:
        rows = await _look(
            world, "SELECT id FROM payments.outbox_events WHERE published_at IS NULL"
        )
        return {row["id"] for row in rows}

    async def wait() -> bool:
        before = await unpublished()
        await world.sender.accepted(10)
        return len(before) >= 10 and before <= await unpublished()

    await _until(wait)


async def _waits_for(world: World, table: str, sessions: int) -> bool:
    """Whether so many sessions of the service wait for this table."""
    [row] = await _look(
        world,
        "SELECT count(DISTINCT pid) AS waiting FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE relation = $1::regclass AND NOT granted AND usename = $2",
        f"payments.{table}",
        world.role,
    )
    return bool(row["waiting"] >= sessions)


async def _look(world: World, query: str, *arguments: object) -> list[asyncpg.Record]:
    """What a query finds, once the database answers: another fault may have it away."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(
                OSError,
                asyncpg.InterfaceError,
                asyncpg.PostgresConnectionError,
                asyncpg.OperatorInterventionError,
            ):
                async with _superuser(world) as connection:
                    found: list[asyncpg.Record] = await connection.fetch(query, *arguments)
                    return found
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def _superuser(world: World) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(world.database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def _partitions(world: World) -> str:
    """Who holds what, as one text."""
    rows = await _look(
        world, "SELECT partition, worker_id FROM payments.worker_partitions ORDER BY partition"
    )
    return " ".join(f"{row['partition']}:{row['worker_id']}" for row in rows)


async def _is_shared_out(world: World) -> bool:
    """Whether every worker, and nobody else, is believed alive and holds a share."""
    [row] = await _look(
        world,
        "SELECT count(DISTINCT id) AS known, count(DISTINCT worker_id) AS holding,"
        " bool_and(expires_at > now()) AS alive"
        " FROM payments.workers LEFT JOIN payments.worker_partitions ON worker_id = id",
    )
    return bool(row["alive"] and row["known"] == row["holding"] == len(world.workers))


async def _differs(world: World, share: str) -> bool:
    return await _partitions(world) != share


async def _nothing_left(failures: list[Failure | None]) -> bool:
    return not failures


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    # Neither tables nor the stand-in's thread give an event to wait on.
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            await asyncio.sleep(0.02)
