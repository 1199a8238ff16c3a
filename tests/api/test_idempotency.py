"""The same key and body get the same answer."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from ports.idempotency import Begun, KeyedRequest, UnderWay
from tests.api.conftest import ANNUAL, MONTHLY, World
from tests.api.stripe_api import Refused, card_declined


async def test_the_answer_is_given_again(world: World) -> None:
    user = world.somebody()

    first = await user.checkout(Idempotency_Key="a")
    world.stripe.complete(first.json()["sessionId"])
    second = await user.checkout(Idempotency_Key="a")

    assert second.status_code == 200
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers


async def test_a_refusal_is_an_answer_too(world: World) -> None:
    user = world.somebody()
    world.stripe.fail("/v1/subscriptions$", card_declined())
    world.stripe.fail("/v1/subscriptions$", card_declined())

    first = await user.subscribe(Idempotency_Key="a")
    world.stripe.failures.clear()
    second = await user.subscribe(Idempotency_Key="a")
    anew = await user.subscribe(Idempotency_Key="b")

    assert (first.status_code, second.status_code, anew.status_code) == (402, 402, 200)
    assert first.json() == second.json()


async def test_the_same_key_with_another_body_is_refused(world: World) -> None:
    user = world.somebody()
    await user.checkout(MONTHLY, Idempotency_Key="a")

    answer = await user.checkout(ANNUAL, Idempotency_Key="a")
    elsewhere = await user.subscribe(MONTHLY, Idempotency_Key="a")

    for refused in (answer, elsewhere):
        assert refused.status_code == 422
        assert refused.json()["type"] == "urn:payments:problem:idempotency-key-reused"


async def test_users_do_not_share_their_keys(world: World) -> None:
    one = await world.somebody().checkout(Idempotency_Key="a")
    other = await world.somebody().checkout(Idempotency_Key="a")

    assert one.json()["sessionId"] != other.json()["sessionId"]


async def test_of_several_at_once_one_is_carried_out(world: World) -> None:
    for _ in range(50):
        user = world.somebody()
        answers = await asyncio.gather(*(user.checkout(Idempotency_Key="a") for _ in range(3)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses[0] == 200
        assert set(statuses) <= {200, 409}
        assert len({answer.content for answer in answers if answer.status_code == 200}) == 1

    assert len(world.stripe.all("checkout.session")) == 50


async def test_while_one_is_carried_out_another_is_told_to_wait(world: World) -> None:
    user = world.somebody()
    world.stripe.released.clear()
    first = asyncio.create_task(user.checkout(Idempotency_Key="a"))
    await world.stripe.reached.wait()

    answer = await user.checkout(Idempotency_Key="a")

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:payments:problem:request-under-way"
    assert answer.headers["retry-after"] == "1"
    world.stripe.released.set()
    assert (await first).status_code == 200


async def test_a_request_that_was_broken_off_can_be_made_again(world: World) -> None:
    user = world.somebody()
    world.stripe.released.clear()
    first = asyncio.create_task(user.checkout(Idempotency_Key="a"))
    await world.stripe.reached.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    world.stripe.released.set()

    assert (await user.checkout(Idempotency_Key="a")).status_code == 200


async def test_a_request_whose_process_died_can_be_made_again_after_a_while(world: World) -> None:
    keys, now = world.container.idempotency_keys(), world.clock.now()
    request = KeyedRequest(uuid4(), "a", b"digest")
    assert await keys.begin(request, now) == Begun()

    assert await keys.begin(request, now + timedelta(minutes=4)) == UnderWay()
    assert await keys.begin(request, now + timedelta(minutes=6)) == Begun()


async def test_an_outage_is_no_answer_to_keep(world: World) -> None:
    user = world.somebody()
    world.stripe.fail("/v1/customers", Refused(500, "oops", type="api_error"))

    assert (await user.checkout(Idempotency_Key="a")).status_code == 503
    assert (await user.checkout(Idempotency_Key="a")).status_code == 200


async def test_a_key_is_forgotten_after_a_day(world: World) -> None:
    user = world.somebody()
    await user.checkout(MONTHLY, Idempotency_Key="a")
    world.clock.move(hours=25)

    assert (await user.checkout(ANNUAL, Idempotency_Key="a")).status_code == 200


async def test_a_key_has_a_form(world: World) -> None:
    for key in ("", "x" * 256, "a b"):
        answer = await world.somebody().checkout(Idempotency_Key=key)
        assert answer.status_code == 400


async def test_a_body_that_is_too_large_is_refused_with_or_without_a_key(world: World) -> None:
    user = world.somebody()
    for headers in ({}, {"Idempotency_Key": "a"}):
        answer = await user("POST", "/subscriptions", {"priceId": "x" * 20_000}, **headers)
        assert answer.status_code == 413
        assert answer.json()["type"] == "urn:payments:problem:body-too-large"
