"""The routes of the gateway. What they promise is written in the package's docstring."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import Annotated, Any, Final

import msgspec
from litestar import Litestar, Request, Response, asgi, delete, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.params import FromPath, JSONBody
from litestar.types import Receive, Scope, Send

from sandbox.gateway import identity
from sandbox.gateway.identity import DEMO_USERS, Identity, User
from sandbox.gateway.pages import Pages
from sandbox.gateway.proxy import Proxy
from sandbox.stripe.server import StripeSandbox
from sandbox.users_service import UsersService

COOKIE: Final = "sandbox_session"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class SignIn(msgspec.Struct, frozen=True):
    """Who wants to be signed in."""

    user: str


class Session(msgspec.Struct, frozen=True):
    """Who is signed in."""

    user: User | None


class Jump(msgspec.Struct, frozen=True):
    """How much time is to pass."""

    days: Annotated[float, msgspec.Meta(gt=0, le=3660)]


class StripeStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Where Stripe's stand-in is, and what time it is there."""

    now: datetime
    url: str
    control_panel: str


class BelievedSubscription(msgspec.Struct, frozen=True, rename="camel"):
    """A subscription as the users service believes it to be."""

    id: str
    status: str
    plan: str | None
    interval: str | None
    version: int
    access_until: str | None


class Believed(msgspec.Struct, frozen=True, rename="camel"):
    """What the users service believes of a user."""

    has_access: bool
    subscriptions: list[BelievedSubscription]
    # Messages that it has refused, of whomever they tell.
    dead_letters: int


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """The state of the sandbox, as the signed-in user may see it."""

    stripe: StripeStatus
    users_view: Believed | None


def create_gateway(
    issuer: Identity,
    service: str,
    stripe: StripeSandbox,
    users: UsersService,
    origins: Collection[str],
    pages: Pages,
) -> Litestar:
    """The gateway of a service at this address. `origins` are those that its pages come from."""

    def token_of(cookies: bytes) -> str | None:
        token = _cookie(cookies)
        return token if issuer.read(token) is not None else None

    def refuses(method: str, origin: str | None) -> bool:
        return method not in _SAFE and origin is not None and origin not in origins

    proxy = Proxy(service, token_of, refuses)

    def user_of(request: Request[Any, Any, Any]) -> User | None:
        return issuer.read(request.cookies.get(COOKIE))

    def refuse_other_origins(request: Request[Any, Any, Any]) -> None:
        origin = request.headers.get("origin")
        if refuses(request.method, origin):
            raise PermissionDeniedException(f"pages of {origin} may change nothing here")

    def status_for(user: User | None) -> Status:
        return Status(
            StripeStatus(
                datetime.fromtimestamp(stripe.clock.now(), UTC), stripe.url, f"{stripe.url}/sandbox"
            ),
            None if user is None else _believed(users, user, stripe.clock.now()),
        )

    @get("/session")
    async def session(request: Request[Any, Any, Any]) -> Session:
        return Session(user_of(request))

    @get("/session/users")
    async def known_users() -> list[User]:
        return list(DEMO_USERS)

    @post("/session")
    async def sign_in(data: JSONBody[SignIn]) -> Response[Session]:
        user = identity.find(data.user)
        if user is None:
            raise NotFoundException("there is no such user: GET /session/users lists them")
        cookie = Cookie(
            COOKIE,
            value=issuer.mint(user),
            httponly=True,
            samesite="lax",
            max_age=identity.LIFETIME,
        )
        return Response(Session(user), cookies=[cookie])

    @delete("/session", response_cookies=[Cookie(COOKIE, value="", max_age=0, httponly=True)])
    async def sign_out() -> None:
        return None

    @get("/sandbox/status")
    async def status(request: Request[Any, Any, Any]) -> Status:
        return status_for(user_of(request))

    @post("/sandbox/clock", status_code=200)
    async def advance(request: Request[Any, Any, Any], data: JSONBody[Jump]) -> Status:
        await stripe.advance(days=data.days)
        return status_for(user_of(request))

    @get("/.well-known/jwks.json")
    async def jwks() -> dict[str, Any]:
        return issuer.jwks()

    @get(["/", "/{path:path}"])
    async def page(path: FromPath[str] = "/") -> Response[bytes]:
        return pages.answer(path)

    @asgi("/api/payments", is_mount=True, copy_scope=True)
    async def payments(scope: Scope, receive: Receive, send: Send) -> None:
        await proxy(scope, receive, send)

    return Litestar(
        [session, known_users, sign_in, sign_out, status, advance, jwks, page, payments],
        before_request=refuse_other_origins,
        on_shutdown=[proxy.close],
        openapi_config=None,
        logging_config=None,
    )


def _cookie(cookies: bytes) -> str | None:
    try:
        found = SimpleCookie(cookies.decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None else None


def _believed(users: UsersService, user: User, now: int) -> Believed:
    at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Believed(
        users.view.has_access(user.id, at),
        [
            BelievedSubscription(
                id_, seen.status, seen.plan, seen.interval, seen.version, seen.access_until
            )
            for id_, seen in users.view.users.get(user.id, {}).items()
        ],
        len(users.dead_letters),
    )
