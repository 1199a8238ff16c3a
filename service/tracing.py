"""One trace from the webhook to the published message, as a W3C `traceparent`.

The value is stored with the webhook and copied into its messages, so that the trace survives
the hops between processes and restarts.
"""

from __future__ import annotations

import re
from secrets import token_hex

# W3C Trace Context: version 00, trace id, parent id, flags. All-zero ids are invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def continue_trace(traceparent: str | None) -> str:
    """A new span of the caller's trace, or of a new trace where the caller has no valid one."""
    caller = _TRACEPARENT.fullmatch(traceparent or "")
    trace_id, flags = caller.groups() if caller else (token_hex(16), "01")
    return f"00-{trace_id}-{token_hex(8)}-{flags}"
