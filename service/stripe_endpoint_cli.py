"""`payments stripe-endpoint sync`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from ports.webhook_endpoints import SyncedEndpoint, WebhookEndpoints

Ask = Callable[[Callable[[WebhookEndpoints], Awaitable[Any]]], Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand."""
    actions = parser.add_subparsers(dest="action", required=True)
    sync = actions.add_parser("sync", help="subscribe to exactly the events that are handled")
    sync.add_argument(
        "--url",
        type=_address,
        required=True,
        help="where Stripe reaches us, as https://api.example.com/api/payments/webhook",
    )
    sync.add_argument(
        "--retire-others",
        action="store_true",
        help="disable what else Stripe sends to this address, rendered by another API version; "
        "only once the secret of the new endpoint is in use",
    )


def run(options: argparse.Namespace, ask: Ask) -> int:
    """Carry the subcommand out."""

    async def sync(endpoints: WebhookEndpoints) -> SyncedEndpoint:
        synced = await endpoints.sync(options.url)
        # A new endpoint's secret is known to nobody yet: without the old one nothing got in.
        if options.retire_others and synced.secret is None:
            await endpoints.retire(synced.others)
        return synced

    synced: SyncedEndpoint = ask(sync)
    _print(f"{synced.ref} {synced.outcome}")
    if synced.secret is not None:
        _print(f"signing secret, which Stripe never shows again: {synced.secret}")
        _print(
            "put it into STRIPE_WEBHOOK_SECRET or its file, after a comma where one is there "
            "already, and restart the API"
        )
    elif options.retire_others:
        for ref in synced.others:
            _print(f"{ref} disabled")
        return 0
    for ref in synced.others:
        _print(
            f"{ref} has another API version and still sends: once the new secret is in use, "
            "repeat this with --retire-others"
        )
    return 0


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError("name a whole address, as https://host/path")
    return text


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
