"""`payments doctor`: a line for each thing, with what to do; 1 where something does not work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Final, Protocol

from ports.diagnosis import Finding, Grade
from service.doctor import examine_settings
from service.settings import Settings, load_what_is_usable

# The users service's own name for it.
_QUEUE: Final = "users.payments"


class Diagnose(Protocol):
    """Looks at everything these settings lead to."""

    def __call__(self, settings: Settings, *, queue: str) -> list[Finding]: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--queue", default=_QUEUE, help=f"the queue of the users service (default {_QUEUE})"
    )


def run(options: argparse.Namespace, environment: Mapping[str, str], diagnose: Diagnose) -> int:
    """Carry the command out."""
    settings, problems = load_what_is_usable("doctor", environment)
    found = examine_settings(settings, problems) + diagnose(settings, queue=options.queue)
    for finding in found:
        sys.stdout.write(f"{finding.grade:<4}  {finding.subject}: {finding.said}\n")
        if finding.todo:
            sys.stdout.write(f"      → {finding.todo}\n")
    failed = sum(finding.grade is Grade.FAIL for finding in found)
    warned = sum(finding.grade is Grade.WARN for finding in found)
    sys.stdout.write(f"{len(found)} looked at: {failed} fail, {warned} warn\n")
    return 1 if failed else 0
