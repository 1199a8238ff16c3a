"""Who a user is comes from the token, and from nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm

from adapters.auth.keys import JwksKeys, OneKey, public_key, shared_secret
from adapters.auth.tokens import JwtAuthenticator
from adapters.http.problems import TooManyRequests
from adapters.http.users import RateLimit
from ports.authentication import InvalidToken, KeysUnavailable
from tests.api.conftest import (
    AUDIENCE,
    ISSUER,
    JWT_SECRET,
    MovableClock,
    World,
    token,
    world_of,
)
from tests.api.stripe_api import StripeApi, serve

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def pem(key: Any) -> str:
    encoded: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def with_secret() -> JwtAuthenticator:
    return JwtAuthenticator(OneKey(shared_secret(JWT_SECRET)), issuer=ISSUER, audience=AUDIENCE)


def with_public_key(key: Any) -> JwtAuthenticator:
    return JwtAuthenticator(OneKey(public_key(pem(key))), issuer=ISSUER, audience=AUDIENCE)


def ago(**delta: float) -> datetime:
    return datetime.now(UTC) - timedelta(**delta)


def unsigned(**header: Any) -> str:
    """A token that claims `alg: none`."""
    _, claims, _ = token().split(".")
    head = base64.urlsafe_b64encode(json.dumps({"typ": "JWT", **header}).encode()).decode()
    return f"{head.rstrip('=')}.{claims}."


NO_MOMENTS: tuple[Any, ...] = (
    "4102444800",
    "soon",
    True,
    1e308,
    float("nan"),
    float("inf"),
    [1],
    {},
)


def claiming(claim: str, value: Any) -> Callable[[], str]:
    return lambda: token(**{claim: value})


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")])
async def test_a_token_signed_with_the_private_key_names_its_user(key: Any, algorithm: str) -> None:
    user_id = uuid4()

    user = await with_public_key(key).authenticate(token(key, algorithm, sub=str(user_id)))

    assert (user.id, user.email, user.name) == (user_id, "alice@example.com", "Alice")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda: token(exp=ago(seconds=31)), id="expired"),
        pytest.param(lambda: token(exp=None), id="never expires"),
        pytest.param(lambda: token(nbf=ago(seconds=-60)), id="not valid yet"),
        pytest.param(lambda: token(iss="https://somebody.else"), id="other issuer"),
        pytest.param(lambda: token(iss=None), id="no issuer"),
        pytest.param(lambda: token(aud="another service"), id="other audience"),
        pytest.param(lambda: token(aud=None), id="no audience"),
        pytest.param(lambda: token(sub=None), id="no subject"),
        pytest.param(lambda: token(sub="alice"), id="subject that is no id"),
        pytest.param(lambda: token(sub=f"urn:uuid:{uuid4()}"), id="subject as a URN"),
        pytest.param(lambda: token(sub=str(UUID(int=0))), id="subject that is nobody"),
        pytest.param(lambda: token(sub=str(UUID(int=2**128 - 1))), id="subject that is everybody"),
        pytest.param(lambda: token(sub=7), id="subject that is a number"),
        *(
            pytest.param(claiming(claim, value), id=f"{claim} {value!r:.20}")
            for claim in ("exp", "nbf", "iat")
            for value in NO_MOMENTS
        ),
        pytest.param(lambda: token(exp=10**400), id="exp beyond any number"),
        pytest.param(lambda: token(exp=253_402_300_800), id="exp in the year 10000"),
        pytest.param(lambda: token(nbf=-1), id="nbf before all time"),
        pytest.param(lambda: token(iat=ago(seconds=-60)), id="issued in the future"),
        pytest.param(lambda: token("another secret that is long enough"), id="other secret"),
        pytest.param(lambda: token()[:-2], id="cut off"),
        pytest.param(lambda: unsigned(alg="none"), id="alg none"),
        pytest.param(lambda: unsigned(alg="None"), id="alg None"),
        pytest.param(unsigned, id="no alg"),
        pytest.param(lambda: unsigned(alg="HS256", kid=7), id="key id that is no text"),
        pytest.param(lambda: "", id="empty"),
        pytest.param(lambda: "a.b.c", id="no token"),
        pytest.param(lambda: "\xff.\xff.\xff", id="no ASCII"),
        pytest.param(lambda: f"{'W1tb' * 20_000}.e30.", id="deeply nested header"),
    ],
)
async def test_anything_else_proves_nothing(bad: Any) -> None:
    with pytest.raises(InvalidToken):
        await with_secret().authenticate(bad())


async def test_clocks_may_differ_a_little() -> None:
    await with_secret().authenticate(token(exp=ago(seconds=20)))


async def test_a_public_key_is_never_taken_for_a_shared_secret() -> None:
    """The classic confusion: HS256 over the text of the public key."""
    hmac = HMACAlgorithm(HMACAlgorithm.SHA256)
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    body = f"{head}.{token(RSA, 'RS256').split('.')[1]}"
    mac = base64.urlsafe_b64encode(hmac.sign(body.encode(), pem(RSA).encode())).decode()

    with pytest.raises(InvalidToken):
        await with_public_key(RSA).authenticate(f"{body}.{mac.rstrip('=')}")


async def test_a_key_verifies_only_algorithms_of_its_kind() -> None:
    with pytest.raises(InvalidToken):
        await with_public_key(EC).authenticate(token(RSA, "RS256"))


def test_a_short_key_is_refused() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - its point
    with pytest.raises(ValueError, match="2048 bits"):
        public_key(pem(short))


@pytest.mark.parametrize("email", [None, 7, "", "alice", "a@b@c", "a b@c", f"{'a' * 255}@b"])
async def test_an_email_that_is_none_is_left_out(email: Any) -> None:
    assert (await with_secret().authenticate(token(email=email))).email is None


class IdentityProvider:
    """Publishes keys, and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        self.document: bytes | None = None
        self.reached = asyncio.Event()
        self.released = asyncio.Event()
        self.released.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        self.reached.set()
        await self.released.wait()
        await receive()
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        body = self.document
        if body is None:
            body = json.dumps({"keys": self.keys}).encode()
        await send({"type": "http.response.body", "body": body})


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    kind = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else RSAAlgorithm
    described: dict[str, Any] = kind.to_jwk(key.public_key(), as_dict=True)
    return described | {"kid": kid, "use": "sig"} | more


