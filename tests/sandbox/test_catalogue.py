"""Products and prices."""

import pytest
import stripe

from tests.sandbox.shop import Shop


async def test_a_price_is_found_by_its_lookup_key(client: stripe.StripeClient, shop: Shop) -> None:
    await shop.price(lookup_key="general_annual")
    wanted = await shop.price(lookup_key="general_monthly")
    found = await client.v1.prices.list_async({"lookup_keys": ["general_monthly", "other"]})
    assert [price.id for price in found.data] == [wanted.id]


async def test_a_lookup_key_in_use_is_refused(shop: Shop) -> None:
    await shop.price(lookup_key="general_monthly")
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        await shop.price(lookup_key="general_monthly")


async def test_a_new_price_takes_the_lookup_key_over(
    client: stripe.StripeClient, shop: Shop
) -> None:
    old = await shop.price(1000, lookup_key="general_monthly")
    new = await client.v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": 1200,
            "product": str(old.product),
            "recurring": {"interval": "month"},
            "lookup_key": "general_monthly",
            "transfer_lookup_key": True,
        }
    )
    assert new.lookup_key == "general_monthly"
    assert (await client.v1.prices.retrieve_async(old.id)).lookup_key is None
    changed = (await client.v1.events.list_async({"type": "price.updated"})).data[0]
    assert changed.to_dict()["data"]["previous_attributes"] == {"lookup_key": "general_monthly"}


async def test_prices_are_listed_by_product_and_whether_they_are_active(
    client: stripe.StripeClient, shop: Shop
) -> None:
    price = await shop.price()
    await shop.price()
    product = str(price.product)
    found = await client.v1.prices.list_async({"product": product})
    assert [found.id for found in found.data] == [price.id]
    await client.v1.prices.update_async(price.id, {"active": False})
    assert not (await client.v1.prices.list_async({"product": product, "active": True})).data


async def test_a_product_with_prices_is_archived_not_deleted(
    client: stripe.StripeClient, shop: Shop
) -> None:
    price = await shop.price()
    with pytest.raises(stripe.InvalidRequestError, match="cannot be deleted"):
        await client.v1.products.delete_async(str(price.product))
    archived = await client.v1.products.update_async(str(price.product), {"active": False})
    assert not archived.active
    assert not (await client.v1.products.list_async({"active": True})).data


async def test_a_product_may_come_with_its_price(client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async(
        {"name": "Ticket", "default_price_data": {"currency": "usd", "unit_amount": 500}}
    )
    price = await client.v1.prices.retrieve_async(str(product.default_price))
    assert (price.unit_amount, price.type, price.recurring) == (500, "one_time", None)
