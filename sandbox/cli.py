"""`payments sandbox` and `make run`: the whole product on a bare machine, without any account.

Without a scenario everything starts and runs until Ctrl-C. DATABASE_URL and RABBITMQ_URL name
servers to use; what is not named is started privately, below one folder (`.sandbox`), where
everything else is kept too. RABBITMQ_URL=in-process does without a broker. SANDBOX_ONCE=1 plays
the scenario `lifecycle` instead of waiting for Ctrl-C. While it runs, the file `env` in that folder
has the settings with which `payments explain` and `events list` work on it and, where there is a
broker, `doctor` with the queue that it names.

Exit statuses: 0 all is well; 1 something failed, or Stripe, the tables and the users service
differ after a scenario; 2 it was called wrongly, or with a live key; 3 the scenario cannot be
played here (`outage` without a broker, or on servers that it cannot cut off); 130 a scenario was
interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shlex
import sys
from collections.abc import Coroutine, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import uvloop

from adapters.http import server
from adapters.http.server import CannotListen
from ports.unit_of_work import StorageUnavailable
from sandbox import platform
from sandbox.ownership import AlreadyRunning
from sandbox.platform import Options, Platform
from sandbox.scenarios.playing import SCENARIOS, play
from sandbox.scenarios.stage import remove_leftovers
from sandbox.servers import ServerError
from service.settings import SettingsError

INTERRUPTED: Final = 130
_LIVE: Final = ("sk_live_", "rk_live_", "pk_live_")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox; see above for the exit status."""
    options = _parser().parse_args(arguments)
    _shelter(os.environ)
    for name in _live_keys(os.environ):
        return _fail(f"{name} is a live key, which the sandbox refuses: unset it", 2)
    scenario = options.scenario or ("lifecycle" if os.environ.get("SANDBOX_ONCE") else None)
    if scenario is not None:
        work = play(scenario, options.data, os.environ, as_json=options.json)
    elif options.json:
        return _fail("--json is for scenarios: name one with --scenario", 2)
    else:
        work = _run(Options(data=options.data, environment=os.environ, port=options.port, say=_say))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            status = runner.run(_until_signal(work))
    except (AlreadyRunning, ServerError, StorageUnavailable, CannotListen) as error:
        return _fail(str(error), 1)
    except SettingsError as error:
        return _fail(str(error), 2)
    if status is None:  # Ctrl-C is how `make run` ends, and how a scenario does not
        return 0 if scenario is None else INTERRUPTED
    return status


async def _run(options: Options) -> int:
    remove_leftovers(options.data)
    async with platform.start(options) as running:
        with _settings_in(options.data / "env", running) as file:
            sourced = shlex.quote(str(file))
            _say("settings", f"{file}   (set -a; . {sourced}; {_command()} explain USER)")
            _say("open", f"{running.address}   (Ctrl-C stops everything)")
            await until_a_part_ends(running.parts)
    return 1


async def until_a_part_ends(parts: Mapping[str, asyncio.Task[None]]) -> NoReturn:
    """For ever, unless something fails: then ServerError says what."""
    # Awaited themselves, they would be cancelled instead of stopped.
    await asyncio.wait(parts.values(), return_when=asyncio.FIRST_COMPLETED)
    part, task = next((part, task) for part, task in parts.items() if task.done())
    error = None if task.cancelled() else task.exception()
    raise ServerError(f"{part} has ended by itself{f': {error!r}' if error else ''}") from error


@contextlib.contextmanager
def _settings_in(file: Path, running: Platform) -> Iterator[Path]:
    """Have a file, while this runs, with which the service's commands work on the same servers."""
    lines = [f"{name}={shlex.quote(value)}" for name, value in running.environment.items()]
    if running.queue is not None:
        lines.append(f"# {_command()} doctor --queue {running.queue}")
    try:
        with platform.writing_to(file.parent):
            file.unlink(missing_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
                made.write("\n".join([*lines, ""]))
        yield file
    finally:
        file.unlink(missing_ok=True)


def _command() -> str:
    """How the service's command is called from here, which need not be on the PATH."""
    command = Path(sys.executable).with_name("payments")
    here = Path.cwd()
    return shlex.quote(str(command.relative_to(here) if command.is_relative_to(here) else command))


async def _until_signal(work: Coroutine[Any, Any, int]) -> int | None:
    """The exit status of the work; None where it was interrupted, and has been cleaned up after."""
    stop = server.stop_on_signal()
    stopped, task = asyncio.create_task(stop.wait()), asyncio.create_task(work)
    await asyncio.wait({stopped, task}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        return task.result()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return None
    return task.result()


def _shelter(environment: MutableMapping[str, str]) -> None:
    """Have nothing that is set for other servers lead this process away from its own."""
    if not environment.get("DATABASE_URL"):
        # What libpq's variables say would hold for a private database, too.
        for name in [name for name in environment if name.startswith("PG")]:
            del environment[name]
    spared = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if spared != "*":
        own = ",".join(filter(None, (spared, "127.0.0.1", "localhost")))
        environment.update(no_proxy=own, NO_PROXY=own)


def _live_keys(environment: Mapping[str, str]) -> list[str]:
    names = ("STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY")
    given = {name: environment.get(name, "") for name in names}
    for name in names:
        file = environment.get(f"{name}_FILE")
        if file and Path(file).is_file():
            given[f"{name}_FILE"] = Path(file).read_text(encoding="utf-8", errors="replace")
    return [name for name, key in given.items() if key.strip().startswith(_LIVE)]


def _say(what: str, which: str) -> None:
    print(f"{what:>9}: {which}", flush=True)


def _fail(problem: str, status: int) -> int:
    sys.stderr.write(f"payments sandbox: {problem}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="payments sandbox", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), help="play this and end")
    parser.add_argument("--json", action="store_true", help="one JSON object for each line")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("SANDBOX_DATA") or ".sandbox"),
        help="where everything is kept (SANDBOX_DATA, else .sandbox)",
    )
    parser.add_argument("--port", type=_port, default=8000, help="the first port tried (8000)")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number up to 65535, or 0 for any")
    return port
