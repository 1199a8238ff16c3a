"""Who is asking? There is no user store here: a user is who their token says."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class User:
    """A user of the platform, as a verified token names them."""

    id: UUID
    email: str | None = None
    name: str | None = None


class InvalidToken(Exception):
    """The token proves nothing. `hint` says why in general terms, and holds nothing of it."""

    def __init__(self, hint: str) -> None:
        super().__init__(hint)
        self.hint = hint


class InsufficientScope(Exception):
    """The token is genuine, but was not issued for what we do. `required` is what it lacks, as
    scopes separated by spaces.
    """

    def __init__(self, required: str) -> None:
        super().__init__(f"a scope is missing: {required}")
        self.required = required


class KeysUnavailable(Exception):
    """The keys to verify a token with cannot be had now: trying again later may help."""


class Authenticator(Protocol):
    """Verifies tokens."""

    async def authenticate(self, token: str) -> User:
        """The user the token was issued to.

        Raises InvalidToken, InsufficientScope and KeysUnavailable.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...
