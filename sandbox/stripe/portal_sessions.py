"""Sessions of the customer portal. (Stripe: API reference, Customer Portal)"""

from __future__ import annotations

from typing import Any, Final

from sandbox.stripe import errors, events, portal_configurations
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World

# The flows that are played, and the feature of the configuration that each is about.
FLOWS: Final = {
    "payment_method_update": "payment_method_update",
    "subscription_cancel": "subscription_cancel",
    "subscription_update": "subscription_update",
}

# What a flow has besides, empty unless it is about just that.
_OTHER_FLOWS: Final = (
    "customer_update",
    "subscription_cancel",
    "subscription_pause",
    "subscription_update",
    "subscription_update_confirm",
)


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
    flow = _flow(world, customer, configuration, params.get("flow_data"))
    id_ = world.ids.new("billing_portal.session")
    session = world.store.add(
        {
            "id": id_,
            "object": "billing_portal.session",
            "configuration": configuration["id"],
            "created": world.now(),
            "customer": customer["id"],
            "customer_account": None,
            "flow": flow,
            "livemode": False,
            "locale": params.get("locale"),
            "on_behalf_of": None,
            "return_url": params.get("return_url") or configuration["default_return_url"],
            "url": f"{world.url}/p/session/{id_}",
        }
    )
    events.emit(world, "billing_portal.session.created", session)
    return session


def _flow(
    world: World, customer: Json, configuration: Json, given: dict[str, Any] | None
) -> Json | None:
    """The one thing the customer is to do in the portal. (Stripe: Customer portal deep links)"""
    if given is None:
        return None
    kind = given["type"]
    if kind not in FLOWS:
        raise errors.not_played(f"flow_data[type]={kind}")
    if not configuration["features"][FLOWS[kind]]["enabled"]:
        raise errors.invalid_parameter(
            f"The `{FLOWS[kind]}` feature is not enabled in this portal configuration.",
            "flow_data[type]",
        )
    about = given.get(kind)
    if kind != "payment_method_update":
        if about is None:
            raise errors.missing_parameter(f"flow_data[{kind}]")
        path = f"flow_data[{kind}][subscription]"
        subscription = world.store.get("subscription", about["subscription"], param=path)
        if subscription["customer"] != customer["id"]:
            raise errors.invalid_parameter("It is another customer's subscription.", path)
    after = given.get("after_completion") or {"type": "portal_homepage"}
    if after["type"] == "redirect":
        if "redirect" not in after:
            raise errors.missing_parameter("flow_data[after_completion][redirect]")
        errors.check_url(
            after["redirect"]["return_url"], "flow_data[after_completion][redirect][return_url]"
        )
    return {
        "after_completion": {
            "hosted_confirmation": after.get("hosted_confirmation"),
            "redirect": after.get("redirect"),
            "type": after["type"],
        },
        **dict.fromkeys(_OTHER_FLOWS),
        **{
            name: {"retention": None, **about} if name == "subscription_cancel" else about
            for name in ("subscription_cancel", "subscription_update")
            if name == kind and about is not None
        },
        "type": kind,
    }
