"""GET /metrics: what Prometheus scrapes."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from ports.metrics import MetricsPage


def metrics_route(page: MetricsPage) -> HTTPRouteHandler:
    """The route, bound to the page. It is for operators, and no part of the API's document."""

    @get("/metrics", include_in_schema=False)
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        rendered = await page.render(request.headers.get("accept", ""))
        return Response(rendered.body, headers={"content-type": rendered.content_type})

    return metrics