def keyed(key: Any, algorithm: str, kid: str | None) -> str:
    claims = jwt.decode(token(), options={"verify_signature": False})
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else None)


class Jwks:
    """An authenticator with an identity provider and a clock."""

    def __init__(self, provider: IdentityProvider, url: str) -> None:
        self.provider = provider
        self.time = 0.0
        self.keys = JwksKeys(url, monotonic=lambda: self.time)
        self.authenticate = JwtAuthenticator(
            self.keys, issuer=ISSUER, audience=AUDIENCE
        ).authenticate


@pytest.fixture
async def jwks() -> AsyncIterator[Jwks]:
    provider = IdentityProvider()
    provider.keys = [jwk(RSA, "one"), jwk(EC, "two", alg="ES256")]
    async with serve(provider) as url:
        found = Jwks(provider, url)
        yield found
        await found.keys.close()


async def test_keys_are_fetched_once(jwks: Jwks) -> None:
    for _ in range(3):
        await jwks.authenticate(keyed(RSA, "RS256", "one"))
        await jwks.authenticate(keyed(EC, "ES256", "two"))

    assert jwks.provider.asked == 1


async def test_an_unknown_key_id_fetches_them_again(jwks: Jwks) -> None:
    await jwks.authenticate(keyed(RSA, "RS256", "one"))
    jwks.provider.keys = [jwk(OTHER_RSA, "three")]
    jwks.time += 11

    await jwks.authenticate(keyed(OTHER_RSA, "RS256", "three"))

    assert jwks.provider.asked == 2


async def test_made_up_key_ids_are_no_flood_of_requests(jwks: Jwks) -> None:
    for number in range(20):
        with pytest.raises(InvalidToken):
            await jwks.authenticate(keyed(RSA, "RS256", f"made up {number}"))

    assert jwks.provider.asked == 1


