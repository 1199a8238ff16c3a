"""What happened, one line each: readable, or a JSON object for machines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.stripe.translation import HANDLED_TYPES


def _print(line: str) -> None:
    print(line, flush=True)


class Timeline:
    """Tells what happens as it happens, by the clock of Stripe once there is one.

    With `details` every webhook and every message is told of.
    """

    def __init__(self, *, as_json: bool = False, write: Callable[[str], None] = _print) -> None:
        self.clock: Callable[[], float] = time.time
        self.details = True
        self._as_json = as_json
        self._write = write

    def tell(self, who: str, what: str, **facts: Any) -> None:
        """Add a line. `facts` are for machines."""
        at = datetime.fromtimestamp(self.clock(), UTC)
        if self._as_json:
            line = {"at": at.isoformat(timespec="seconds"), "who": who, "what": what, **facts}
            self._write(json.dumps(line))
        else:
            self._write(f"{at:%Y-%m-%d %H:%M}  {who:<9} {what}")

    def tell_message(self, message: Mapping[str, Any]) -> None:
        """Add a message that the users service has taken in."""
        if self.details:
            data = message["data"]
            changed = "newStatus" in data and f" {data['oldStatus']} → {data['newStatus']}"
            kind = message["type"].removeprefix("payments.").removesuffix(".v1")
            self.tell(
                "message",
                f"{message['sequence']:>2}  {kind}{changed or ''}",
                type=message["type"],
                sequence=int(message["sequence"]),
                data=data,
            )

    def tell_event(self, answer: Any) -> None:
        """Add a webhook that Stripe is about to send; it shows everything it answers, too."""
        if self.details and answer.get("object") == "event" and answer["type"] in HANDLED_TYPES:
            self.tell("webhook", answer["type"], event=answer["id"])
