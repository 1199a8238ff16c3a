"""The HTTP application: its routes, and how it fails."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Litestar, Router

from adapters.http.bodies import Bodies
from adapters.http.config import PublicSettings, config_route
from adapters.http.health import health_routes
from adapters.http.openapi import openapi_config
from adapters.http.problems import HANDLERS
from adapters.http.webhook import webhook_route
from domain.plans import PriceList
from ports.health import HealthCheck
from service.receive_webhook import ReceiveWebhook


def create_app(
    receive_webhook: ReceiveWebhook,
    prices: PriceList,
    public: PublicSettings,
    checks: Sequence[HealthCheck],
    routes: Sequence[Router] = (),
    bodies: Bodies | None = None,
) -> Litestar:
    """The application with everything it needs. `routes` are those that users have."""
    return Litestar(
        [
            webhook_route(receive_webhook, bodies),
            config_route(public, prices),
            *health_routes(checks),
            *routes,
        ],
        exception_handlers=HANDLERS,
        openapi_config=openapi_config(),
        logging_config=None,
    )
