"""`payments explain`: what happened to a subscription or a user, and what is waited for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime

import msgspec

from service.explain import Explain, Explanation

Ask = Callable[[Callable[[Explain], Awaitable[Explanation | None]]], Explanation | None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "name",
        help="Stripe's id of a subscription (sub_…) or a customer (cus_…), our id of a"
        " subscription, or a user's id",
    )
    parser.add_argument("--json", action="store_true", help="the same for machines")


def run(options: argparse.Namespace, ask: Ask) -> int:
    """Carry the command out; the exit status is 1 where nothing is known of the name."""
    found = ask(lambda explain: explain(options.name))
    if found is None:
        sys.stderr.write(
            f"payments explain: nothing is known of {options.name}: if Stripe knows it,"
            " payments reconcile brings it here\n"
        )
        return 1
    if options.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    else:
        sys.stdout.write("\n".join(_lines(found)) + "\n")
    return 0


def _lines(found: Explanation) -> Iterator[str]:
    for one in found.subscriptions:
        access = "has access" if one.has_access else "no access"
        until = f" until {_text(one.access_until)}" if one.access_until else ""
        yield f"subscription {one.reference}  {one.status}, {access}{until}"
        yield f"  our id       {one.id}"
        yield f"  user         {one.user_id}, customer {one.customer or 'unknown'}"
        yield f"  plan         {one.plan}, per {one.interval or 'unknown interval'}"
        moments = {
            "trial ends": one.trial_end,
            "period ends": one.current_period_end,
            "cancels at": one.cancel_at,
            "ended": one.end,
            "as of": one.as_of,
        }
        yield from (f"  {name:<12} {_text(at)}" for name, at in moments.items() if at)
        yield f"  messages     {one.version}"
    for customer in found.customers:
        retired = f", deleted {_text(customer.retired_at)}" if customer.retired_at else ""
        yield (
            f"customer {customer.reference}  user {customer.user_id or 'unknown'},"
            f" {customer.email or 'no email'}{retired}"
        )
    yield ""
    yield "what happened" if found.timeline else "nothing that happened is kept any more"
    for entry in found.timeline:
        detail = f"  {entry.detail}" if entry.detail else ""
        yield f"  {_text(entry.at)}  {entry.kind:<9}  {entry.about}  {entry.type}{detail}"
    yield ""
    yield "what is waited for" if found.waiting else "nothing is waited for"
    for waiting in found.waiting:
        yield f"  {waiting.what}: {waiting.why}"
        if waiting.todo:
            yield f"    → {waiting.todo}"


def _text(at: datetime | None) -> str:
    return "" if at is None else at.isoformat(timespec="seconds")
