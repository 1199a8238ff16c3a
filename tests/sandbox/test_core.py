"""The core of the protocol: keys, errors, pages, expansion, idempotency.

Everything goes through the official SDK over HTTP.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from sandbox.stripe.server import StripeSandbox
from tests.sandbox.shop import Shop

Connect = Callable[..., stripe.StripeClient]


@pytest.mark.parametrize("key", ["sk_live_0123456789abcdef", "sk_test_somebody_elses_key"])
async def test_a_key_that_is_not_the_sandboxs_is_refused(connect: Connect, key: str) -> None:
    with pytest.raises(stripe.AuthenticationError) as refused:
        await connect(key).v1.customers.list_async()
    assert refused.value.http_status == 401


async def test_a_publishable_key_may_not_do_what_the_shop_does(
    stripe_sandbox: StripeSandbox, connect: Connect
) -> None:
    with pytest.raises(stripe.AuthenticationError, match="publishable"):
        await connect(stripe_sandbox.publishable_key).v1.customers.list_async()


async def test_every_answer_names_its_request_and_the_version_it_speaks(
    client: stripe.StripeClient,
) -> None:
    customer = await client.v1.customers.create_async({"email": "jenny@example.com"})
    assert customer.last_response is not None
    headers = customer.last_response.headers
    assert headers["Request-Id"].startswith("req_")
    assert headers["Stripe-Version"] == stripe.api_version


async def test_another_version_of_the_api_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="2020-08-27"):
        await client.v1.customers.list_async(options={"stripe_version": "2020-08-27"})


async def test_what_does_not_exist_is_missing_under_its_own_code(
    client: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await client.v1.customers.retrieve_async("cus_nobody")
    assert missing.value.http_status == 404
    assert missing.value.code == "resource_missing"
    assert missing.value.param == "id"


async def test_what_a_parameter_names_and_does_not_exist_is_a_bad_request(
    client: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await client.v1.prices.create_async(
            {"currency": "usd", "unit_amount": 1, "product": "prod_none"}
        )
    assert (missing.value.http_status, missing.value.code) == (400, "resource_missing")
    assert missing.value.param == "product"


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"address": {"planet": "Mars"}}, "parameter_unknown", "address[planet]"),
        ({"balance": "plenty"}, "parameter_invalid_integer", "balance"),
        ({"email": ""}, "parameter_invalid_empty", "email"),
    ],
)
async def test_a_parameter_that_stripe_would_refuse_is_refused_by_name(
    client: stripe.StripeClient, params: stripe.params.CustomerCreateParams, code: str, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.customers.create_async(params)
    assert (refused.value.code, refused.value.param) == (code, param)


async def test_a_value_out_of_an_enumeration_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="must be one of day, month") as refused:
        await client.v1.prices.create_async(
            {
                "currency": "usd",
                "unit_amount": 1,
                "product_data": {"name": "x"},
                "recurring": {"interval": "fortnight"},
            }
        )
    assert refused.value.param == "recurring[interval]"


async def test_a_parameter_that_is_not_played_is_refused_rather_than_ignored(
    client: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="does not play") as refused:
        await client.v1.customers.create_async({"tax_exempt": "exempt"})
    assert refused.value.param == "tax_exempt"


async def test_a_missing_parameter_is_named(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.products.create_async({})  # type: ignore[typeddict-item]
    assert (refused.value.code, refused.value.param) == ("parameter_missing", "name")


async def test_a_list_is_paged_through_from_the_newest_on(client: stripe.StripeClient) -> None:
    made = [(await client.v1.customers.create_async({"name": str(n)})).id for n in range(5)]
    first = await client.v1.customers.list_async({"limit": 2})
    assert [c.id for c in first.data] == [made[4], made[3]]
    assert first.has_more
    everyone = [c.id async for c in first.auto_paging_iter()]
    assert everyone == made[::-1]


async def test_a_list_is_paged_backwards_from_a_cursor(client: stripe.StripeClient) -> None:
    made = [(await client.v1.customers.create_async({"name": str(n)})).id for n in range(4)]
    page = await client.v1.customers.list_async({"limit": 2, "ending_before": made[0]})
    assert [c.id for c in page.data] == [made[2], made[1]]
    assert page.has_more


async def test_a_list_goes_on_after_what_has_ceased_to_fit(
    client: stripe.StripeClient, shop: Shop
) -> None:
    """As when a subscription ends, or a price is archived, between one page and the next."""
    made = [(await shop.price()).id for _ in range(4)]
    await client.v1.prices.update_async(made[2], {"active": False})
    after = await client.v1.prices.list_async({"active": True, "starting_after": made[2]})
    assert [price.id for price in after.data] == [made[1], made[0]]
    before = await client.v1.prices.list_async({"active": True, "ending_before": made[2]})
    assert [price.id for price in before.data] == [made[3]]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.prices.list_async({"starting_after": "price_of_nobody"})
    assert refused.value.param == "starting_after"


async def test_a_limit_beyond_a_hundred_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.customers.list_async({"limit": 101})
    assert refused.value.param == "limit"


async def test_an_id_is_expanded_into_its_object_at_any_depth(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    shown = await client.v1.subscriptions.retrieve_async(
        subscription.id,
        {"expand": ["customer", "items.data.price.product", "latest_invoice.payments"]},
    )
    assert isinstance(shown.customer, stripe.Customer)
    assert isinstance(shown["items"].data[0].price.product, stripe.Product)
    assert isinstance(shown.latest_invoice, stripe.Invoice)
    assert shown.latest_invoice.payments is not None
    assert shown.latest_invoice.payments.data[0].status == "paid"


async def test_what_cannot_be_expanded_is_refused(client: stripe.StripeClient, shop: Shop) -> None:
    customer = await shop.customer()
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await client.v1.customers.retrieve_async(customer.id, {"expand": ["email"]})


async def test_metadata_is_merged_and_an_empty_value_removes_its_key(
    client: stripe.StripeClient,
) -> None:
    customer = await client.v1.customers.create_async({"metadata": {"a": "1", "b": "2"}})
    changed = await client.v1.customers.update_async(customer.id, {"metadata": {"a": "", "c": "3"}})
    assert changed.to_dict()["metadata"] == {"b": "2", "c": "3"}


async def test_a_deleted_customer_is_still_shown_as_deleted(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async()
    assert (await client.v1.customers.delete_async(customer.id)).deleted
    shown = await client.v1.customers.retrieve_async(customer.id)
    assert shown.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.customers.update_async(customer.id, {"name": "x"})


async def test_a_repeated_request_is_answered_as_the_first_time(
    client: stripe.StripeClient,
) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "one"}
    first = await client.v1.customers.create_async({"name": "Jenny"}, options)
    again = await client.v1.customers.create_async({"name": "Jenny"}, options)
    assert again.id == first.id
    assert first.last_response is not None
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.request_id
    assert len((await client.v1.customers.list_async()).data) == 1


async def test_a_key_used_for_another_request_is_refused(client: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "one"}
    await client.v1.customers.create_async({"name": "Jenny"}, options)
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.customers.create_async({"name": "John"}, options)


async def test_a_request_that_was_refused_for_its_parameters_leaves_its_key_unused(
    client: stripe.StripeClient,
) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "one"}
    unknown: Any = {"colour": "red"}
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.customers.create_async(unknown, options)
    assert (await client.v1.customers.create_async({"name": "Jenny"}, options)).name == "Jenny"


@pytest.mark.parametrize("executed", [True, False])
async def test_a_failure_of_the_server_is_repeated_under_its_key_too(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, executed: bool
) -> None:
    stripe_sandbox.control.add_fault("/v1/customers", executed=executed)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            await client.v1.customers.create_async({}, {"idempotency_key": "one"})
        assert failed.value.http_status == 500
    assert len((await client.v1.customers.list_async()).data) == int(executed)


async def test_a_rate_limit_leaves_the_key_unused(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient
) -> None:
    stripe_sandbox.control.add_fault("/v1/customers", status=429)
    options: stripe.RequestOptions = {"idempotency_key": "one"}
    with pytest.raises(stripe.RateLimitError):
        await client.v1.customers.create_async({}, options)
    assert (await client.v1.customers.create_async({}, options)).id.startswith("cus_")


async def test_two_requests_under_one_key_at_once_are_a_conflict(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient
) -> None:
    stripe_sandbox.control.add_fault("/v1/customers", status=None, hold=True)
    options: stripe.RequestOptions = {"idempotency_key": "one"}
    attempts = [
        asyncio.ensure_future(client.v1.customers.create_async({}, options)) for _ in range(2)
    ]
    done, waiting = await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
    error = done.pop().exception()
    assert isinstance(error, stripe.StripeError)
    assert error.http_status == 409
    assert error.error is not None
    assert error.error.code == "idempotency_key_in_use"
    stripe_sandbox.control.release_faults()
    assert (await waiting.pop()).id.startswith("cus_")


async def test_a_key_is_forgotten_after_more_than_a_day(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient
) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "one"}
    first = await client.v1.customers.create_async({}, options)
    await stripe_sandbox.advance(days=1)
    assert (await client.v1.customers.create_async({}, options)).id == first.id
    await stripe_sandbox.advance(seconds=1)
    assert (await client.v1.customers.create_async({}, options)).id != first.id


async def test_the_same_seed_gives_the_same_ids() -> None:
    ids = []
    for _ in range(2):
        async with StripeSandbox(seed="seed") as sandbox:
            ids.append(sandbox.listen("http://localhost")["id"])
    assert ids[0] == ids[1]
