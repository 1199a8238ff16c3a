"""One trace from the webhook to the published message, as a W3C `traceparent`.

The value is stored with the webhook and copied into its messages, so that the trace survives
the hops between processes and restarts. Spans are made only where somebody collects them; the
trace id is there in any case, for the logs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from time import monotonic
from typing import Final

from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# W3C Trace Context: version 00, trace id, parent id, flags. All-zero ids are invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_SAMPLED: Final = 0x01
# Traces that a process begins, or lets a caller begin. They cost it about a hundredth of its time.
MOST_A_SECOND: Final = 100
_propagator = TraceContextTextMapPropagator()


def continue_trace(traceparent: str | None) -> str:
    """A new span of the caller's trace, or of a new trace where the caller has no valid one."""
    caller = _TRACEPARENT.fullmatch(traceparent or "")
    ids = token_hex(24)  # at once: asking for random numbers is what takes time
    trace_id, flags = caller.groups() if caller else (ids[16:], "01")
    return f"00-{trace_id}-{ids[:16]}-{flags}"


def trace_id_of(traceparent: str) -> str:
    """The id under which all of a trace is found."""
    return traceparent[3:35]


@dataclass(frozen=True, slots=True)
class TracedStep:
    """One step of a trace; what follows from it continues `traceparent`."""

    traceparent: str
    _span: Span

    def end(self, error: str | None = None, **attributes: str | int) -> None:
        """It is over, well or with an error."""
        self._span.set_attributes(attributes)
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


class Traces:
    """Makes spans with a tracer; without one it makes none.

    A trace is recorded whole or not at all: its first step here, the receipt of a webhook, decides,
    and the `traceparent` tells the others. Beyond MOST_A_SECOND nothing is recorded, since making
    and sending a span takes a third as long as all that is done for a webhook.
    """

    def __init__(
        self, tracer: Tracer | None = None, *, monotonic: Callable[[], float] = monotonic
    ) -> None:
        self._tracer = tracer
        self._monotonic = monotonic
        self._second = 0
        self._begun = 0

    @property
    def collected(self) -> bool:
        """Whether somebody collects spans."""
        return self._tracer is not None

    def begin(
        self, name: str, traceparent: str | None, kind: SpanKind, **attributes: str | int
    ) -> TracedStep | None:
        """A step that follows from `traceparent`; None where it is not recorded."""
        if self._tracer is None or not self._is_recorded(traceparent, kind):
            return None
        # A header that is not as it should be begins a trace of its own.
        parent = _propagator.extract({"traceparent": traceparent} if traceparent else {})
        span = self._tracer.start_span(name, parent, kind, attributes=attributes)
        context = span.get_span_context()
        if not context.is_valid:  # the SDK was told to make none (OTEL_SDK_DISABLED)
            return None
        return TracedStep(
            f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}"
            f"-{context.trace_flags:02x}",
            span,
        )

    def unrecorded(self, traceparent: str | None) -> str:
        """What follows from this where it is not recorded."""
        ours = continue_trace(traceparent)
        if not self.collected:
            return ours
        return f"{ours[:-2]}{int(ours[-2:], 16) & ~_SAMPLED:02x}"

    def _is_recorded(self, traceparent: str | None, kind: SpanKind) -> bool:
        caller = _TRACEPARENT.fullmatch(traceparent or "")
        if caller is not None and not int(caller[2], 16) & _SAMPLED:
            return False
        if kind is not SpanKind.SERVER:
            return True
        second = int(self._monotonic())
        if second != self._second:
            self._second, self._begun = second, 0
        self._begun += 1
        return self._begun <= MOST_A_SECOND


# Where nobody collects.
UNTRACED = Traces()
