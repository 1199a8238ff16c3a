"""`payments sandbox` and `make run`: the whole product on a bare machine, without any account.

Without a scenario everything starts and runs until Ctrl-C. DATABASE_URL and RABBITMQ_URL name
servers to use; what is not named is started privately, below one folder (`.sandbox`), where
everything else is kept too. RABBITMQ_URL=in-process does without a broker. SANDBOX_ONCE=1 plays
the scenario `lifecycle` instead of waiting for Ctrl-C.

Exit statuses: 0 all is well; 1 something failed, or Stripe, the tables and the users service
differ after a scenario; 2 it was called wrongly, or with a live key; 3 the scenario cannot be
played here (`outage` without a broker, or on servers that it cannot cut off); 130 a scenario was
interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from adapters.http import server
from ports.unit_of_work import StorageUnavailable
from sandbox import platform
from sandbox.ownership import AlreadyRunning
from sandbox.platform import Options
from sandbox.scenarios.playing import SCENARIOS, play
from sandbox.servers import ServerError
from service.settings import SettingsError

INTERRUPTED: Final = 130
_LIVE: Final = ("sk_live_", "rk_live_", "pk_live_")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox; see above for the exit status."""
    options = _parser().parse_args(arguments)
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
    except (AlreadyRunning, ServerError, StorageUnavailable, server.CannotListen) as error:
        return _fail(str(error), 1)
    except SettingsError as error:
        return _fail(str(error), 2)
    if status is None:  # Ctrl-C is how `make run` ends, and how a scenario does not
        return 0 if scenario is None else INTERRUPTED
    return status


async def _run(options: Options) -> int:
    async with platform.start(options) as running:
        _say("open", f"{running.address}   (Ctrl-C stops everything)")
        # For ever, unless it fails. Awaited itself, it would be cancelled instead of stopped.
        await asyncio.wait({running.serving})
        running.serving.result()
    return 1


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
    parser.add_argument("--port", type=int, default=8000, help="the first port tried (8000)")
    return parser
