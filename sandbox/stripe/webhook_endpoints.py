"""Webhook endpoints. (Stripe: API reference, Webhook endpoints)"""

from __future__ import annotations

from sandbox.stripe import errors, listing, metadata
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World


def create(world: World, call: Call) -> Json:
    """Only this answer shows the signing secret."""
    endpoint = add(world, call.params["url"], call.params["enabled_events"])
    endpoint["api_version"] = call.params.get("api_version")
    endpoint["description"] = call.params.get("description")
    metadata.update(endpoint, call.params)
    return endpoint | {"secret": world.store.note(endpoint)["secret"]}


def add(world: World, url: str, enabled_events: list[str], secret: str | None = None) -> Json:
    """Register an endpoint; without a secret it gets one of its own."""
    errors.check_url(url, "url")
    endpoint = world.store.add(
        {
            "id": world.ids.new("webhook_endpoint"),
            "object": "webhook_endpoint",
            "api_version": None,
            "application": None,
            "created": world.now(),
            "description": None,
            "enabled_events": enabled_events,
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": url,
        }
    )
    world.store.note(endpoint)["secret"] = secret or f"whsec_{world.ids.secret(32)}"
    return endpoint


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("webhook_endpoint", id_)


def update(world: World, call: Call, id_: str) -> Json:
    endpoint = world.store.get("webhook_endpoint", id_)
    for name in ("description", "enabled_events", "url"):
        if name in call.params:
            endpoint[name] = call.params[name] or None
    if "disabled" in call.params:
        endpoint["status"] = "disabled" if call.params["disabled"] else "enabled"
    metadata.update(endpoint, call.params)
    return endpoint


def delete(world: World, call: Call, id_: str) -> Json:
    endpoint = world.store.get("webhook_endpoint", id_)
    world.store.remove(endpoint)
    return {"id": id_, "object": "webhook_endpoint", "deleted": True}


def list_(world: World, call: Call) -> Json:
    return listing.page(
        world.store, world.store.all("webhook_endpoint"), call.params, "/v1/webhook_endpoints"
    )
