"""Sessions of the customer portal. (Stripe: API reference, Customer Portal)"""

from __future__ import annotations

from sandbox.stripe import errors, events, portal_configurations
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World


def create(world: World, call: Call) -> Json:
    params = call.params
    if "customer" not in params:
        raise errors.missing_parameter("customer")
    customer = world.store.living("customer", params["customer"], param="customer")
    if params.get("return_url"):
        errors.check_url(params["return_url"], "return_url")
    if "configuration" in params:
        configuration = world.store.get(
            "billing_portal.configuration", params["configuration"], param="configuration"
        )
    else:
        configuration = portal_configurations.default(world)
    id_ = world.ids.new("billing_portal.session")
    session = world.store.add(
        {
            "id": id_,
            "object": "billing_portal.session",
            "configuration": configuration["id"],
            "created": world.now(),
            "customer": customer["id"],
            "customer_account": None,
            "flow": None,
            "livemode": False,
            "locale": params.get("locale"),
            "on_behalf_of": None,
            "return_url": params.get("return_url") or configuration["default_return_url"],
            "url": f"{world.url}/p/session/{id_}",
        }
    )
    events.emit(world, "billing_portal.session.created", session)
    return session
