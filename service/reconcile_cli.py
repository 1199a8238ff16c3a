"""`payments reconcile`: a line for each difference, then how many there were."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from service.reconcile import Drifted, Finding, Reconcile, Reconciliation, Undelivered

Ask = Callable[[Callable[[Reconcile], Awaitable[Reconciliation]]], Reconciliation]

# Stripe lists events for so long. (Stripe: List all events)
_LISTED: Final = timedelta(days=30)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--dry-run", action="store_true", help="only show what differs")
    parser.add_argument(
        "--since",
        type=_since,
        help="look through the events from this day or moment on, as 2026-03-01 or "
        "2026-03-01T12:00Z; by default through RECONCILE_LOOKBACK_DAYS",
    )


def run(options: argparse.Namespace, ask: Ask) -> int:
    """Carry the command out; the exit status is 1 where something cannot be mended."""
    result = ask(
        lambda reconcile: reconcile(since=options.since, dry_run=options.dry_run, found=_tell)
    )
    done = "would be taken in" if options.dry_run else "were taken in"
    mended = "would be mended" if options.dry_run else "are being mended"
    sys.stdout.write(
        f"events         {result.events} looked at, {result.undelivered} undelivered {done}\n"
        f"subscriptions  {result.subscriptions} looked at, {result.drifted} differ,"
        f" {result.mended} {mended}\n"
    )
    return 1 if result.mended < result.drifted else 0


def _since(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("name a day or a moment, as 2026-03-01") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment < datetime.now(UTC) - _LISTED:
        raise argparse.ArgumentTypeError("Stripe lists the events of the last 30 days only")
    return moment


def _tell(finding: Finding) -> None:
    for line in _lines(finding):
        sys.stdout.write(line + "\n")


def _lines(finding: Finding) -> list[str]:
    match finding:
        case Undelivered():
            created = finding.created.isoformat(timespec="seconds")
            return [
                f"undelivered    {created}  {finding.event_id}  {finding.event_type}"
                f"  {finding.ordering_key}"
            ]
        case Drifted(differences=None):
            return [f"missing        {finding.subscription_ref}"]
        case Drifted(differences=differences):
            assert differences is not None, "the case above has none"
            note = "" if finding.mendable else "  (ended here, so it stays ended)"
            return [f"differs        {finding.subscription_ref}{note}"] + [
                f"    {name:<21} {_text(ours)} here, {_text(theirs)} at Stripe"
                for name, (ours, theirs) in sorted(differences.items())
            ]


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return "none" if value is None else str(value)
