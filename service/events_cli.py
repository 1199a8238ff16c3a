"""`payments events list | show | replay | discard`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from ports.inbox import KeptWebhook, Outcome, State, WebhookQuery
from service.redaction import without_people
from service.replay_webhooks import Replay, ReplayWebhooks

Ask = Callable[[Callable[[ReplayWebhooks], Awaitable[Any]]], Any]

_STATES = [*map(str, State), *map(str, Outcome)]
# As many as a replay may take at once; more are taken by repeating the command.
_MOST = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="the newest webhooks, and how many there are")
    listing.add_argument("--limit", type=_count, default=20, help="how many are listed")
    show = actions.add_parser("show", help="one webhook with its payload")
    show.add_argument("event_id", help="Stripe's id of the event (evt_…)")
    show.add_argument(
        "--raw",
        action="store_true",
        help="as it came, with what it says of people",
    )
    replay = actions.add_parser("replay", help="try again what did not come to a good end")
    replay.add_argument("event_ids", nargs="*", metavar="event_id", help="Stripe's ids (evt_…)")
    replay.add_argument("--dry-run", action="store_true", help="only say what would be replayed")
    discard = actions.add_parser("discard", help="be done with what was given up for good")
    discard.add_argument("event_ids", nargs="+", metavar="event_id", help="Stripe's ids (evt_…)")
    for action in (listing, replay):
        action.add_argument("--state", choices=_STATES, help="only those in this state")
        action.add_argument("--type", help="only those of this type of event")


def run(options: argparse.Namespace, ask: Ask) -> int:
    """Carry the subcommand out; the exit status is 1 where something asked for was not found."""
    match options.action:
        case "list":
            return _list(options, ask)
        case "show":
            return _show(options, ask)
        case "discard":
            return _discard(options, ask)
        case _:
            return _replay(options, ask)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("name a number from 1 on")
    return count


def _list(options: argparse.Namespace, ask: Ask) -> int:
    query = _query(options, event_ids=None, limit=options.limit)

    async def look(inbox: ReplayWebhooks) -> tuple[Any, Any]:
        return await inbox.find(query), await inbox.count(query.states)

    found, counts = ask(look)
    for kept in found:
        _print(_line(kept))
    _print("kept: " + (", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "none"))
    return 0


def _show(options: argparse.Namespace, ask: Ask) -> int:
    found = ask(lambda inbox: inbox.find(WebhookQuery(event_ids=[options.event_id])))
    if not found:
        _print(f"{options.event_id} was never received")
        return 1
    (kept,) = found
    _print(_line(kept))
    if kept.payload is None:
        _print("the payload was erased")
    else:
        _print(kept.payload.decode() if options.raw else without_people(kept.payload))
    return 0


def _replay(options: argparse.Namespace, ask: Ask) -> int:
    if not (options.event_ids or options.state or options.type):
        _print("say which: name events, or give --state or --type")
        return 2
    query = _query(options, event_ids=options.event_ids or None, limit=_MOST)
    result: Replay = ask(lambda inbox: inbox(query, dry_run=options.dry_run))
    for kept in result.replayed:
        _print(_line(kept))
    if options.event_ids:
        for event_id, reason in sorted(result.refused.items()):
            _print(f"{event_id} {reason}")
    done = "would be replayed" if options.dry_run else "will be tried again"
    _print(f"{len(result.replayed)} {done}, {len(result.refused)} not")
    return 1 if result.refused and options.event_ids else 0


def _discard(options: argparse.Namespace, ask: Ask) -> int:
    discarded = ask(lambda inbox: inbox.discard(options.event_ids))
    left = [event_id for event_id in options.event_ids if event_id not in discarded]
    for event_id in left:
        _print(f"{event_id} is not dead: only what was given up can be discarded")
    _print(f"{len(discarded)} discarded, {len(left)} not")
    return 1 if left else 0


def _query(options: argparse.Namespace, *, event_ids: list[str] | None, limit: int) -> WebhookQuery:
    states = [options.state] if options.state else None
    return WebhookQuery(event_ids=event_ids, states=states, event_type=options.type, limit=limit)


def _line(kept: KeptWebhook) -> str:
    parts = [
        kept.received_at.isoformat(timespec="seconds"),
        f"{kept.state:<10}",
        kept.event_id,
        kept.event_type,
        kept.ordering_key,
    ]
    if kept.attempts:
        parts.append(f"attempts={kept.attempts}")
    if kept.error:
        parts.append(kept.error)
    return "  ".join(parts)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
