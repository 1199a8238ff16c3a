"""Whatever a stranger sends as a token is a 401: never a 500, and never a user."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import HMACAlgorithm
from litestar import Litestar, get
from litestar.types import ASGIApp

from adapters.auth.keys import OneKey, shared_secret
from adapters.auth.tokens import JwtAuthenticator
from adapters.http.problems import HANDLERS
from adapters.http.users import Authentication, RateLimit, UserRequest
from tests.api.conftest import AUDIENCE, ISSUER, JWT_SECRET, token

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
)
names = st.sampled_from(
    ["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "x5u", "exp", "nbf", "iat", "iss", "aud"]
) | st.sampled_from(["sub", "email", "name", "scope", "scp", "jti"])
objects = st.dictionaries(names | st.text(), values, max_size=6)


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def signed(header: object, claims: object) -> str:
    """With the right secret, so that whatever it says is looked at."""
    body = f"{encoded(header)}.{encoded(claims)}"
    mac = HMACAlgorithm(HMACAlgorithm.SHA256).sign(body.encode(), JWT_SECRET.encode())
    return f"{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def cut(where: int, instead: str) -> str:
    """A good token with something else in one place."""
    good = token()
    where %= len(good)
    instead = "!" if good[where] == instead else instead
    return good[:where] + instead + good[where + 1 :]


# A header value as it can be sent: no line ends, which HTTP has no way to carry.
sendable = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=200)
malformed = st.one_of(
    sendable,
    st.lists(sendable, min_size=3, max_size=5).map(".".join),
    st.builds(signed, values, values),
    st.builds(signed, st.just({"alg": "HS256", "typ": "JWT"}), objects),
    # Everything right but for one claim that is spoilt, an id of nobody's among them.
    st.builds(
        lambda name, value: signed(
            {"alg": "HS256"},
            {
                "sub": "5f0c6a3e-7a38-4c9e-9d5e-0f3c4c7b1a11",
                "iss": ISSUER,
                "aud": AUDIENCE,
                "exp": 4_102_444_800,
            }
            | {name: value},
        ),
        st.sampled_from(["sub", "iss", "exp"]),
        values.filter(lambda value: not isinstance(value, int | float)),
    ),
    st.builds(
        lambda header: signed({"alg": "HS256"} | header, {}),
        objects,
    ),
    # Not in the signature, of whose last character some bits mean nothing.
    st.builds(cut, st.integers(0, 100), st.sampled_from(["", "!", ".", "\xff", "=", " "])),
)


def test_it_is_always_a_401() -> None:
    authenticator = JwtAuthenticator(
        OneKey(shared_secret(JWT_SECRET)), issuer=ISSUER, audience=AUDIENCE
    )

    def authentication(app: ASGIApp) -> ASGIApp:
        return Authentication(app, authenticator, RateLimit(1_000_000))

    @get("/")
    async def whoever(request: UserRequest) -> str:
        return str(request.user.id)

    app = Litestar(
        [whoever], middleware=[authentication], exception_handlers=HANDLERS, logging_config=None
    )

    @settings(max_examples=300, deadline=None)
    @given(malformed)
    def run(sent: str) -> None:
        status, headers, body = runner.run(call(app, f"Bearer {sent}".encode("latin-1")))
        assert status == 401
        assert headers[b"www-authenticate"].startswith(b"Bearer")
        assert json.loads(body)["type"] == "urn:payments:problem:unauthenticated"

    with asyncio.Runner() as runner:
        good = runner.run(call(app, f"Bearer {token()}".encode()))
        assert good[0] == 200
        run()


async def call(app: Any, authorization: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """GET /, without a client that would refuse to send such headers."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", authorization)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "extensions": {},
        "state": {},
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"]), body
