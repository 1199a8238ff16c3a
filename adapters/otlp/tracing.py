"""Sends spans to an OpenTelemetry collector, in batches and from a thread of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import Tracer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

# Seconds for one export, its retries included. A collector that is away must not hold up the end
# of the process for longer than an orchestrator is patient.
_EXPORT_MAY_TAKE: Final = 3.0


class OtlpTracing:
    """A tracer where there is a collector; `tracer` is None where there is none.

    `endpoint` is the collector's base address. The SDK itself reads OTEL_SERVICE_NAME,
    OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and OTEL_EXPORTER_OTLP_HEADERS.
    """

    def __init__(self, endpoint: str | None) -> None:
        self.tracer: Tracer | None = None
        self._provider: TracerProvider | None = None
        if endpoint is None:
            return
        # Imported here, because it is ten megabytes that nobody needs without a collector.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "payments"}), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(
            endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_MAY_TAKE
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self._provider.get_tracer("payments")

    async def close(self) -> None:
        """Send what is left, as far as the collector takes it."""
        if self._provider is not None:
            await asyncio.to_thread(self._provider.shutdown)
