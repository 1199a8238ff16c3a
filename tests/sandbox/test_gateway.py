"""The gateway: who users are, what passes through it unchanged, and what the page may load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.auth.keys import JwksKeys
from adapters.auth.tokens import JwtAuthenticator
from sandbox.gateway import identity
from sandbox.gateway import pages as page_files
from sandbox.gateway.app import COOKIE, create_gateway
from sandbox.gateway.identity import DEMO_USERS, Identity
from sandbox.gateway.pages import Origins, Pages, content_security_policy
from sandbox.stripe.server import StripeSandbox
from sandbox.users_service import UsersService
from tests.sandbox.conftest import START
from tests.sandbox.serving import serving

OURS = "http://shop.example"
STRIPE = "http://127.0.0.1:12111"


class Service:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.path = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.status = 200
        self.answer: list[tuple[bytes, bytes]] = []
        self.parts = [b"{}"]
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.reached = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Take the request in as it comes, and answer part by part."""
        if scope["type"] != "http":
            return
        self.path, self.headers, self.body = scope["raw_path"], scope["headers"], b""
        while True:
            message = await receive()
            self.body += message.get("body", b"")
            self.reached.set()
            if not message.get("more_body"):
                break
        start = {"type": "http.response.start", "status": self.status, "headers": self.answer}
        await send(start)
        for part in self.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await self.go_on.wait()
        await send({"type": "http.response.body", "body": b""})

    def header(self, name: str) -> str | None:
        """What was sent under this name."""
        return next((v.decode() for n, v in self.headers if n.decode() == name.lower()), None)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def stripe() -> AsyncIterator[StripeSandbox]:
    async with StripeSandbox(start=START, runs=False) as sandbox:
        yield sandbox


@pytest.fixture
def users() -> UsersService:
    return UsersService(lambda _: None)


@pytest.fixture
async def gateway(
    service: Service, stripe: StripeSandbox, users: UsersService, tmp_path: Path
) -> AsyncIterator[str]:
    """Give the address of a gateway in front of the service, with a built page."""
    built = tmp_path / "dist"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text("<title>the page</title>")
    (built / "assets" / "app-1.js").write_text("export {}")
    (tmp_path / "secret.txt").write_text("nobody's business")
    async with serving(service) as address:
        app = create_gateway(Identity(), address, stripe, users, [OURS], Pages(STRIPE, built))
        async with serving(app) as own:
            yield own


@pytest.fixture
async def browser(gateway: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway, trust_env=False) as browser:
        yield browser


async def _sign_in(browser: httpx.AsyncClient, user: str = DEMO_USERS[0].id) -> Any:
    answer = await browser.post("/session", json={"user": user})
    assert answer.status_code == 201
    return answer.json()["user"]


