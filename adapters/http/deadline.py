"""No request of a user's takes longer than a gateway waits for it."""

from __future__ import annotations

import asyncio

from litestar.types import ASGIApp, Receive, Scope, Send

from adapters.http.problems import TookTooLong


class Deadline:
    """Breaks a request off after so many seconds, whatever it waits for then.

    Raises TookTooLong. What is begun lets go first: a connection to the database that does not
    answer may take two seconds more, and as many the key of the request.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the request carried out in time."""
        timeout = asyncio.timeout(self._seconds)
        try:
            async with timeout:
                await self._app(scope, receive, send)
        except TimeoutError:
            if not timeout.expired():
                raise
            raise TookTooLong(self._seconds) from None
