"""Products. (Stripe: API reference, Products)"""

from __future__ import annotations

from sandbox.stripe import errors, events, listing, metadata, prices
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World

_FIELDS = (
    "active",
    "description",
    "images",
    "name",
    "shippable",
    "statement_descriptor",
    "unit_label",
    "url",
)


def create(world: World, call: Call) -> Json:
    params = call.params
    if "id" in params and world.store.find(params["id"]) is not None:
        raise errors.ApiError("Product already exists.", code="resource_already_exists", param="id")
    product = world.store.add(
        {
            "id": params.get("id") or world.ids.new("product"),
            "object": "product",
            "active": True,
            "created": world.now(),
            "default_price": None,
            "description": None,
            "images": [],
            "livemode": False,
            "marketing_features": params.get("marketing_features", []),
            "metadata": metadata.new(params),
            "name": params["name"],
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": None,
            "tax_code": None,
            "type": "service",
            "unit_label": None,
            "updated": world.now(),
            "url": None,
        }
    )
    metadata.set_fields(product, params, *_FIELDS)
    if "default_price_data" in params:
        product["default_price"] = prices.add(
            world, params["default_price_data"] | {"product": product["id"]}
        )["id"]
    events.emit(world, "product.created", product)
    return product


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("product", id_)


def update(world: World, call: Call, id_: str) -> Json:
    product = world.store.living("product", id_)
    with events.change(world, product, "product.updated"):
        before = dict(product)
        metadata.set_fields(product, call.params, *_FIELDS, "marketing_features")
        metadata.update(product, call.params)
        if "default_price" in call.params:
            price = world.store.get("price", call.params["default_price"], param="default_price")
            product["default_price"] = price["id"]
        if product != before:
            product["updated"] = world.now()
    return product


def delete(world: World, call: Call, id_: str) -> Json:
    """A product with prices cannot be deleted, only archived."""
    product = world.store.living("product", id_)
    if any(price["product"] == id_ for price in world.store.all("price")):
        raise errors.ApiError(
            "This product cannot be deleted because it has one or more user-created prices."
        )
    events.emit(world, "product.deleted", product)
    return world.store.bury(product)


def list_(world: World, call: Call) -> Json:
    ids = call.params.get("ids")
    found = (
        product
        for product in world.store.all("product")
        if listing.matches(product, call.params, "active", "created", "shippable", "url")
        and (ids is None or product["id"] in ids)
    )
    return listing.page(world.store, found, call.params, "/v1/products")
