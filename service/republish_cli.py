"""`payments republish`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from uuid import UUID

from domain.subscription import subscription_id
from service.republish import Republish, Selection, WorkersAlive

Ask = Callable[[Callable[[Republish], Awaitable[int]]], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--subscription", type=_subscription, help="only this one, by our id or Stripe's (sub_…)"
    )
    which.add_argument("--user", type=_user, help="only those of this user")
    which.add_argument(
        "--after-restore",
        action="store_true",
        help="all, under numbers never used before: the database was put back in time",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say how many it would be")


def run(options: argparse.Namespace, ask: Ask) -> int:
    """Republish; the exit status is 1 where what was asked for has no message to sum up."""
    selection = Selection(user_id=options.user, subscription_id=options.subscription)
    try:
        count = ask(
            lambda republish: (
                republish.after_restore()
                if options.after_restore and not options.dry_run
                else republish(selection, dry_run=options.dry_run)
            )
        )
    except WorkersAlive:
        sys.stdout.write(
            "a worker is alive: stop all of them (one that was killed counts for ten seconds more)"
            " and say it again\n"
        )
        return 1
    done = "would be published" if options.dry_run else "will be published by the worker"
    sys.stdout.write(f"{count} snapshots {done}\n")
    if count == 0 and selection != Selection():
        sys.stdout.write("nothing was ever published of that: see `payments events list`\n")
        return 1
    return 0


def _subscription(text: str) -> UUID:
    return subscription_id(text) if text.startswith("sub_") else _uuid(text, "a subscription")


def _user(text: str) -> UUID:
    return _uuid(text, "a user")


def _uuid(text: str, what: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not the id (a UUID) of {what}") from None
