"""The command `payments`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, get_args

from ports.inbox import Overloaded
from ports.payment_provider import ProviderUnavailable
from ports.unit_of_work import StorageUnavailable
from service import (
    doctor_cli,
    events_cli,
    explain_cli,
    guest_commands,
    reconcile_cli,
    republish_cli,
    retention_cli,
    settings,
    wiring,
)
from service.settings import CommandName, SettingsError

# Commands with options of their own.
_ARGUMENTS: Final[Mapping[CommandName, Callable[[argparse.ArgumentParser], None]]] = {
    "events": events_cli.add_arguments,
    "republish": republish_cli.add_arguments,
    "reconcile": reconcile_cli.add_arguments,
    "doctor": doctor_cli.add_arguments,
    "explain": explain_cli.add_arguments,
    "retention": retention_cli.add_arguments,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 2 where its settings are wrong, 1 where it failed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] and arguments[0] in guest_commands.EXPLANATIONS:
        return guest_commands.run(arguments[0], arguments[1:])
    options = _parser().parse_args(arguments)
    command: CommandName = options.command
    if command == "doctor":
        return doctor_cli.run(options, os.environ, wiring.diagnose)
    try:
        loaded = settings.load(command, os.environ)
        match command:
            case "migrate":
                wiring.migrate(loaded, grant_to=options.grant_to)
            case "api":
                wiring.run(loaded, listen_on=(options.host, options.port), worker=False)
            case "worker":
                wiring.run(loaded, listen_on=None, worker=True)
            case "serve":
                wiring.run(loaded, listen_on=(options.host, options.port), worker=True)
            case "events":
                return events_cli.run(options, lambda ask: wiring.ask_inbox(loaded, ask))
            case "republish":
                return republish_cli.run(options, lambda ask: wiring.ask_republish(loaded, ask))
            case "reconcile":
                return reconcile_cli.run(options, lambda ask: wiring.ask_reconcile(loaded, ask))
            case "explain":
                return explain_cli.run(options, lambda ask: wiring.ask_explain(loaded, ask))
            case "retention":
                return retention_cli.run(options, lambda ask: wiring.ask_retention(loaded, ask))
            case "catalog":
                wiring.sync_catalog(loaded)
    except SettingsError as error:
        return _fail(command, error.problems, status=2)
    except (StorageUnavailable, ProviderUnavailable, Overloaded) as error:
        return _fail(command, [str(error)], status=1)
    return 0


def _fail(command: str, problems: Iterable[str], *, status: int) -> int:
    for problem in problems:
        sys.stderr.write(f"payments {command}: {problem}\n")
    return status


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65_536:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port


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
        "republish": "sum up subscriptions for consumers that lost messages",
        "events": "look at what was received, and have it tried again",
        "reconcile": "compare with Stripe, and mend what differs",
        "doctor": "see whether everything is there, and what to do where it is not",
        "explain": "say what happened to a subscription or a user, and what is waited for",
        "retention": "erase and remove what was kept long enough",
    }
    for name in get_args(CommandName):
        command = commands.add_parser(name, help=explanations[name])
        if name in ("api", "serve"):
            command.add_argument("--host", default="127.0.0.1", help="address to listen on")
            command.add_argument("--port", type=_port, default=8000, help="port to listen on")
        if name == "migrate":
            command.add_argument(
                "--grant-to",
                metavar="ROLE",
                help="let this role do what the service does, and no more than that",
            )
        if name == "catalog":
            command.add_argument(
                "action", choices=["sync"], help="create and replace products and prices"
            )
        if name in _ARGUMENTS:
            _ARGUMENTS[name](command)
    for name, explanation in guest_commands.EXPLANATIONS.items():
        commands.add_parser(name, help=explanation)  # for the list; they read their own arguments
    return parser


if __name__ == "__main__":
    sys.exit(main())
