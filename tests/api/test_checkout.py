"""Buying on Stripe's page: one trial, one open subscription, one open page."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.postgres.tables import duplicate_subscriptions
from domain.subscription import subscription_id
from service.start_checkout import with_session_id
from tests.api.conftest import ANNUAL, MONTHLY, ORGANIZER, ORIGIN, Somebody, World


def open_pages(world: World) -> list[dict[str, Any]]:
    return [s for s in world.stripe.all("checkout.session") if s["status"] == "open"]


async def test_a_first_purchase_begins_with_the_trial(world: World) -> None:
    user = world.somebody()

    answer = await user.checkout()

    [session] = world.stripe.all("checkout.session")
    assert answer.status_code == 200
    assert answer.json() == {"sessionId": session["id"], "sessionUrl": session["url"]}
    assert session["_price"] == MONTHLY
    assert session["_data"]["trial_period_days"] == "180"
    assert session["_data"]["trial_settings"]["end_behavior"]["missing_payment_method"] == "cancel"
    [sent] = [s for s in world.stripe.sent if (s.method, s.path[-9:]) == ("POST", "/sessions")]
    assert sent.form["payment_method_collection"] == "always"


async def test_customer_session_and_subscription_name_the_user(world: World) -> None:
    user = world.somebody()
    await user.checkout()

    [session], [customer] = world.stripe.all("checkout.session"), world.stripe.all("customer")
    for metadata in (customer["metadata"], session["metadata"], session["_data"]["metadata"]):
        assert metadata["user_id"] == str(user.id)


async def test_the_session_id_reaches_the_success_address(world: World) -> None:
    await world.somebody().checkout()

    [session] = world.stripe.all("checkout.session")
    assert session["success_url"] == f"{ORIGIN}/done?session_id={{CHECKOUT_SESSION_ID}}"


@pytest.mark.parametrize(
    ("address", "completed"),
    [
        ("https://a/", "https://a/?session_id={CHECKOUT_SESSION_ID}"),
        ("https://a/?b=c", "https://a/?b=c&session_id={CHECKOUT_SESSION_ID}"),
        ("https://a/#part", "https://a/?session_id={CHECKOUT_SESSION_ID}#part"),
        ("https://a/{CHECKOUT_SESSION_ID}", "https://a/{CHECKOUT_SESSION_ID}"),
        ("https://a/%7BCHECKOUT_SESSION_ID%7D", "https://a/{CHECKOUT_SESSION_ID}"),
        ("https://a/#/{CHECKOUT_SESSION_ID}", "https://a/#/{CHECKOUT_SESSION_ID}"),
    ],
)
def test_the_place_for_the_session_id_is_added_where_it_is_missing(
    address: str, completed: str
) -> None:
    assert with_session_id(address) == completed


async def test_who_had_a_trial_gets_none(world: World) -> None:
    user = await world.subscribed(trial=True)
    [subscription] = world.stripe.all("subscription")
    world.clock.move(days=1)
    await world.deliver(
        "customer.subscription.deleted",
        world.stripe.cancel_subscription({}, subscription["id"]),
    )
    await world.work_off()

    await user.checkout()

    assert "trial_period_days" not in world.stripe.all("checkout.session")[-1]["_data"]


async def test_a_trial_that_is_canceled_before_its_webhook_arrives_is_had_all_the_same(
    world: World,
) -> None:
    user = world.somebody()
    bought = world.stripe.complete((await user.checkout()).json()["sessionId"])
    world.clock.move(days=1)
    canceled = await user(
        "DELETE", f"/subscriptions/{subscription_id(bought['id'])}?immediately=true"
    )
    assert canceled.status_code == 200

    await user.checkout()

    assert "trial_period_days" not in world.stripe.all("checkout.session")[-1]["_data"]


@pytest.mark.parametrize("price", ["price_of_somebody_else", "general_monthly", "price_1"])
async def test_only_a_price_that_is_sold_can_be_bought(world: World, price: str) -> None:
    answer = await world.somebody().checkout(price)

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:payments:problem:price-not-offered"
    assert world.stripe.all("customer") == []


async def test_with_a_running_subscription_the_answer_says_what_to_do_instead(
    world: World,
) -> None:
    user = await world.subscribed()

    for again in (await user.checkout(ORGANIZER), await user.subscribe(ORGANIZER)):
        assert again.status_code == 409
        assert again.json()["type"] == "urn:payments:problem:already-subscribed"
        assert "change its plan" in again.json()["detail"]


async def test_a_purchase_whose_webhook_has_not_come_yet_counts(world: World) -> None:
    user = world.somebody()
    world.stripe.complete((await user.checkout()).json()["sessionId"])

    assert (await user.checkout(ORGANIZER)).status_code == 409


async def test_who_owes_is_sent_to_the_portal(world: World) -> None:
    user = await world.subscribed()
    world.stripe.all("subscription")[0]["status"] = "past_due"

    assert "portal" in (await user.checkout()).json()["detail"]


async def test_a_second_attempt_on_the_same_terms_gets_the_same_page(world: World) -> None:
    user = world.somebody()

    first, second = await user.checkout(), await user.checkout()

    assert first.json() == second.json()


async def test_a_second_attempt_on_other_terms_closes_the_first_page(world: World) -> None:
    user = world.somebody()

    await user.checkout(MONTHLY)
    second = (await user.checkout(ANNUAL)).json()

    assert [page["id"] for page in open_pages(world)] == [second["sessionId"]]


async def test_a_page_about_to_expire_is_not_handed_out_again(world: World) -> None:
    user = world.somebody()
    first = (await user.checkout()).json()
    world.stripe.objects[first["sessionId"]]["expires_at"] = world.clock.seconds() + 60

    second = (await user.checkout()).json()

    assert second != first
    assert [page["id"] for page in open_pages(world)] == [second["sessionId"]]


async def test_an_unfinished_first_payment_is_closed_by_a_checkout(world: World) -> None:
    user = world.somebody()
    await user.subscribe()

    assert (await user.checkout()).status_code == 200

    [abandoned] = world.stripe.all("subscription")
    assert abandoned["status"] == "canceled"


async def test_two_tabs_with_the_same_plan_get_one_page(world: World) -> None:
    for _ in range(50):
        user = world.somebody()
        answers = await asyncio.gather(*(user.checkout() for _ in range(2)))
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json() == answers[1].json()

    assert len(open_pages(world)) == 50


async def test_two_tabs_with_different_plans_leave_one_page_open(world: World) -> None:
    for _ in range(50):
        before = len(open_pages(world))
        user = world.somebody()
        answers = await asyncio.gather(user.checkout(MONTHLY), user.checkout(ANNUAL))
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert len(open_pages(world)) == before + 1


async def test_a_page_of_stripe_and_one_of_ours_at_once_leave_one_to_buy_on(world: World) -> None:
    for _ in range(50):
        user = world.somebody()
        answers = await asyncio.gather(user.checkout(), user.subscribe())
        assert {answer.status_code for answer in answers} <= {200, 409}
        pages = [p for p in open_pages(world) if p["metadata"]["user_id"] == str(user.id)]
        begun = [s for s in await unfinished(world, user) if s["status"] != "canceled"]
        assert len(pages) + len(begun) == 1


async def unfinished(world: World, user: Somebody) -> list[dict[str, Any]]:
    return [s for s in world.stripe.all("subscription") if s["metadata"]["user_id"] == str(user.id)]


async def test_if_a_duplicate_arises_all_the_same_an_operator_is_told_once(
    world: World, logged: list[MutableMapping[str, Any]]
) -> None:
    user = await world.subscribed()
    [first] = world.stripe.all("subscription")
    second = world.stripe._subscription(first["customer"], ORGANIZER, first["metadata"], 0)
    for _ in range(2):
        await world.deliver("customer.subscription.created", second)
        await world.work_off()

    told = [line for line in logged if line["event"] == "duplicate_subscription"]
    assert {line["subscription_id"] for line in told} == {
        str(subscription_id(one["id"])) for one in (first, second)
    }
    assert {(line["user_id"], line["log_level"]) for line in told} == {(str(user.id), "error")}
    assert len(told) == 2
    async with world.container.engine().connect() as connection:
        marked = await connection.scalars(sa.select(duplicate_subscriptions.c.user_id))
        assert list(marked) == [user.id, user.id]


ADDRESSES_ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "//app.example.com/",
    "/done",
    "done",
    "javascript:alert(1)",
    "data:text/html,x",
    "http://app.example.com/",
    "https://app.example.com:8443/",
    "https://app.example.com:80/",
    "https://app.example.com:0443x/",
    "https://app.example.com:/",
    "https://app.example.com.evil.example/",
    "https://app.example.community/",
    "https://evilapp.example.com/",
    "https://app.example.com./",
    "https://app.example.com@evil.example/",
    "https://user:password@app.example.com/",
    "https://evil.example#@app.example.com/",
    "https://evil.example?app.example.com/",
    "https://evil.example\\@app.example.com/",
    "https:\\\\app.example.com\\",
    "https://app.example.com\\.evil.example/",
    "https://app.example.com/\\evil.example",
    "https:/app.example.com/",
    "https:///app.example.com/",
    "https:app.example.com/",
    "https://app.exa\u200bmple.com/",
    "https://\u0430pp.example.com/",
    "https://app.example\u3002com/",
    "https://app.example.com\u2044.evil.example/",
    "https://app.example.com%2eevil.example/",
    "https://app.example.com%00.evil.example/",
    "https://app.example.com\t/",
    "https://app.ex\nample.com/",
    " https://app.example.com/",
    "https://app.example.com/ ",
    "https://app.example.com/\r\nLocation: https://evil.example/",
    "https://xn--pp-8cd.example.com/",
    "https://[::1]/",
    "https://2130706433/",
]


@pytest.mark.parametrize("address", ADDRESSES_ELSEWHERE)
async def test_nobody_is_sent_elsewhere(world: World, address: str) -> None:
    user = world.somebody()
    here = f"{ORIGIN}/"
    answers = [
        await user(
            "POST",
            "/create-checkout-session",
            {"priceId": MONTHLY, "successUrl": success, "cancelUrl": cancel},
        )
        for success, cancel in ((address, here), (here, address))
    ]
    answers.append(await user("POST", "/create-portal-session", {"returnUrl": address}))

    for answer in answers:
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:payments:problem:redirect-not-allowed"
    assert world.stripe.sent == [] or all("sessions" not in s.path for s in world.stripe.sent)


@pytest.mark.parametrize(
    "address",
    [
        "https://app.example.com",
        "https://app.example.com/a/b?c=d&e=@f#g",
        "HTTPS://APP.example.COM/",
        "https://app.example.com:443/",
        "http://localhost:5173/plans",
    ],
)
async def test_the_configured_origins_are_allowed(world: World, address: str) -> None:
    answer = await world.somebody()(
        "POST",
        "/create-checkout-session",
        {"priceId": MONTHLY, "successUrl": address, "cancelUrl": address},
    )

    assert answer.status_code == 200


async def test_the_portal_is_for_customers(world: World) -> None:
    user = world.somebody()
    before = await user("POST", "/create-portal-session", {"returnUrl": f"{ORIGIN}/account"})
    customer = (await user("POST", "/customers")).json()["customerId"]
    after = await user("POST", "/create-portal-session", {"returnUrl": f"{ORIGIN}/account"})

    assert before.status_code == 404
    assert after.json() == {"sessionUrl": f"https://portal.example/{customer}"}
