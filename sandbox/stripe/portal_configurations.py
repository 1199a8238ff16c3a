"""What the customer portal lets customers do. (Stripe: API reference, Customer Portal)"""

from __future__ import annotations

from typing import Any, Final

from sandbox.stripe import events, listing, metadata
from sandbox.stripe.store import Json, copy_of
from sandbox.stripe.world import Call, World

# What a feature is unless it is told otherwise.
_FEATURES: Final[Json] = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {
        "duration": {"interval_options": [], "type": "indefinite"},
        "enabled": False,
    },
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "products": None,
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}


def create(world: World, call: Call) -> Json:
    configuration = _new(world, call.params)
    events.emit(world, "billing_portal.configuration.created", configuration)
    return configuration


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("billing_portal.configuration", id_)


def update(world: World, call: Call, id_: str) -> Json:
    configuration = world.store.get("billing_portal.configuration", id_)
    with events.change(world, configuration, "billing_portal.configuration.updated"):
        _set(configuration, call.params)
        configuration["updated"] = world.now()
    return configuration


def list_(world: World, call: Call) -> Json:
    found = (
        configuration
        for configuration in world.store.all("billing_portal.configuration")
        if listing.matches(configuration, call.params, "active", "is_default")
    )
    return listing.page(world.store, found, call.params, "/v1/billing_portal/configurations")


def default(world: World) -> Json:
    """The configuration of sessions that name none; it is there from the first such session on."""
    for configuration in world.store.all("billing_portal.configuration"):
        if configuration["is_default"]:
            return configuration
    enabled = {"enabled": True}
    names = ("invoice_history", "payment_method_update", "subscription_cancel")
    configuration = _new(world, {"features": dict.fromkeys(names, enabled)})
    configuration["is_default"] = True
    return configuration


def _new(world: World, params: dict[str, Any]) -> Json:
    configuration = {
        "id": world.ids.new("billing_portal.configuration"),
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {
            "headline": None,
            "privacy_policy_url": None,
            "terms_of_service_url": None,
        },
        "created": world.now(),
        "default_return_url": None,
        "features": copy_of(_FEATURES),
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "name": None,
        "updated": world.now(),
    }
    _set(configuration, params)
    return world.store.add(configuration)


def _set(configuration: Json, params: dict[str, Any]) -> None:
    metadata.set_fields(configuration, params, "active", "default_return_url", "name")
    metadata.update(configuration, params)
    configuration["business_profile"].update(params.get("business_profile") or {})
    for name, given in params.get("features", {}).items():
        feature = configuration["features"][name]
        feature.update({key: value or None for key, value in given.items() if key == "products"})
        feature.update({key: value for key, value in given.items() if key != "products"})
    update_ = configuration["features"]["subscription_update"]
    for product in update_["products"] or ():
        product.setdefault("adjustable_quantity", {"enabled": False, "maximum": None, "minimum": 1})
