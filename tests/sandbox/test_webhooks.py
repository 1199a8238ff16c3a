"""Webhooks: signed, delivered, tried again, and mistreated on demand."""

import json

import httpx
import pytest
import stripe

from sandbox.stripe.outbox import Mischief
from sandbox.stripe.server import StripeSandbox
from tests.sandbox.receiver import Receiver

HOUR = 60 * 60


async def _steer(sandbox: StripeSandbox, path: str, **body: object) -> dict[str, object]:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{sandbox.url}/sandbox/{path}", json=body)
    assert answer.status_code == 200, answer.text
    done: dict[str, object] = answer.json()
    return done


async def test_a_delivery_is_signed_as_the_sdk_expects_it(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    await client.v1.customers.create_async({"email": "jenny@example.com"})
    await stripe_sandbox.settle()
    headers, body = receiver.deliveries[0]
    event = stripe.Webhook.construct_event(
        body, headers["stripe-signature"], stripe_sandbox.webhook_secret
    )
    assert event.type == "customer.created"
    assert event.api_version == stripe.api_version
    assert not event.livemode


async def test_an_event_names_the_request_it_comes_from(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    made = await client.v1.customers.create_async({}, {"idempotency_key": "one"})
    await stripe_sandbox.settle()
    assert made.last_response is not None
    assert receiver.events[0]["request"] == {
        "id": made.last_response.request_id,
        "idempotency_key": "one",
    }
    assert receiver.events[0]["pending_webhooks"] == 1


async def test_an_update_tells_what_was_there_before(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    customer = await client.v1.customers.create_async({"name": "Jenny", "metadata": {"a": "1"}})
    await client.v1.customers.update_async(
        customer.id, {"name": "Jenny R.", "metadata": {"a": "2", "b": "3"}}
    )
    await stripe_sandbox.settle()
    assert receiver.types == ["customer.created", "customer.updated"]
    data = receiver.events[1]["data"]
    assert data["object"]["name"] == "Jenny R."
    assert data["previous_attributes"] == {"metadata": {"a": "1", "b": None}, "name": "Jenny"}


async def test_an_update_that_changes_nothing_is_no_event(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    customer = await client.v1.customers.create_async({"name": "Jenny"})
    await client.v1.customers.update_async(customer.id, {"name": "Jenny"})
    await stripe_sandbox.settle()
    assert receiver.types == ["customer.created"]


async def test_an_endpoint_is_sent_only_what_it_asked_for(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient
) -> None:
    async with Receiver() as receiver:
        endpoint = await client.v1.webhook_endpoints.create_async(
            {"url": receiver.url, "enabled_events": ["customer.updated"]}
        )
        customer = await client.v1.customers.create_async()
        await client.v1.customers.update_async(customer.id, {"name": "Jenny"})
        await stripe_sandbox.settle()
        assert receiver.types == ["customer.updated"]
        headers, body = receiver.deliveries[0]
        assert endpoint.secret is not None
        stripe.Webhook.construct_event(body, headers["stripe-signature"], endpoint.secret)


@pytest.mark.parametrize("url", ["example.com/hook", "ftp://example.com", "http://", "http://["])
async def test_an_endpoint_needs_an_address_on_the_web(
    client: stripe.StripeClient, url: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.webhook_endpoints.create_async({"url": url, "enabled_events": ["*"]})
    assert (refused.value.code, refused.value.param) == ("url_invalid", "url")


async def test_the_secret_of_an_endpoint_is_shown_once(client: stripe.StripeClient) -> None:
    endpoint = await client.v1.webhook_endpoints.create_async(
        {"url": "https://example.com/hook", "enabled_events": ["*"]}
    )
    assert endpoint.secret is not None
    shown = await client.v1.webhook_endpoints.retrieve_async(endpoint.id)
    assert "secret" not in shown.to_dict()
    disabled = await client.v1.webhook_endpoints.update_async(endpoint.id, {"disabled": True})
    assert disabled.status == "disabled"
    await client.v1.webhook_endpoints.delete_async(endpoint.id)
    assert not (await client.v1.webhook_endpoints.list_async()).data


async def test_an_event_of_an_endpoint_on_an_older_version_says_so(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient
) -> None:
    async with Receiver() as receiver:
        await client.v1.webhook_endpoints.create_async(
            {"url": receiver.url, "enabled_events": ["*"], "api_version": "2024-06-20"}
        )
        await client.v1.customers.create_async()
        await stripe_sandbox.settle()
        assert receiver.events[0]["api_version"] == "2024-06-20"


async def test_what_was_not_taken_is_sent_again_with_growing_gaps(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    receiver.status = 500
    await client.v1.customers.create_async()
    await stripe_sandbox.settle()
    seen = [len(receiver.deliveries)]
    for seconds in (5 * 60, HOUR, 3 * HOUR, 24 * HOUR):
        await stripe_sandbox.advance(seconds=seconds - 1)
        seen.append(len(receiver.deliveries))
        await stripe_sandbox.advance(seconds=1)
        seen.append(len(receiver.deliveries))
    assert seen == [1, 1, 2, 2, 3, 3, 4, 4, 4]
    assert len({event["id"] for event in receiver.events}) == 1


async def test_an_endpoint_that_cannot_be_reached_does_not_keep_the_others_waiting(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    for url in ("http://127.0.0.1:1/", "http://nowhere.invalid/x"):
        await client.v1.webhook_endpoints.create_async({"url": url, "enabled_events": ["*"]})
    await client.v1.customers.create_async()
    await stripe_sandbox.settle()
    assert receiver.types == ["customer.created"]
    assert receiver.events[0]["pending_webhooks"] == 3


async def test_a_jump_in_time_makes_every_attempt_on_its_way(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    receiver.status = 503
    await client.v1.customers.create_async()
    await stripe_sandbox.advance(days=180)
    assert len(receiver.deliveries) == 4


async def test_what_was_never_taken_can_be_found(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    await client.v1.customers.create_async({"name": "arrived"})
    await stripe_sandbox.settle()
    receiver.status = 500
    await client.v1.customers.create_async({"name": "missed"})
    await stripe_sandbox.settle()
    missed = await client.v1.events.list_async({"delivery_success": False})
    assert [event.data.object["name"] for event in missed.data] == ["missed"]
    assert (await client.v1.events.retrieve_async(missed.data[0].id)).pending_webhooks == 1
    receiver.status = 200
    await _steer(stripe_sandbox, "webhooks/recover")
    await stripe_sandbox.settle()
    assert not (await client.v1.events.list_async({"delivery_success": False})).data


async def test_events_are_found_by_type_and_time(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient
) -> None:
    customer = await client.v1.customers.create_async()
    await stripe_sandbox.advance(seconds=10)
    await client.v1.customers.update_async(customer.id, {"name": "Jenny"})
    await client.v1.products.create_async({"name": "Ticket"})
    listed = await client.v1.events.list_async({"types": ["customer.created", "customer.updated"]})
    assert [event.type for event in listed.data] == ["customer.updated", "customer.created"]
    late = await client.v1.events.list_async({"created": {"gt": customer.created}})
    assert [event.type for event in late.data] == ["product.created", "customer.updated"]


async def test_events_can_be_listed_for_thirty_days(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient
) -> None:
    await client.v1.customers.create_async()
    await stripe_sandbox.advance(days=30)
    assert len((await client.v1.events.list_async()).data) == 1
    await stripe_sandbox.advance(seconds=1)
    assert not (await client.v1.events.list_async()).data


async def test_events_are_duplicated_on_demand(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    await _steer(stripe_sandbox, "webhooks/mischief", duplicate=1)
    await client.v1.customers.create_async()
    await stripe_sandbox.settle()
    first, second = receiver.events
    assert first["id"] == second["id"]


async def test_events_are_lost_on_demand_and_can_be_recovered(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    await _steer(stripe_sandbox, "webhooks/mischief", lose=1, types=["customer.created"])
    customer = await client.v1.customers.create_async()
    await client.v1.customers.update_async(customer.id, {"name": "Jenny"})
    await stripe_sandbox.advance(days=30)
    assert receiver.types == ["customer.updated"]
    await _steer(stripe_sandbox, "webhooks/recover")
    await stripe_sandbox.settle()
    assert receiver.types == ["customer.updated", "customer.created"]


async def test_events_are_delayed_on_demand(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    stripe_sandbox.outbox.mischief = Mischief(
        delay=1, delay_seconds=HOUR, types=["customer.created"]
    )
    customer = await client.v1.customers.create_async()
    await client.v1.customers.update_async(customer.id, {"name": "Jenny"})
    await stripe_sandbox.settle()
    assert receiver.types == ["customer.updated"]
    await stripe_sandbox.advance(hours=1)
    assert receiver.types == ["customer.updated", "customer.created"]


@pytest.mark.parametrize(
    ("order", "names"),
    [("created", ["0", "1", "2", "3"]), ("reversed", ["3", "2", "1", "0"])],
)
async def test_events_are_held_back_and_released_in_any_order(
    stripe_sandbox: StripeSandbox,
    client: stripe.StripeClient,
    receiver: Receiver,
    order: str,
    names: list[str],
) -> None:
    await _steer(stripe_sandbox, "webhooks/hold")
    for name in range(4):
        await client.v1.customers.create_async({"name": str(name)})
    await stripe_sandbox.settle()
    assert not receiver.deliveries
    await _steer(stripe_sandbox, "webhooks/release", order=order)
    await stripe_sandbox.settle()
    assert [event["data"]["object"]["name"] for event in receiver.events] == names


async def test_what_was_sent_before_is_held_back_too(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    """Neither a retry nor what is delayed leaves before the release."""
    receiver.status = 500
    await client.v1.customers.create_async()
    await stripe_sandbox.settle()
    receiver.status = 200
    receiver.deliveries.clear()
    await _steer(stripe_sandbox, "webhooks/mischief", delay=1, delay_seconds=HOUR)
    await client.v1.products.create_async({"name": "Ticket"})
    await _steer(stripe_sandbox, "webhooks/hold")
    await stripe_sandbox.advance(hours=2)
    assert receiver.types == []
    await _steer(stripe_sandbox, "webhooks/release")
    await stripe_sandbox.settle()
    assert sorted(receiver.types) == ["customer.created", "product.created"]


async def test_one_event_is_sent_once_more_on_demand(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    await client.v1.customers.create_async()
    await stripe_sandbox.settle()
    await _steer(stripe_sandbox, f"events/{receiver.events[0]['id']}/resend")
    await stripe_sandbox.settle()
    assert len(receiver.deliveries) == 2
    assert receiver.deliveries[0][1] != b""
    assert json.loads(receiver.deliveries[1][1])["id"] == receiver.events[0]["id"]


async def test_which_events_mischief_befalls_can_be_repeated() -> None:
    mischief = Mischief(lose=0.5)
    events = [{"id": f"evt_{n}", "type": "customer.created"} for n in range(400)]
    lost = [event["id"] for event in events if mischief.befalls("lose", event)]
    assert lost == [event["id"] for event in events if Mischief(lose=0.5).befalls("lose", event)]
    assert 150 < len(lost) < 250


async def test_the_status_tells_what_became_of_every_delivery(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    await client.v1.customers.create_async()
    await stripe_sandbox.settle()
    async with httpx.AsyncClient(trust_env=False) as http:
        status = (await http.get(f"{stripe_sandbox.url}/sandbox/status")).json()
    assert status["deliveries"] == {"delivered": 1}
    assert status["customers"] == 1
    assert status["now"] == stripe_sandbox.clock.now()


async def test_after_thirty_days_an_event_is_gone_unless_it_has_still_to_arrive(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver
) -> None:
    await client.v1.customers.create_async()
    await stripe_sandbox.settle()
    (arrived,) = receiver.events
    receiver.status = 500
    await client.v1.products.create_async({"name": "x"})
    await stripe_sandbox.advance(days=31)
    (missed,) = {event["id"] for event in receiver.events if event["type"] == "product.created"}
    for id_ in (arrived["id"], missed):
        with pytest.raises(stripe.InvalidRequestError, match="No such event"):
            await client.v1.events.retrieve_async(id_)
    receiver.status = 200
    kept = [event["id"] for event in stripe_sandbox.world.store.all("event")]
    assert arrived["id"] not in kept
    receiver.deliveries.clear()
    await _steer(stripe_sandbox, "webhooks/recover")
    await stripe_sandbox.settle()
    assert [event["id"] for event in receiver.events] == [missed]
