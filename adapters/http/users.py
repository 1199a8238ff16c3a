"""Who is asking, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import ceil
from time import monotonic
from typing import Any, Final
from uuid import UUID

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from adapters.http.problems import NoToken, TooManyRequests
from ports.authentication import Authenticator, User

UserRequest = Request[User, Any, Any]

_WINDOW: Final = 60
# Who has counts in a minute: some 15 MB. One more, and the longest known begins anew.
_MOST_USERS: Final = 100_000


class RateLimit:
    """So many requests of one user in a minute, counted in this process."""

    def __init__(self, per_minute: int, *, monotonic: Callable[[], float] = monotonic) -> None:
        self._per_minute = per_minute
        self._now = monotonic
        self._window = -1
        self._counts: Counter[UUID] = Counter()

    def count(self, user_id: UUID) -> None:
        """Count a request. Raises TooManyRequests."""
        window, elapsed = divmod(self._now(), _WINDOW)
        if window != self._window:
            self._window, self._counts = int(window), Counter()
        if len(self._counts) >= _MOST_USERS and user_id not in self._counts:
            del self._counts[next(iter(self._counts))]
        self._counts[user_id] += 1
        if self._counts[user_id] > self._per_minute:
            raise TooManyRequests(ceil(_WINDOW - elapsed))


class Authentication(AbstractAuthenticationMiddleware):
    """Lets requests with a valid bearer token through, as their user."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator, rate_limit: RateLimit) -> None:
        super().__init__(app)
        self._authenticator = authenticator
        self._rate_limit = rate_limit

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        """The user.

        Raises NoToken, InvalidToken, InsufficientScope, KeysUnavailable and TooManyRequests.
        """
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NoToken
        user = await self._authenticator.authenticate(token.strip())
        self._rate_limit.count(user.id)
        return AuthenticationResult(user=user, auth=None)
