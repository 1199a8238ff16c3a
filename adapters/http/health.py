"""GET /health/live and /health/ready: for orchestrators and gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example

from adapters.http import examples
from adapters.http.openapi import responses
from ports.health import Health, HealthCheck


class Check(msgspec.Struct):
    """One dependency; `hint` says what to do where it is not well."""

    name: str
    well: bool
    hint: str | None = None


class HealthView(msgspec.Struct):
    """`status` is `ok` or `unavailable`."""

    status: str
    checks: list[Check]


def health_routes(checks: Sequence[HealthCheck]) -> list[HTTPRouteHandler]:
    """The routes, bound to what readiness depends on."""

    @get(
        "/health/live",
        summary="The process answers",
        operation_id="live",
        tags=["operators"],
        responses=responses(HealthView, {"status": "ok", "checks": []}),
    )
    async def live() -> HealthView:
        """200 for as long as it can answer at all: restart it where it does not."""
        return HealthView("ok", [])

    # Whoever asks meanwhile is given the same: any number of probes take no more of the database's
    # connections, which webhooks need, than one.
    under_way: asyncio.Task[list[Health]] | None = None

    async def look() -> list[Health]:
        return [await check.check() for check in checks]

    @get(
        "/health/ready",
        summary="Webhooks can be taken",
        operation_id="ready",
        tags=["operators"],
        responses=responses(HealthView, examples.HEALTHY)
        | {
            503: ResponseSpec(
                HealthView,
                generate_examples=False,
                description="Something that is needed is not well.",
                examples=[Example(summary="no database", value=examples.UNHEALTHY)],
            )
        },
    )
    async def ready() -> Response[HealthView]:
        """503 where something that webhooks need is away: send them to another instance."""
        nonlocal under_way
        if under_way is None or under_way.done():
            under_way = asyncio.create_task(look())
        found = await asyncio.shield(under_way)  # one that goes away takes it from nobody
        well = all(one.well for one in found)
        view = HealthView(
            "ok" if well else "unavailable",
            [Check(one.name, one.well, one.hint) for one in found],
        )
        return Response(view, status_code=200 if well else 503)

    return [live, ready]
