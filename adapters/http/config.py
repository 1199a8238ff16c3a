"""GET /api/payments/config: what a page needs to sell."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from adapters.http import examples
from adapters.http.openapi import responses
from domain.plans import PriceList


@dataclass(frozen=True, slots=True)
class PublicSettings:
    """What anyone may know. The publishable key is made to be public."""

    publishable_key: str
    currency: str
    trial_period_days: int


class PlanPrice(msgspec.Struct, rename="camel"):
    """One price of a plan; `amount` in minor currency units.

    `price_id` is null until the provider was asked for it.
    """

    lookup_key: str
    price_id: str | None
    interval: str
    amount: int
    currency: str


class PlanView(msgspec.Struct, rename="camel"):
    """A plan and its prices."""

    plan: str
    prices: list[PlanPrice]


class ConfigView(msgspec.Struct, rename="camel"):
    """What a page needs to sell."""

    publishable_key: str
    currency: str
    trial_period_days: int
    plans: list[PlanView]


def config_route(public: PublicSettings, prices: PriceList) -> HTTPRouteHandler:
    """The route, bound to what it shows."""

    @get(
        "/api/payments/config",
        summary="What a page needs to sell",
        operation_id="config",
        tags=["public"],
        responses=responses(ConfigView, examples.CONFIG),
    )
    async def config() -> ConfigView:
        """For anyone: Stripe's publishable key, the length of the trial, plans and prices."""
        plans: dict[str, PlanView] = {}
        for offer, price_id in prices.on_sale():
            plan = plans.setdefault(str(offer.plan), PlanView(str(offer.plan), []))
            plan.prices.append(
                PlanPrice(
                    lookup_key=offer.lookup_key,
                    price_id=price_id,
                    interval=str(offer.interval),
                    amount=offer.price.amount,
                    currency=offer.price.currency,
                )
            )
        return ConfigView(
            public.publishable_key,
            public.currency,
            public.trial_period_days,
            list(plans.values()),
        )

    return config
