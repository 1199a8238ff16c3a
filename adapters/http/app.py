"""The HTTP application: its routes, and how it fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from litestar import Litestar, Router

from adapters.http.bodies import Bodies
from adapters.http.config import PublicSettings, config_route
from adapters.http.health import health_routes
from adapters.http.metrics import metrics_route
from adapters.http.openapi import WEBHOOK_PATH, openapi_config
from adapters.http.problems import HANDLERS
from adapters.http.request_log import Answers, TraceRequests
from adapters.http.webhook import webhook_route
from domain.plans import PriceList
from ports.health import HealthCheck
from ports.metrics import Metrics, MetricsPage
from service.receive_webhook import ReceiveWebhook
from service.uncounted import UNCOUNTED

_ANSWERS_TO_WEBHOOKS: Final = (200, 400, 408, 413, 500, 503)


def create_app(
    receive_webhook: ReceiveWebhook,
    prices: PriceList,
    public: PublicSettings,
    checks: Sequence[HealthCheck],
    routes: Sequence[Router] = (),
    *,
    page: MetricsPage,
    bodies: Bodies | None = None,
    metrics: Metrics = UNCOUNTED,
) -> Litestar:
    """The application with everything it needs. `routes` are those that users have, `page` is
    what Prometheus scrapes.
    """
    metrics.answers_expected(WEBHOOK_PATH, "POST", _ANSWERS_TO_WEBHOOKS)
    return Litestar(
        [
            webhook_route(receive_webhook, bodies),
            config_route(public, prices),
            *health_routes(checks),
            metrics_route(page),
            *routes,
        ],
        middleware=[TraceRequests()],
        before_send=[Answers(metrics)],
        exception_handlers=HANDLERS,
        openapi_config=openapi_config(),
        logging_config=None,
    )


def create_operations_app(checks: Sequence[HealthCheck], page: MetricsPage) -> Litestar:
    """What a worker serves: its health and its metrics, for operators alone."""
    return Litestar(
        [*health_routes(checks), metrics_route(page)],
        exception_handlers=HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
