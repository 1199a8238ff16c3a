"""A user becomes a customer once."""

import asyncio

from tests.api.conftest import World
from tests.api.stripe_api import Refused


async def test_a_user_becomes_a_customer_with_the_name_and_email_of_the_token(world: World) -> None:
    user = world.somebody()

    answer = await user("POST", "/customers")

    [customer] = world.stripe.all("customer")
    assert answer.status_code == 200
    assert answer.json() == {
        "userId": str(user.id),
        "customerId": customer["id"],
        "email": "alice@example.com",
        "name": "Alice",
    }
    assert customer["metadata"] == {"user_id": str(user.id)}
    assert (customer["email"], customer["name"]) == ("alice@example.com", "Alice")


async def test_asking_again_finds_the_same_customer(world: World) -> None:
    user = world.somebody()

    first, second = await user("POST", "/customers"), await user("POST", "/customers")

    assert first.json() == second.json()
    assert len(world.stripe.all("customer")) == 1


async def test_two_first_requests_at_once_make_one_customer(
    world: World, other_world: World
) -> None:
    for _ in range(50):
        user = world.somebody()
        elsewhere = other_world.somebody(id=user.id)
        answers = await asyncio.gather(
            *(who("POST", "/customers") for who in (user, elsewhere, user, elsewhere))
        )
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["customerId"] for answer in answers}) == 1

    assert len(world.stripe.all("customer")) == 50


async def test_nor_do_tokens_with_different_emails_make_two(
    world: World, other_world: World
) -> None:
    for _ in range(50):
        user = world.somebody()
        other = other_world.somebody(id=user.id, email="new@example.com")
        answers = await asyncio.gather(user("POST", "/customers"), other("POST", "/customers"))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["customerId"] for answer in answers}) == 1

    assert len(world.stripe.all("customer")) == 50


async def test_the_notice_of_a_new_customer_and_the_request_make_one_row(world: World) -> None:
    for _ in range(50):
        user = world.somebody()
        operation = f"customer:{user.id}:0"
        reference = await world.container.purchases().create_customer(user.id, operation=operation)
        await world.deliver("customer.created", world.stripe.objects[reference])
        answer, _ = await asyncio.gather(user("POST", "/customers"), world.work_off())
        assert answer.json()["customerId"] == reference


async def test_without_an_email_there_can_be_no_customer(world: World) -> None:
    answer = await world.somebody(email=None)("POST", "/customers")

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:payments:problem:email-needed"


async def test_a_customer_needs_no_email_in_later_tokens(world: World) -> None:
    user = world.somebody()
    await user("POST", "/customers")
    user.email = None

    assert (await user("POST", "/customers")).json()["email"] == "alice@example.com"


async def test_name_and_email_are_kept_in_step(world: World) -> None:
    user = world.somebody()
    reference = (await user("POST", "/customers")).json()["customerId"]

    changed = world.stripe.objects[reference] | {"email": "new@example.com", "name": "Alicia"}
    await world.deliver("customer.updated", changed)
    await world.work_off()

    answer = (await user("POST", "/customers")).json()
    assert (answer["email"], answer["name"]) == ("new@example.com", "Alicia")


async def test_one_whose_notice_came_before_its_email_is_given_one(world: World) -> None:
    """Whoever created it died between the two; the notice brought the row."""
    user = world.somebody()
    reference = await world.container.purchases().create_customer(
        user.id, operation=f"customer:{user.id}:0"
    )
    await world.deliver("customer.created", world.stripe.objects[reference])
    await world.work_off()

    answer = (await user("POST", "/customers")).json()

    assert (answer["customerId"], answer["email"]) == (reference, "alice@example.com")
    assert world.stripe.objects[reference]["email"] == "alice@example.com"


async def test_the_notice_of_a_creation_takes_no_email_away(world: World) -> None:
    """It is rendered as the customer was created: before it was given one."""
    user = world.somebody()
    reference = (await user("POST", "/customers")).json()["customerId"]
    blank = world.stripe.objects[reference] | {"email": None, "name": None}

    await world.deliver("customer.created", blank)
    await world.work_off()

    user.email = None
    answer = (await user("POST", "/customers")).json()
    assert (answer["email"], answer["name"]) == ("alice@example.com", "Alice")


async def test_a_failure_that_stripe_has_recorded_holds_for_no_other_email(world: World) -> None:
    user = world.somebody()
    world.stripe.fail("POST /v1/customers$", Refused(500, "it broke", type="api_error"))
    await user("POST", "/customers")
    user.email = "new@example.com"

    assert (await user("POST", "/customers")).status_code == 200

    [customer] = world.stripe.all("customer")
    assert customer["email"] == "new@example.com"


async def test_a_deleted_customer_makes_room_for_a_new_one(world: World) -> None:
    user = world.somebody()
    first = (await user("POST", "/customers")).json()["customerId"]
    await world.deliver("customer.deleted", world.stripe.objects[first])
    await world.work_off()

    second = (await user("POST", "/customers")).json()["customerId"]

    assert second != first
