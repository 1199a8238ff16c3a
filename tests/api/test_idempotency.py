"""The same key and request get the same answer, once something was done."""

import asyncio
from collections.abc import MutableMapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from adapters.http.idempotency import A_DAY
from adapters.http.user_api import DEADLINE
from adapters.postgres.tables import idempotency_keys
from ports.idempotency import Answer, Begun, KeyedRequest, UnderWay
from tests.api.conftest import ANNUAL, MONTHLY, ORIGIN, World
from tests.api.stripe_api import Refused, card_declined


async def kept(world: World, *columns: str) -> Sequence[tuple[Any, ...]]:
    """These columns of every key that is in use."""
    wanted = [idempotency_keys.c[name] for name in columns or ("user_id", "key", "status")]
    async with world.container.engine().connect() as connection:
        return [tuple(row) for row in await connection.execute(sa.select(*wanted))]


async def the_request(world: World) -> KeyedRequest:
    """The only one that has a key."""
    [(user_id, key, digest)] = await kept(world, "user_id", "key", "request_hash")
    return KeyedRequest(user_id, key, digest)


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


async def test_who_takes_another_card_may_use_the_same_key(world: World) -> None:
    user = world.somebody()
    world.stripe.fail("POST /v1/subscriptions$", card_declined())

    answers = [await user.subscribe(Idempotency_Key="a") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [402, 200, 200]
    assert answers[2].content == answers[1].content
    assert "idempotent-replayed" not in answers[1].headers
    assert answers[2].headers["idempotent-replayed"] == "true"


async def test_no_refusal_is_kept_whatever_its_status(world: World) -> None:
    """After each the same key is free, for the same request and for another."""
    user, other = world.somebody(email=None), await world.subscribed()
    portal = {"returnUrl": f"{ORIGIN}/account"}
    unsound = {"priceId": "no such price"}
    refused = [
        await user("POST", "/subscriptions", unsound, Idempotency_Key="a"),  # 400
        await user("POST", "/create-portal-session", portal, Idempotency_Key="a"),  # 404
        await other.checkout(Idempotency_Key="a"),  # 409
        await user("POST", "/subscriptions", {"priceId": "x" * 20_000}, Idempotency_Key="a"),  # 413
        await user("POST", "/customers", Idempotency_Key="a"),  # 422
    ]
    world.stripe.fail("POST /v1/customers$", Refused(503, "away", type="api_error"), times=3)
    user.email = "alice@example.com"
    refused.append(await user("POST", "/customers", Idempotency_Key="a"))  # 503

    assert [answer.status_code for answer in refused] == [400, 404, 409, 413, 422, 503]
    assert not any("idempotent-replayed" in answer.headers for answer in refused)
    assert (await user("POST", "/customers", Idempotency_Key="a")).status_code == 200
    assert await kept(world) == [(user.id, "a", 200)]


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer nonsense"}])
async def test_a_stranger_takes_up_no_key(world: World, header: dict[str, str]) -> None:
    answer = await world.client.post(
        "/api/payments/customers", headers={"idempotency-key": "a", **header}
    )

    assert answer.status_code == 401
    assert await kept(world) == []


async def test_an_address_is_given_again_only_while_it_opens(world: World) -> None:
    user = world.somebody()
    await user("POST", "/customers")
    portal = {"returnUrl": f"{ORIGIN}/account"}

    async def ask() -> list[str | None]:
        answers = [
            await user("POST", "/create-portal-session", portal, Idempotency_Key="portal"),
            await user.checkout(Idempotency_Key="checkout"),
        ]
        assert {answer.status_code for answer in answers} == {200}
        return [answer.headers.get("idempotent-replayed") for answer in answers]

    assert await ask() == [None, None]
    world.clock.move(minutes=2)
    assert await ask() == ["true", "true"]
    world.clock.move(seconds=1)
    assert await ask() == [None, "true"]
    world.clock.move(minutes=8)
    assert await ask() == [None, None]

    another = portal | {"returnUrl": f"{ORIGIN}/elsewhere"}
    reused = await user("POST", "/create-portal-session", another, Idempotency_Key="portal")
    assert reused.status_code == 422


async def test_ending_and_going_on_can_be_repeated_too(world: World) -> None:
    user = await world.subscribed()
    path = f"/subscriptions/{(await user('GET', '/subscription')).json()['id']}"
    sent = [
        ("DELETE", path, "a"),
        ("POST", f"{path}/resume", "b"),
        ("DELETE", f"{path}?immediately=true", "c"),
    ]
    for method, asked, key in sent:
        first, second = [await user(method, asked, Idempotency_Key=key) for _ in range(2)]
        assert (first.status_code, second.status_code) == (200, 200)
        assert second.headers["idempotent-replayed"] == "true"
        assert second.content == first.content

    assert (await user("DELETE", path, Idempotency_Key="c")).status_code == 422


async def test_whoever_was_taken_for_dead_does_not_overwrite_the_answer_of_the_other(
    world: World, logged: list[MutableMapping[str, Any]]
) -> None:
    user = world.somebody()
    world.stripe.released.clear()
    slow = asyncio.create_task(user.checkout(Idempotency_Key="a"))
    await world.stripe.reached.wait()
    world.clock.move(minutes=2)
    other = asyncio.create_task(user.checkout(Idempotency_Key="a"))
    while await kept(world, "created_at") != [(world.clock.now(),)]:
        await asyncio.sleep(0)
    keys, request = world.container.idempotency_keys(), await the_request(world)
    taken_over = Begun(world.clock.now())
    assert await keys.finish(request, taken_over, Answer(200, "text/plain", b"the other's"))
    world.stripe.released.set()
    await asyncio.gather(slow, other)

    again = await user.checkout(Idempotency_Key="a")
    assert again.headers["idempotent-replayed"] == "true"
    assert "answer_not_kept" in {line["event"] for line in logged}


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


async def test_of_several_at_once_one_is_carried_out(world: World, other_world: World) -> None:
    for _ in range(50):
        user = world.somebody()
        elsewhere = other_world.somebody(id=user.id)
        answers = await asyncio.gather(
            *(who.checkout(Idempotency_Key="a") for who in (user, elsewhere, user, elsewhere))
        )
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

    async def begin(**later: float) -> object:
        return await keys.begin(request, now + timedelta(**later), replayed_for=A_DAY)

    assert await begin() == Begun(now)
    assert timedelta(seconds=DEADLINE) < timedelta(seconds=59)
    assert await begin(seconds=59) == UnderWay()
    assert await begin(seconds=61) == Begun(now + timedelta(seconds=61))


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