async def test_keys_that_were_withdrawn_stop_to_count_within_the_hour(jwks: Jwks) -> None:
    await jwks.authenticate(keyed(RSA, "RS256", "one"))
    jwks.provider.keys = [jwk(EC, "two")]
    jwks.time += 3601

    with pytest.raises(InvalidToken):
        await jwks.authenticate(keyed(RSA, "RS256", "one"))


async def test_known_keys_stay_good_for_hours_while_the_identity_provider_is_away(
    jwks: Jwks,
) -> None:
    await jwks.authenticate(keyed(RSA, "RS256", "one"))
    jwks.provider.status = 503
    for _ in range(5):
        jwks.time += 3600
        await jwks.authenticate(keyed(RSA, "RS256", "one"))

    jwks.time += 3600
    with pytest.raises(KeysUnavailable):
        await jwks.authenticate(keyed(RSA, "RS256", "one"))

    jwks.provider.status = 200
    jwks.time += 11
    await jwks.authenticate(keyed(RSA, "RS256", "one"))


async def test_an_unknown_key_may_be_a_new_one_while_the_identity_provider_is_away(
    jwks: Jwks,
) -> None:
    await jwks.authenticate(keyed(RSA, "RS256", "one"))
    jwks.provider.keys = [jwk(OTHER_RSA, "three")]
    jwks.provider.status = 503
    jwks.time += 11
    for seconds in (0, 1, 10):
        jwks.time += seconds
        with pytest.raises(KeysUnavailable):
            await jwks.authenticate(keyed(OTHER_RSA, "RS256", "three"))

    jwks.provider.status = 200
    jwks.time += 11
    await jwks.authenticate(keyed(OTHER_RSA, "RS256", "three"))
    with pytest.raises(InvalidToken):
        await jwks.authenticate(keyed(RSA, "RS256", "four"))


async def test_while_it_hangs_those_who_hold_a_known_key_do_not_wait(jwks: Jwks) -> None:
    await jwks.authenticate(keyed(RSA, "RS256", "one"))
    jwks.provider.status = 503
    jwks.time += 3601
    await jwks.authenticate(keyed(RSA, "RS256", "one"))
    jwks.provider.released.clear()
    jwks.provider.reached.clear()
    jwks.time += 11

    first = asyncio.create_task(jwks.authenticate(keyed(RSA, "RS256", "one")))
    await jwks.provider.reached.wait()
    await jwks.authenticate(keyed(RSA, "RS256", "one"))

    assert not first.done()
    jwks.provider.released.set()
    await first


async def test_many_at_once_fetch_once(jwks: Jwks) -> None:
    await asyncio.gather(*(jwks.authenticate(keyed(RSA, "RS256", "one")) for _ in range(20)))

    assert jwks.provider.asked == 1


@pytest.mark.parametrize(
    "document",
    [b"", b"null", b"[]", b'{"keys": {}}', b"\xff", b"[" * 100_000, b'{"keys": [null, 7, "x"]}'],
    ids=lambda document: repr(document[:20]),
)
async def test_an_answer_that_is_no_jwks_brings_no_keys(jwks: Jwks, document: bytes) -> None:
    jwks.provider.document = document

    with pytest.raises((KeysUnavailable, InvalidToken)):
        await jwks.authenticate(keyed(RSA, "RS256", "one"))


async def test_one_strange_key_does_not_spoil_the_others(jwks: Jwks) -> None:
    strange = {"kty": "RSA", "n": "!", "e": 7}
    jwks.provider.keys = [jwk(EC, "x") | {"kid": ["x"]}, strange, jwk(RSA, "one")]

    await jwks.authenticate(keyed(RSA, "RS256", "one"))


async def test_without_any_keys_nobody_is_blamed(jwks: Jwks) -> None:
    jwks.provider.status = 503

    with pytest.raises(KeysUnavailable):
        await jwks.authenticate(keyed(RSA, "RS256", "one"))


