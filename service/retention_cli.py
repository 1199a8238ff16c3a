"""`payments retention run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable

from ports.retention import Swept
from service.retention import ApplyRetention

Ask = Callable[[Callable[[ApplyRetention], Awaitable[Swept]]], Swept]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    actions = parser.add_subparsers(dest="action", required=True)
    run_now = actions.add_parser("run", help="do now what a worker does every hour")
    run_now.add_argument("--dry-run", action="store_true", help="only say how much it would be")


def run(options: argparse.Namespace, ask: Ask) -> int:
    """Carry the subcommand out."""
    swept = ask(lambda apply: apply(dry_run=options.dry_run))
    verb = "would be" if options.dry_run else "were"
    sys.stdout.write(
        f"{swept.payloads} payloads {verb} erased\n"
        f"{swept.masked} payloads that are kept on {verb} rid of people\n"
        f"{swept.event_ids} processed webhooks {verb} removed\n"
        f"{swept.messages} messages {verb} removed\n"
        f"{swept.answers} answers to requests with a key {verb} removed\n"
    )
    return 0
