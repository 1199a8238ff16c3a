"""`make run` and `payments sandbox`, as a person starts them."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import Mock

import aio_pika
import asyncpg
import httpx
import psutil
import pytest

from sandbox import cli, platform
from sandbox.cli import until_a_part_ends
from sandbox.ownership import owned
from sandbox.platform import Options
from sandbox.scenarios.agreement import disagreements
from sandbox.scenarios.stage import remove_leftovers
from sandbox.servers import ServerError
from sandbox.stripe import events, server
from sandbox.users_service import QUEUE
from tests.end_to_end.processes import PAYMENTS, run

PATIENCE = 120.0  # seconds


class Sandbox:
    """A running sandbox, and what it said until it named its address."""

    def __init__(self, process: Process, said: list[str]) -> None:
        self.process = process
        self.said = said

    @property
    def address(self) -> str:
        """The one address to open."""
        (line,) = (line for line in self.said if " open: " in line)
        return line.split()[1]

    @property
    def stripe(self) -> str:
        """Where Stripe's stand-in is."""
        (line,) = (line for line in self.said if " stripe: " in line)
        return line.split()[4]

    async def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """The exit status after this signal, once nothing that it started runs any more."""
        started = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            status = await self.process.wait()
        alive = [p for p in started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        assert not alive, f"left running: {alive}"
        return status


async def start(*arguments: str, **environment: str) -> Process:
    """Start the sandbox with these settings and no others."""
    given = {"PATH": os.environ["PATH"], **environment}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", *arguments),
        env=given,
        stdout=PIPE,
        stderr=STDOUT,
        # Tests that are run with nohup ignore it, and so would the sandbox.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


@asynccontextmanager
async def running(data: Path, *arguments: str, **environment: str) -> AsyncIterator[Sandbox]:
    """A sandbox that has named its address; it is killed if it was not ended."""
    process = await start("--data", str(data), *arguments, **environment)
    said: list[str] = []
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            async for line in process.stdout:
                said.append(line.decode())
                if " open: " in said[-1]:
                    break
        assert said, "it ended at once"
        assert " open: " in said[-1], "".join(said)
        yield Sandbox(process, said)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def play(scenario: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Play a scenario by the service's own command; its exit status and its timeline."""
    process = await asyncio.create_subprocess_exec(
        PAYMENTS,
        *("sandbox", "--scenario", scenario, *arguments),
        env={"PATH": os.environ["PATH"], **environment},
        stdout=PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.fixture
async def broker(rabbitmq_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """Give a broker on which the users service's queues, which stay, are taken away at the end."""
    yield rabbitmq_url
    connection = await aio_pika.connect(rabbitmq_url)
    async with connection:
        channel = await connection.channel()
        for state in _found(tmp_path, "state/*"):
            queue = f"{QUEUE}.{state.name}"
            for name in (queue, f"{queue}.dead"):
                await channel.queue_delete(name, if_unused=False, if_empty=False)
            await channel.exchange_delete(f"{queue}.dead")


async def test_it_starts_on_what_it_is_given_and_goes_on_after_a_restart(
    database_url: str, broker: str, tmp_path: Path
) -> None:
    """Who is signed in, what they bought, Stripe's time and the users service's view stay."""
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": broker}
    async with running(tmp_path, **given) as sandbox:
        said = "".join(sandbox.said)
        at = httpx.URL(database_url)
        named = f"{at.path[1:]} on {at.host}, port {at.port}"
        assert f"database: the one of DATABASE_URL, {named}" in said
        at = httpx.URL(broker)
        assert f"broker: the one of RABBITMQ_URL, / on {at.host}, port {at.port}" in said
        assert "stripe: a stand-in at http://127.0.0.1:" in said
        async with httpx.AsyncClient(base_url=sandbox.address, timeout=30) as browser:
            await _subscribe(browser)
            await browser.post("/sandbox/clock", json={"days": 181})
            before = await _until_active(browser)
            cookies = browser.cookies
        assert await sandbox.end() == 0
    # Somebody else has taken the ports meanwhile.
    with socket.create_server(("127.0.0.1", httpx.URL(sandbox.address).port or 0)) as taken:
        async with running(tmp_path, **given) as again:
            assert again.address != sandbox.address
            taken.close()
            async with httpx.AsyncClient(
                base_url=again.address, cookies=cookies, timeout=30
            ) as browser:
                after = (await browser.get("/sandbox/status")).json()
                assert after["usersView"] == before["usersView"]
                assert after["stripe"]["now"] >= before["stripe"]["now"]
                shown = (await browser.get("/api/payments/subscription")).json()
                assert shown["status"] == "active"
                # Time goes on, and the webhooks find the service where it is now.
                await browser.post("/sandbox/clock", json={"days": 31})
                await _until_told_more(browser, after["usersView"]["subscriptions"][0]["version"])
            assert await again.end(signal.SIGTERM) == 0


async def test_killed_right_after_a_jump_it_goes_on_in_agreement(
    database_url: str, broker: str, tmp_path: Path
) -> None:
    """As after a power loss: what the service was told, Stripe still knows."""
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": broker}
    async with running(tmp_path, **given) as sandbox:
        async with httpx.AsyncClient(base_url=sandbox.address, timeout=30) as browser:
            await _subscribe(browser)
            jumped = (await browser.post("/sandbox/clock", json={"days": 181})).json()
        sandbox.process.kill()
        await sandbox.process.wait()
    async with platform.start(Options(data=tmp_path, environment=given)) as again:
        now = datetime.fromtimestamp(again.stripe.clock.now(), UTC)
        assert now >= datetime.fromisoformat(jumped["stripe"]["now"])
        (subscription,) = again.stripe.world.store.all("subscription")
        assert subscription["status"] == "active"
        assert await disagreements(again) == []


async def test_on_servers_of_its_own_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    """The database and the broker that it brought are stopped, and started on what they kept."""
    async with running(tmp_path) as sandbox:
        async with httpx.AsyncClient(base_url=sandbox.address, timeout=30) as browser:
            await _subscribe(browser)
            await browser.post("/sandbox/clock", json={"days": 181})
            before = await _until_active(browser)
            cookies = browser.cookies
        assert await sandbox.end() == 0
    async with running(tmp_path) as again:
        async with httpx.AsyncClient(
            base_url=again.address, cookies=cookies, timeout=30
        ) as browser:
            after = (await browser.get("/sandbox/status")).json()
            assert after["usersView"] == before["usersView"]
            await browser.post("/sandbox/clock", json={"days": 31})
            await _until_told_more(browser, after["usersView"]["subscriptions"][0]["version"])
        # The end of a terminal, which nobody has pressed Ctrl-C in.
        assert await again.end(signal.SIGHUP) == 0


async def test_the_services_commands_work_on_what_runs(
    database_url: str, broker: str, tmp_path: Path
) -> None:
    """Its settings are in a file for the user alone, and only while it runs.

    What is said there and on the way can be copied into a shell as it is.
    """
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": broker}
    file = tmp_path / "env"
    async with running(tmp_path, **given) as sandbox:
        assert f"settings: {file}" in "".join(sandbox.said)
        assert file.stat().st_mode & 0o777 == 0o600
        (hint,) = (line for line in sandbox.said if f"settings: {file}" in line)
        explain = hint[hint.index("(set -a;") :]
        (doctor,) = (line[2:] for line in file.read_text().splitlines() if line.startswith("# "))
        async with httpx.AsyncClient(base_url=sandbox.address, timeout=30) as browser:
            await _subscribe(browser)
            await browser.post("/sandbox/clock", json={"days": 181})
            user = (await browser.get("/session")).json()["user"]["id"]
            await _until_active(browser)
        for line, told in (
            (explain.replace("USER", user), "activated"),
            (explain.replace("explain USER", "events list"), "customer.subscription.created"),
            (f"set -a; . {file}; {doctor}", " 0 fail,"),
        ):
            shell = await asyncio.create_subprocess_shell(
                line, env={"PATH": "/usr/bin:/bin"}, stdout=PIPE, stderr=STDOUT
            )
            said = (await shell.communicate())[0].decode()
            assert shell.returncode == 0, said
            assert told in said
        assert await sandbox.end() == 0
    assert not file.exists()


async def test_ctrl_c_in_the_middle_of_a_jump_loses_nothing(
    database_url: str, broker: str, tmp_path: Path
) -> None:
    """Time stops where it is; what was on its way arrives after the next start."""
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": broker}
    async with (
        running(tmp_path, **given) as sandbox,
        httpx.AsyncClient(base_url=sandbox.address, timeout=60) as browser,
    ):
        await _subscribe(browser)
        begun = (await browser.get("/sandbox/status")).json()["stripe"]["now"]
        jump = asyncio.create_task(browser.post("/sandbox/clock", json={"days": 3660}))
        async with asyncio.timeout(PATIENCE):
            while not await _jumped(browser, begun):
                assert not jump.done(), "the jump is over already"
        assert await sandbox.end() == 0
        await asyncio.wait({jump})
    async with platform.start(Options(data=tmp_path, environment=given)) as again:
        passed = again.stripe.clock.now() - datetime.fromisoformat(begun).timestamp()
        assert 180 < passed / (24 * 60 * 60) < 3660
        refused = [d for d in again.stripe.outbox.deliveries if d.state == "failed"]
        assert refused == []
        assert await disagreements(again) == []


async def test_what_was_on_its_way_waits_until_the_service_listens(
    database_url: str, tmp_path: Path
) -> None:
    """It arrives at the first attempt, though the service is at another address than before."""
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": "in-process"}
    async with platform.start(Options(data=tmp_path, environment=given)) as running:
        running.stripe.rest()
        customer = {"id": "cus_1", "object": "customer", "metadata": {}}
        event = events.emit(running.stripe.world, "customer.deleted", customer)
    async with platform.start(Options(data=tmp_path, environment=given)) as again:
        await again.stripe.settle()
        (delivery,) = (d for d in again.stripe.outbox.deliveries if d.event == event["id"])
        assert (delivery.answer, delivery.attempts) == ("200", 1)


async def test_a_full_disk_is_named(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the part that fails of it, or where only the end does, by the folder."""

    def full(file: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def run_until_it_fails(*, end: bool) -> None:
        given = {"DATABASE_URL": database_url, "RABBITMQ_URL": "in-process"}
        async with platform.start(Options(data=tmp_path, environment=given)) as running:
            monkeypatch.setattr(server, "_write", full)
            if not end:
                events.emit(running.stripe.world, "customer.deleted", {"object": "customer"})
                await until_a_part_ends(running.parts)

    with pytest.raises(ServerError, match=r"the stand-in for Stripe has ended.*No space left"):
        await run_until_it_fails(end=False)
    monkeypatch.undo()
    with pytest.raises(ServerError, match=r"state/\w+ cannot be written to \(No space left"):
        await run_until_it_fails(end=True)


def test_settings_that_find_the_disk_full_leave_nothing_and_say_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, mode: str) -> NoReturn:
        os.close(file)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdopen", full)
    running = Mock(environment={"STRIPE_API_BASE": "http://127.0.0.1:1"}, queue=None)

    with (
        pytest.raises(ServerError, match=rf"{tmp_path} cannot be written to \(No space left"),
        cli._settings_in(tmp_path / "env", running),
    ):
        pytest.fail("there are no settings to go on with")

    assert list(tmp_path.iterdir()) == []


async def _jumped(browser: httpx.AsyncClient, begun: str) -> bool:
    now = (await browser.get("/sandbox/status")).json()["stripe"]["now"]
    return datetime.fromisoformat(now) - datetime.fromisoformat(begun) > timedelta(days=180)


async def test_a_part_that_ends_by_itself_is_named(database_url: str, tmp_path: Path) -> None:
    """Nobody is left with half a sandbox."""

    async def fails() -> None:
        raise OSError("too many open files")

    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": "in-process"}
    async with platform.start(Options(data=tmp_path, environment=given)) as running:
        assert running.parts.keys() == {"the service", "the gateway", "the stand-in for Stripe"}
        for part in running.parts:
            parts = {**running.parts, part: asyncio.create_task(fails())}
            with pytest.raises(ServerError, match=f"{part} has ended by itself: OSError.*too many"):
                await until_a_part_ends(parts)
        running.parts["the stand-in for Stripe"].cancel()
        with pytest.raises(ServerError, match="the stand-in for Stripe has ended by itself"):
            await until_a_part_ends(running.parts)


@pytest.mark.parametrize(
    ("file", "content", "advice"),
    [
        ("stripe.json", b'{"url": ', "set DATABASE_URL to an empty database to begin anew"),
        ("users.sqlite", b"no database" * 500, "remove this file to begin anew, then run `paym"),
        ("identity.pem", b"", "remove this file to begin anew"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named(
    file: str, content: bytes, advice: str, database_url: str, tmp_path: Path
) -> None:
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": "in-process"}
    async with owned(database_url, tmp_path, given=True) as mark:
        state = tmp_path / "state" / mark
    state.mkdir(parents=True)
    (state / file).write_bytes(content)
    sandbox = await start("--data", str(tmp_path), **given)
    output = (await sandbox.communicate())[0].decode()
    assert sandbox.returncode == 1
    assert f"{state / file} cannot be used" in output
    assert advice in output
    assert "Traceback" not in output
    assert (state / file).read_bytes() == content


async def test_a_database_of_its_own_begins_anew_with_its_stripe(tmp_path: Path) -> None:
    """One without the other would remember what the other knows nothing of."""
    given = {"RABBITMQ_URL": "in-process"}
    async with running(tmp_path, **given) as sandbox:
        assert await sandbox.end() == 0
    (file,) = _found(tmp_path, "state/*/stripe.json")
    file.write_bytes(b"")
    sandbox_again = await start("--data", str(tmp_path), **given)
    output = (await sandbox_again.communicate())[0].decode()
    assert sandbox_again.returncode == 1
    assert f"remove the folder {tmp_path} to begin anew" in output


async def test_what_is_only_out_of_reach_is_not_to_be_removed(
    database_url: str, tmp_path: Path
) -> None:
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": "in-process"}
    async with owned(database_url, tmp_path, given=True) as mark:
        file = tmp_path / "state" / mark / "users.sqlite"
    file.mkdir(parents=True)
    sandbox = await start("--data", str(tmp_path), **given)
    output = (await sandbox.communicate())[0].decode()
    assert sandbox.returncode == 1
    assert f"{file} cannot be used (OperationalError('unable to open" in output
    assert "remove" not in output


async def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    sandbox = await start("--data", str(folder), RABBITMQ_URL="in-process")
    output = (await sandbox.communicate())[0].decode()
    assert sandbox.returncode == 1
    assert f"{folder} cannot be written to (Not a directory)" in output
    assert "Traceback" not in output


async def test_a_port_that_there_is_not_is_a_wrong_call(tmp_path: Path) -> None:
    sandbox = await start("--data", str(tmp_path), "--port", "70000")
    output = (await sandbox.communicate())[0].decode()
    assert sandbox.returncode == 2
    assert "a port is a number up to 65535" in output


def test_what_a_killed_scenario_left_is_removed_and_one_that_is_played_stays(
    tmp_path: Path,
) -> None:
    for name in ("scenario-killed", "scenario-played"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "played").touch()
    with (tmp_path / "scenario-played" / "played").open("rb") as played:
        fcntl.flock(played, fcntl.LOCK_EX)
        remove_leftovers(tmp_path)
    assert [folder.name for folder in _found(tmp_path, "scenario-*")] == ["scenario-played"]


async def test_on_a_bare_machine_it_brings_its_own_servers_and_takes_them_along(
    tmp_path: Path,
) -> None:
    """Whatever listens for it does so on this machine only, and is gone afterwards."""
    async with running(tmp_path, RABBITMQ_URL="in-process") as sandbox:
        assert "a private PostgreSQL on port" in "".join(sandbox.said)
        assert "an in-process bus, as RABBITMQ_URL says" in "".join(sandbox.said)
        family = psutil.Process(sandbox.process.pid)
        listening = [
            connection.laddr
            for process in (family, *family.children(recursive=True))
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert {address.ip for address in listening} == {"127.0.0.1"}
        assert await sandbox.end() == 0
    for address in listening:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", address.port))


async def test_ctrl_c_while_it_starts_leaves_nothing_running(tmp_path: Path) -> None:
    process = await start("--data", str(tmp_path), RABBITMQ_URL="in-process")
    try:
        sandbox = Sandbox(process, [])
        async with asyncio.timeout(PATIENCE):
            while not _found(tmp_path, "postgresql/server.pid"):
                await asyncio.sleep(0.01)
        assert await sandbox.end() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_two_do_not_share_their_data(database_url: str, tmp_path: Path) -> None:
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": "in-process"}
    async with running(tmp_path, **given) as sandbox:
        other = await start("--data", str(tmp_path), **given)
        output, _ = await other.communicate()
        assert other.returncode == 1
        assert b"stop it, or choose another folder with --data" in output
        assert await sandbox.end() == 0


@pytest.mark.parametrize("name", ["STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY"])
async def test_a_live_key_is_refused(name: str) -> None:
    key = f"{name[7].lower()}k_live_1"
    sandbox = await start(**{name: key})
    output = (await sandbox.communicate())[0].decode()
    assert sandbox.returncode == 2
    assert f"{name} is a live key" in output
    assert key not in output


async def test_a_live_key_in_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("rk_live_1\n")
    sandbox = await start(STRIPE_SECRET_KEY_FILE=str(file))
    output = (await sandbox.communicate())[0].decode()
    assert sandbox.returncode == 2
    assert "STRIPE_SECRET_KEY_FILE is a live key" in output


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere"}, "database"),
        ({"DATABASE_URL": "mysql://nobody@127.0.0.1/nowhere"}, "DATABASE_URL must be"),
        ({"RABBITMQ_URL": "amqp://nobody@127.0.0.1:1/"}, "the broker cannot be used"),
        ({"DATABASE_URL": "postgresql://u:s3/cret@host/db"}, "DATABASE_URL is not a URL"),
        ({"DATABASE_URL": "postgresql://u:p[cret@host/db"}, "DATABASE_URL is not a URL"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/cret@host/db"}, "the database cannot be used"),
        ({"RABBITMQ_URL": "amqp://u:s3/cret@host/"}, "RABBITMQ_URL is not a URL"),
        ({"RABBITMQ_URL": "amqp://u:p[cret@host/"}, "RABBITMQ_URL is not a URL"),
    ],
)
async def test_what_cannot_be_used_is_named_in_a_line(
    wrong: dict[str, str], said: str, database_url: str, tmp_path: Path
) -> None:
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": "in-process", **wrong}
    sandbox = await start("--data", str(tmp_path), **given)
    async with asyncio.timeout(PATIENCE):
        output = (await sandbox.communicate())[0].decode()
    assert sandbox.returncode in (1, 2)
    assert said in output
    assert "cret" not in output
    assert "Traceback" not in output


async def test_once_means_the_life_of_a_subscription_and_no_more(
    database_url: str, tmp_path: Path
) -> None:
    sandbox = await start(
        "--data",
        str(tmp_path),
        DATABASE_URL=database_url,
        RABBITMQ_URL="in-process",
        SANDBOX_ONCE="1",
    )
    async with asyncio.timeout(PATIENCE):
        output = (await sandbox.communicate())[0].decode()
    assert sandbox.returncode == 0, output
    assert "subscription.canceled" in output
    assert "the users service agree on 1 subscriptions" in output
    assert not _found(tmp_path, "scenario-*"), "a scenario leaves nothing behind"


@pytest.mark.parametrize(
    ("scenario", "subscriptions"),
    [("lifecycle", 1), ("decline", 2), ("three-d-secure", 2), ("outage", 2)],
)
async def test_a_scenario_ends_with_all_sides_agreeing(
    scenario: str, subscriptions: int, database_url: str, rabbitmq_url: str, tmp_path: Path
) -> None:
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": rabbitmq_url}
    status, output = await play(scenario, "--json", "--data", str(tmp_path), **given)
    assert status == 0, output
    lines: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    assert {"at", "who", "what"} <= set.intersection(*(set(line) for line in lines))
    assert {"user", "webhook", "message", "clock"} <= {line["who"] for line in lines}
    assert (lines[-1]["agree"], lines[-1]["differences"], lines[-1]["subscriptions"]) == (
        True,
        [],
        subscriptions,
    )


async def test_an_outage_needs_a_broker_and_says_so(tmp_path: Path) -> None:
    status, output = await play("outage", "--data", str(tmp_path), RABBITMQ_URL="in-process")
    assert status == 3
    assert "needs a real broker" in output
    assert "install rabbitmq-server" in output


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"DATABASE_URL": "postgresql:///payments?host=/run/postgresql"}, "names no host"),
        ({"RABBITMQ_URL": "amqps://guest:secret@broker.example/"}, "not into amqps"),
    ],
)
async def test_an_outage_says_which_server_it_cannot_cut_off(
    given: dict[str, str], why: str, tmp_path: Path
) -> None:
    given = {"RABBITMQ_URL": "amqp://guest@127.0.0.1:1/", **given}
    status, output = await play("outage", "--json", "--data", str(tmp_path), **given)
    assert status == 3
    (line,) = output.splitlines()
    assert "cannot lose the server of" in json.loads(line)["what"]
    assert why in line
    assert "secret" not in output


async def test_a_scenario_that_cannot_start_says_so_in_a_line(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere"}
    status, output = await play(
        "decline", "--json", "--data", str(tmp_path), RABBITMQ_URL="in-process", **given
    )
    assert status == 1
    last = json.loads(output.splitlines()[-1])
    assert last["what"].startswith("FAILED: ServerError: the database cannot be used")


async def test_two_do_not_share_a_database(database_url: str, tmp_path: Path) -> None:
    """Not even a scenario: each Stripe would know nothing of the other's rows."""
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": "in-process"}
    async with running(tmp_path / "one", **given) as sandbox:
        other = await start("--data", str(tmp_path / "other"), **given)
        output = (await other.communicate())[0].decode()
        assert other.returncode == 1
        holder = f"payments sandbox, pid {sandbox.process.pid} on "
        assert f"another sandbox works on this database ({holder}" in output
        assert "set DATABASE_URL to another one" in output
        status, told = await play("decline", "--data", str(tmp_path / "other"), **given)
        assert status == 1
        assert "another sandbox works on this database" in told
        assert await sandbox.end() == 0
    status, told = await play("decline", "--data", str(tmp_path / "other"), **given)
    assert status == 0, told


async def test_the_database_of_a_service_is_left_to_it(database_url: str, tmp_path: Path) -> None:
    """Its webhooks and its messages are not the sandbox's to work off, wherever the URL leads."""
    status, said = await run({"DATABASE_URL": database_url}, "migrate")
    assert status == 0, said
    service = await asyncpg.connect(database_url, server_settings={"application_name": "payments"})
    sandbox = await start("--data", str(tmp_path), DATABASE_URL=database_url)
    output = (await sandbox.communicate())[0].decode()
    await service.close()
    assert sandbox.returncode == 1
    assert "not for a sandbox: connected to it is payments" in output
    assert "Traceback" not in output


async def test_an_interrupted_scenario_cleans_up(database_url: str, tmp_path: Path) -> None:
    given = {"DATABASE_URL": database_url, "RABBITMQ_URL": "in-process"}
    process = await start("--data", str(tmp_path), "--scenario", "storm", **given)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            async for line in process.stdout:
                if b"1000 subscribe" in line:
                    break
        assert await Sandbox(process, []).end() == 130
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert not _found(tmp_path, "scenario-*")


def _found(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def _subscribe(browser: httpx.AsyncClient) -> None:
    (await browser.post("/session", json={"user": "new"})).raise_for_status()
    config = (await browser.get("/api/payments/config")).json()
    home = str(browser.base_url)
    wanted = {
        "priceId": config["plans"][0]["prices"][0]["priceId"],
        "successUrl": home,
        "cancelUrl": home,
    }
    started = await browser.post("/api/payments/create-checkout-session", json=wanted)
    card = {"email": "jenny@example.com", "name": "Jenny", "card": "4242 4242 4242 4242"}
    paid = await browser.post(started.json()["sessionUrl"], data=card)
    assert paid.headers["location"].startswith(home)


async def _until_active(browser: httpx.AsyncClient) -> Any:
    async with asyncio.timeout(PATIENCE):
        while True:
            status = (await browser.get("/sandbox/status")).json()
            found = status["usersView"]["subscriptions"]
            # Activated, the notice, active, and the first payment.
            if found and (found[0]["status"], found[0]["version"]) == ("active", 4):
                return status
            await asyncio.sleep(0.05)


async def _until_told_more(browser: httpx.AsyncClient, version: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            status = (await browser.get("/sandbox/status")).json()
            if status["usersView"]["subscriptions"][0]["version"] > version:
                return
            await asyncio.sleep(0.05)
