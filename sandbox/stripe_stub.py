"""Just enough of Stripe's HTTP API for the service to look customers and prices up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Self

import uvicorn
from litestar import Litestar, Request, Response, get
from litestar.params import FromPath

LOOKUP_KEYS = (
    "general_monthly",
    "general_annual",
    "event_organizer_monthly",
    "event_organizer_annual",
)


def price(lookup_key: str) -> dict[str, Any]:
    """The price sold under this lookup key."""
    product, interval = lookup_key.rsplit("_", 1)
    return {
        "id": f"price_{lookup_key}",
        "object": "price",
        "lookup_key": lookup_key,
        "product": f"prod_{product}",
        "recurring": {"interval": "month" if interval == "monthly" else "year"},
    }


class StripeStub:
    """Serves a few customers and the prices on a port of its own."""

    def __init__(self) -> None:
        self.customers: dict[str, dict[str, Any]] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        started = asyncio.Event()

        async def note_start() -> None:
            started.set()

        app = Litestar(
            [self._customer_route(), prices],
            openapi_config=None,
            logging_config=None,
            on_startup=[note_start],
        )
        self._server = _QuietServer(uvicorn.Config(app, log_config=None, lifespan="on"))
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        await started.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._listener.close()

    def _customer_route(self) -> Any:
        @get("/v1/customers/{customer_id:str}")
        async def customer(customer_id: FromPath[str]) -> Response[dict[str, Any]]:
            found = self.customers.get(customer_id)
            if found is None:
                missing = {
                    "type": "invalid_request_error",
                    "code": "resource_missing",
                    "message": f"No such customer: '{customer_id}'",
                    "param": "id",
                }
                return Response({"error": missing}, status_code=404)
            return Response(found)

        return customer


@get("/v1/prices")
async def prices(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Every price, or those of one product."""
    product = request.query_params.get("product")
    data = [price(key) for key in LOOKUP_KEYS]
    return {
        "object": "list",
        "url": "/v1/prices",
        "has_more": False,
        "data": [p for p in data if product in (None, p["product"])],
    }


class _QuietServer(uvicorn.Server):
    """uvicorn, with Ctrl-C left to the sandbox."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