async def test_users_sign_in_without_a_password_and_out_again(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/session")).json() == {"user": None}
    offered = (await browser.get("/session/users")).json()
    assert len(offered) >= 2
    for user in offered:
        assert await _sign_in(browser, user["id"]) == user
        assert (await browser.get("/session")).json() == {"user": user}
    assert (await browser.delete("/session")).status_code == 204
    assert (await browser.get("/session")).json() == {"user": None}


async def test_a_new_user_is_somebody_else_each_time(browser: httpx.AsyncClient) -> None:
    first, second = await _sign_in(browser, "new"), await _sign_in(browser, "new")
    assert set(first) == {"id", "email", "name"}
    assert first["id"] != second["id"]
    assert first["email"] != second["email"]


async def test_nobody_else_can_be_signed_in(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/session", json={"user": "5f0c3b3e-2b1a-4c7e-9d0a-1f2e3d4c5b6a"})
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


async def test_scripts_cannot_read_the_session(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/session", json={"user": "new"})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for attribute in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert attribute in cookie


async def test_the_service_is_told_who_asks_by_a_token_it_can_verify(
    gateway: str, browser: httpx.AsyncClient, service: Service
) -> None:
    user = await _sign_in(browser, "new")
    await browser.get("/api/payments/subscription")
    scheme, _, token = (service.header("authorization") or "").partition(" ")
    keys = JwksKeys(f"{gateway}/.well-known/jwks.json")
    verifier = JwtAuthenticator(keys, issuer=identity.ISSUER, audience=identity.AUDIENCE)
    try:
        found = await verifier.authenticate(token)
    finally:
        await verifier.close()
    assert scheme == "Bearer"
    assert (str(found.id), found.email, found.name) == (user["id"], user["email"], user["name"])
    assert service.header("cookie") is None


async def test_a_client_cannot_say_who_it_is(
    browser: httpx.AsyncClient, gateway: str, service: Service
) -> None:
    forged = Identity().mint(DEMO_USERS[0])  # by a key that is not the gateway's
    async with httpx.AsyncClient(base_url=gateway, cookies={COOKIE: forged}) as stranger:
        await stranger.get("/api/payments/subscription", headers={"Authorization": "Bearer x"})
        assert service.header("authorization") is None
        assert (await stranger.get("/session")).json() == {"user": None}
    user = await _sign_in(browser)
    await browser.get("/api/payments/subscription", headers={"Authorization": f"Bearer {forged}"})
    sent = [value for name, value in service.headers if name == b"authorization"]
    assert len(sent) == 1
    assert sent[0].decode() != f"Bearer {forged}"
    assert (await browser.get("/session")).json() == {"user": user}


async def test_requests_and_answers_pass_as_they_are(
    browser: httpx.AsyncClient, service: Service
) -> None:
    service.status = 402
    service.parts = [b'{"type": "urn:x"}']
    service.answer = [
        (b"content-type", b"application/problem+json"),
        (b"www-authenticate", b"Bearer"),
        (b"retry-after", b"7"),
        (b"connection", b"x-hop"),
        (b"x-hop", b"1"),
        (b"date", b"not now"),
    ]
    body = b'{\n "priceId" : "price_1" }'
    answer = await browser.post(
        "/api/payments/webhook?a=%2F&b",
        content=body,
        headers={
            "Idempotency-Key": "one",
            "Stripe-Signature": "t=1,v1=ab",
            "Content-Type": "application/json",
        },
    )
    assert service.path == b"/api/payments/webhook"
    assert service.body == body
    assert service.header("idempotency-key") == "one"
    assert service.header("stripe-signature") == "t=1,v1=ab"
    assert service.header("content-length") == str(len(body))
    assert (answer.status_code, answer.content) == (402, b'{"type": "urn:x"}')
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["retry-after"] == "7"
    assert "x-hop" not in answer.headers
    assert "not now" not in answer.headers.get_list("date"), "it says itself what time it is"


async def test_bodies_pass_as_they_come(browser: httpx.AsyncClient, service: Service) -> None:
    sent_on = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first,"
        await service.reached.wait()  # the service has it before the rest is sent
        sent_on.set()
        yield b"second"

    service.go_on.clear()
    service.parts = [b"one,", b"two"]
    got = b""
    async with asyncio.timeout(10):
        async with browser.stream("POST", "/api/payments/x", content=body()) as answer:
            async for part in answer.aiter_raw():
                got += part
                service.go_on.set()  # only once its first part has arrived
    assert sent_on.is_set()
    assert service.body == b"first,second"
    assert got == b"one,two"


async def test_a_service_that_is_away_is_a_502(
    stripe: StripeSandbox, users: UsersService, tmp_path: Path
) -> None:
    app = create_gateway(
        Identity(), "http://127.0.0.1:1", stripe, users, [OURS], Pages(STRIPE, tmp_path)
    )
    async with serving(app) as address, httpx.AsyncClient(base_url=address) as browser:
        answer = await browser.get("/api/payments/config")
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 502
    assert "retry-after" in answer.headers


@pytest.mark.parametrize("path", ["/api/payments/%2e%2e/metrics", "/api/payments/..%2fmetrics"])
async def test_no_path_leads_out_of_the_service(gateway: str, service: Service, path: str) -> None:
    """Written by hand, since clients resolve such paths by themselves."""
    host, port = httpx.URL(gateway).host, httpx.URL(gateway).port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert service.path == b""


@pytest.mark.parametrize("path", ["/session", "/sandbox/clock", "/api/payments/customers"])
async def test_other_origins_may_change_nothing(
    browser: httpx.AsyncClient, service: Service, path: str
) -> None:
    foreign = await browser.post(path, json={}, headers={"Origin": STRIPE})
    assert foreign.status_code == 403
    assert service.path == b""
    ours = await browser.post(path, json={"user": "new", "days": 1}, headers={"Origin": OURS})
    assert ours.is_success


async def test_the_page_may_load_its_own_files_and_stripes(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/")
    assert page.text == "<title>the page</title>"
    policy = dict(
        directive.split(" ", 1) for directive in page.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'self' {STRIPE}"
    assert policy["frame-src"] == STRIPE
    assert policy["connect-src"] == f"'self' {STRIPE}"
    mentioned = {name for name, allowed in policy.items() if "http" in allowed}
    assert mentioned == {"script-src", "frame-src", "connect-src"}


def test_a_page_of_production_gets_what_stripe_asks_for_and_is_otherwise_as_strict() -> None:
    ours = content_security_policy(Origins("s", "s", "s")).split("; ")
    theirs = content_security_policy(page_files.STRIPE).split("; ")
    differing = [there for here, there in zip(ours, theirs, strict=True) if here != there]
    assert differing == [
        "script-src 'self' https://js.stripe.com https://*.js.stripe.com",
        "frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com",
        "connect-src 'self' https://api.stripe.com",
    ]


@pytest.mark.parametrize("path", ["/plans", "/account/invoices", "/assets"])
async def test_every_view_of_the_page_is_the_page(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 200
    assert answer.text == "<title>the page</title>"
    assert answer.headers["cache-control"] == "no-cache"


async def test_files_of_the_page_are_served_and_no_others(browser: httpx.AsyncClient) -> None:
    script = await browser.get("/assets/app-1.js")
    assert script.text == "export {}"
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert (await browser.get("/assets/app-2.js")).status_code == 404
    for outside in ("/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt"):
        answer = await browser.get(outside)
        assert answer.status_code == 404, answer.text


async def test_without_a_built_page_there_is_a_small_one(
    stripe: StripeSandbox, users: UsersService, tmp_path: Path, service: Service
) -> None:
    pages = Pages(STRIPE, tmp_path / "not built")
    assert "a small one" in pages.which
    async with serving(service) as behind:
        app = create_gateway(Identity(), behind, stripe, users, [OURS], pages)
        async with serving(app) as address, httpx.AsyncClient(base_url=address) as browser:
            page = (await browser.get("/")).text
            assert "Payments sandbox" in page
            for file in ("/page.js", "/page.css"):
                assert file in page
                assert (await browser.get(file)).is_success
            # The policy forbids what is written into the page itself.
            assert "<style" not in page
            assert " style=" not in page


async def test_the_status_tells_the_time_and_what_the_users_service_believes(
    browser: httpx.AsyncClient, stripe: StripeSandbox, users: UsersService
) -> None:
    status = (await browser.get("/sandbox/status")).json()
    assert datetime.fromisoformat(status["stripe"]["now"]).timestamp() == START
    assert status["stripe"]["url"] == stripe.url
    assert status["usersView"] is None
    user = await _sign_in(browser)
    message = {
        "type": "payments.subscription.activated.v1",
        "sequence": "1",
        "data": {
            "userId": user["id"],
            "subscriptionId": "s1",
            "status": "trialing",
            "plan": "general",
            "interval": "month",
            "accessUntil": None,
        },
    }
    await users.take(json.dumps(message).encode())
    status = (await browser.get("/sandbox/status")).json()
    assert status["usersView"] == {
        "hasAccess": True,
        "subscriptions": [
            {
                "id": "s1",
                "status": "trialing",
                "plan": "general",
                "interval": "month",
                "version": 1,
                "accessUntil": None,
            }
        ],
        "deadLetters": 0,
    }


async def test_time_can_be_made_to_pass(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/sandbox/clock", json={"days": 180})
    assert answer.status_code == 200
    now = datetime.fromisoformat(answer.json()["stripe"]["now"])
    assert now.timestamp() == START + 180 * 86_400
    for days in (0, -1, 3661):
        assert (await browser.post("/sandbox/clock", json={"days": days})).status_code == 400


async def test_sessions_outlive_the_gateway(tmp_path: Path) -> None:
    file = tmp_path / "identity.pem"
    token = Identity(file).mint(DEMO_USERS[0])
    assert Identity(file).read(token) == DEMO_USERS[0]
    assert Identity().read(token) is None
    assert file.stat().st_mode & 0o077 == 0