async def test_keys_for_other_purposes_verify_nothing(jwks: Jwks) -> None:
    jwks.provider.keys = [
        jwk(RSA, "enc", use="enc"),
        jwk(RSA, "other", alg="RS512"),
        {"kty": "oct", "kid": "secret", "k": base64.urlsafe_b64encode(b"x" * 32).decode()},
        {"kty": "unheard of", "kid": "new"},
    ]
    for key, algorithm, kid in [
        (RSA, "RS256", "enc"),
        (RSA, "RS256", "other"),
        ("x" * 32, "HS256", "secret"),
        (RSA, "RS256", "new"),
    ]:
        with pytest.raises(InvalidToken):
            await jwks.authenticate(keyed(key, algorithm, kid))


@pytest.mark.parametrize(
    "header", [{}, {"authorization": "Basic abc"}, {"authorization": "Bearer"}]
)
async def test_without_a_token_nothing_is_answered(world: World, header: dict[str, str]) -> None:
    answer = await world.client.get("/api/payments/subscription", headers=header)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:payments:problem:unauthenticated"


@pytest.mark.parametrize(
    ("claims", "granted"),
    [
        ({"scope": "openid payments profile"}, True),
        ({"scp": ["payments", 7]}, True),
        ({"scp": "payments"}, True),
        ({}, False),
        ({"scope": ""}, False),
        ({"scope": "payments.read"}, False),
        ({"scope": ["PAYMENTS"]}, False),
        ({"scope": 7, "scp": {"payments": True}}, False),
    ],
)
async def test_a_token_without_the_scope_that_is_required_is_a_403(
    environment: dict[str, str],
    stripe_api: StripeApi,
    clock: MovableClock,
    claims: dict[str, Any],
    granted: bool,
) -> None:
    environment["JWT_REQUIRED_SCOPE"] = "payments"
    async with world_of(environment, stripe_api, clock) as world:
        answer, stranger = [
            await world.client.get(
                "/api/payments/subscription", headers={"authorization": f"Bearer {sent}"}
            )
            for sent in (token(**claims), token("another secret that is long enough", **claims))
        ]

    assert answer.status_code == (200 if granted else 403)
    assert stranger.status_code == 401  # whatever it claims
    if not granted:
        challenge = 'Bearer error="insufficient_scope", scope="payments"'
        assert answer.headers["www-authenticate"] == challenge
        assert answer.json()["type"] == "urn:payments:problem:insufficient-scope"


async def test_a_token_that_is_refused_is_told_so(world: World) -> None:
    answer = await world.client.get(
        "/api/payments/subscription",
        headers={"authorization": f"Bearer {token(exp=ago(hours=1))}"},
    )

    assert answer.status_code == 401
    challenge = 'Bearer error="invalid_token", error_description="it has expired: sign in again"'
    assert answer.headers["www-authenticate"] == challenge


async def test_who_asks_is_asked_before_what(world: World) -> None:
    answer = await world.client.post("/api/payments/subscriptions", content=b"not even JSON")

    assert answer.status_code == 401


def test_a_user_may_ask_so_often_in_a_minute_and_others_are_not_concerned() -> None:
    time = 30.0
    rate_limit = RateLimit(2, monotonic=lambda: time)
    alice, bob = uuid4(), uuid4()
    for user in (alice, alice, bob):
        rate_limit.count(user)

    with pytest.raises(TooManyRequests) as refused:
        rate_limit.count(alice)
    assert refused.value.retry_after == 30

    time = 60.0
    rate_limit.count(alice)


def test_counting_takes_only_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.http.users._MOST_USERS", 3)
    rate_limit = RateLimit(1, monotonic=lambda: 0.0)
    users = [uuid4() for _ in range(4)]
    for user in users:
        rate_limit.count(user)

    assert len(rate_limit._counts) == 3
    for user in users[1:]:
        with pytest.raises(TooManyRequests):
            rate_limit.count(user)


async def test_whoever_asks_too_often_is_told_when_to_go_on(
    environment: dict[str, str], stripe_api: StripeApi, clock: MovableClock
) -> None:
    environment["RATE_LIMIT_PER_MINUTE"] = "1"
    async with world_of(environment, stripe_api, clock) as world:
        user = world.somebody()
        answers = [await user("GET", "/subscription") for _ in range(3)]

    # A minute may begin in between, but only one.
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["type"] == "urn:payments:problem:too-many-requests"
