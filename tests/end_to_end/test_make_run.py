"""`make run` by make itself: what it starts is its own, and nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aio_pika
import asyncpg
import psutil
import pytest

from contracts.generate import ROOT
from sandbox.servers import PrivatePostgres, PrivateRabbitMQ, find_rabbitmq_server
from sandbox.users_service import EXCHANGE
from tests.programs import unavailable

PATIENCE: Final = 240.0  # seconds
PROJECT: Final = ROOT.parent


@asynccontextmanager
async def make_run(data: Path, **environment: str) -> AsyncIterator[Process]:
    """`make run` in a session of its own, as in a terminal of its own; without building the page.

    Whatever it has started is killed if it is left running.
    """
    given = {"PATH": os.environ["PATH"], "HOME": str(data), "SANDBOX_DATA": str(data)}
    process = await asyncio.create_subprocess_exec(
        *("make", "run", "HAVE_NODE=false"),
        cwd=PROJECT,
        env=given | environment,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for left in left_of(data):
            left.kill()
        await process.wait()


def left_of(data: Path) -> list[psutil.Process]:
    """What runs with this folder: by its environment also a daemon that left its parent."""
    return [process for process in psutil.process_iter() if _works_on(process, str(data))]


def _works_on(process: psutil.Process, data: str) -> bool:
    try:
        told = process.environ().get("SANDBOX_DATA") == data
        return told or any(data in argument for argument in process.cmdline())
    except psutil.Error:  # it has gone meanwhile, or is not ours
        return False


@pytest.fixture
def foreign_database(tmp_path: Path) -> Iterator[PrivatePostgres]:
    """Give somebody else's PostgreSQL."""
    with PrivatePostgres(tmp_path / "foreign-postgresql") as server:
        yield server


@pytest.fixture
def foreign_broker(tmp_path: Path) -> Iterator[PrivateRabbitMQ]:
    """Give somebody else's RabbitMQ."""
    if find_rabbitmq_server() is None:
        unavailable("no rabbitmq-server is installed, so there is no broker to keep away from")
    with PrivateRabbitMQ(tmp_path / "foreign-rabbitmq") as server:
        yield server


async def test_it_plays_on_servers_of_its_own_and_touches_no_others(
    foreign_database: PrivatePostgres, foreign_broker: PrivateRabbitMQ, tmp_path: Path
) -> None:
    """Nobody has connected to what it was not given, though the environment leads there; nor does
    a proxy, which knows no way to this machine, come between what it has started.
    """
    data = tmp_path / "data"
    data.mkdir()
    astray = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(foreign_database.port),
        "PGDATABASE": "postgres",
        "PGSSLMODE": "require",
        "PGTARGETSESSIONATTRS": "standby",
        "RABBITMQ_NODE_PORT": str(foreign_broker.port),
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    foreign = await asyncpg.connect(foreign_database.url)
    await foreign.execute("ALTER SYSTEM SET log_connections = on")
    await foreign.execute("SELECT pg_reload_conf()")
    databases = await foreign.fetch("SELECT datname FROM pg_database ORDER BY 1")
    connections = accepted(foreign_broker)
    async with make_run(data, SANDBOX_ONCE="1", **astray) as run, asyncio.timeout(PATIENCE):
        output = (await run.communicate())[0].decode()
        assert run.returncode == 0, output
        assert left_of(data) == []
    assert "a private PostgreSQL on port" in output
    assert "a private RabbitMQ on port" in output
    assert "the users service agree on 1 subscriptions" in output
    assert await foreign.fetch("SELECT datname FROM pg_database ORDER BY 1") == databases
    await foreign.close()
    assert "connection received" not in foreign_database.log_file.read_text()
    assert accepted(foreign_broker) == connections
    async with await aio_pika.connect(foreign_broker.url) as connection:
        channel = await connection.channel()
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await channel.get_exchange(EXCHANGE, ensure=True)
    await (await asyncpg.connect(foreign_database.url)).close()
    # That both would have been noticed.
    assert "connection received" in foreign_database.log_file.read_text()
    assert accepted(foreign_broker) > connections


def accepted(broker: PrivateRabbitMQ) -> int:
    """How many connections a broker has taken, by its own log."""
    logs = [path for path in broker.data_dir.rglob("*") if path.suffix == ".log"]
    return sum(log.read_text(errors="replace").count("accepting AMQP connection") for log in logs)


async def test_ctrl_c_stops_all_of_it(tmp_path: Path) -> None:
    """make, the sandbox, PostgreSQL, and the broker with its port mapper where there is one."""
    async with make_run(tmp_path) as run, asyncio.timeout(PATIENCE):
        assert run.stdout is not None
        said = ""
        async for line in run.stdout:
            said += line.decode()
            if " open: " in said:
                break
        assert " open: http://127.0.0.1:" in said, said
        names = {process.name() for process in left_of(tmp_path)}
        assert "postgres" in names
        brokers = {"beam.smp", "epmd"} if find_rabbitmq_server() is not None else set()
        assert brokers == {"beam.smp", "epmd"} & names
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        said += (await run.stdout.read()).decode()
        await run.wait()
        assert left_of(tmp_path) == []
        assert "Traceback" not in said
