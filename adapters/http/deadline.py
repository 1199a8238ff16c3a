"""No request of a user's takes longer than a gateway waits for it."""

from __future__ import annotations

from asyncio import timeout

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.problems import TookTooLong


class Deadline:
    """Breaks a request off after so many seconds, whatever it waits for then.

    Raises TookTooLong, unless its answer has begun. What is begun lets go first: a connection
    to the database that does not answer may take two seconds more, and as many the key of the
    request.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the request carried out in time."""
        time_limit = timeout(self._seconds)

        async def send_in_peace(message: Message) -> None:
            # What has begun to be answered is answered; there is no second answer to give.
            if not time_limit.expired():
                time_limit.reschedule(None)
            await send(message)

        try:
            async with time_limit:
                await self._app(scope, receive, send_in_peace)
        except TimeoutError:
            if not time_limit.expired():
                raise
            raise TookTooLong(self._seconds) from None
