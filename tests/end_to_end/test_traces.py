"""Spans of real processes, as a collector gets them, over a restart in between."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from litestar import Litestar, Request, post
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.end_to_end.consumer import Inbox
from tests.end_to_end.processes import running
from tests.end_to_end.service import life
from tests.stripe_payloads import signed
from tests.stripe_stand_in import StripeStandIn

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Collector:
    """Takes spans over OTLP."""

    address: str
    spans: dict[str, Span] = field(default_factory=dict)
    resources: set[str] = field(default_factory=set)

    def take(self, body: bytes) -> None:
        """Keep what an exporter sends."""
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {one.key: one.value.string_value for one in group.resource.attributes}
            self.resources.add(names["service.name"])
            for scope in group.scope_spans:
                self.spans |= {span.name: span for span in scope.spans}


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    @post("/v1/traces", status_code=200)
    async def traces(request: Request[Any, Any, Any]) -> None:
        found.take(await request.body())

    listener = socket.create_server(("127.0.0.1", 0))
    found = Collector(f"http://127.0.0.1:{listener.getsockname()[1]}")
    server = uvicorn.Server(uvicorn.Config(Litestar([traces]), log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield found
    server.should_exit = True
    await serving


async def test_one_trace_leads_from_the_request_to_the_message_across_processes(
    environment: dict[str, str],
    stripe: StripeStandIn,
    inbox: Inbox,
    collector: Collector,
    tmp_path: Path,
) -> None:
    user = uuid4()
    traced = environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address}
    request = signed(life("sub_traced", user, stripe)[0])
    async with running("api", traced, tmp_path) as api:
        async with httpx.AsyncClient(base_url=api.address or "") as client:
            answer = await client.post(
                "/api/payments/webhook",
                content=request.body,
                headers={"stripe-signature": request.header, "traceparent": CALLER},
            )
            assert answer.status_code == 200
        api.signal(signal.SIGTERM)
        assert await api.wait() == 0
    # The one that received it is gone before the one that works it off begins.
    async with running("worker", traced, tmp_path) as worker:
        await inbox.until(lambda: len(inbox.events({str(user)})) == 1)
        worker.signal(signal.SIGTERM)
        assert await worker.wait() == 0

    assert collector.resources == {"payments"}
    received, processed, published = (
        collector.spans[name] for name in ("receive webhook", "process webhook", "publish message")
    )
    _, trace_id, caller_id, _ = CALLER.split("-")
    assert {span.trace_id.hex() for span in (received, processed, published)} == {trace_id}
    assert received.parent_span_id.hex() == caller_id
    assert processed.parent_span_id == received.span_id
    assert published.parent_span_id == processed.span_id
    (message,) = inbox.messages
    said = json.loads(message.body)["traceparent"].split("-")
    assert said[1:3] == [trace_id, processed.span_id.hex()]
    assert trace_id in worker.log


async def test_a_collector_that_is_away_holds_nothing_up(
    environment: dict[str, str], stripe: StripeStandIn, inbox: Inbox, tmp_path: Path
) -> None:
    user = uuid4()
    nowhere = environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    request = signed(life("sub_untraced", user, stripe)[0])
    async with running("serve", nowhere, tmp_path) as service:
        async with httpx.AsyncClient(base_url=service.address or "") as client:
            answer = await client.post(
                "/api/payments/webhook",
                content=request.body,
                headers={"stripe-signature": request.header},
            )
            assert answer.status_code == 200
        await inbox.until(lambda: len(inbox.events({str(user)})) == 1)
        service.signal(signal.SIGTERM)
        assert await service.wait() == 0
