"""The command `payments`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import get_args

from service import settings, wiring
from service.settings import CommandName, Settings, SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 2 where its settings are wrong."""
    options = _parser().parse_args(arguments)
    command: CommandName = options.command
    try:
        _run(command, options, settings.load(command, os.environ))
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"payments {command}: {problem}\n")
        return 2
    return 0


def _run(command: CommandName, options: argparse.Namespace, loaded: Settings) -> None:
    match command:
        case "migrate":
            wiring.migrate(loaded)
        case "api":
            wiring.run(loaded, listen_on=(options.host, options.port), worker=False)
        case "worker":
            wiring.run(loaded, listen_on=None, worker=True)
        case "serve":
            wiring.run(loaded, listen_on=(options.host, options.port), worker=True)
        case "catalog":
            wiring.sync_catalog(loaded)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="payments", description="Sells subscriptions through Stripe."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    explanations: dict[CommandName, str] = {
        "migrate": "bring the database's schema up to this release",
        "api": "take webhooks and answer the gateway",
        "worker": "work off what was received and publish what follows from it",
        "serve": "api and worker in one process",
        "catalog": "have Stripe sell what the settings say",
    }
    for name in get_args(CommandName):
        command = commands.add_parser(name, help=explanations[name])
        if name in ("api", "serve"):
            command.add_argument("--host", default="127.0.0.1", help="address to listen on")
            command.add_argument("--port", type=int, default=8000, help="port to listen on")
        if name == "catalog":
            command.add_argument(
                "action", choices=["sync"], help="create and replace products and prices"
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
