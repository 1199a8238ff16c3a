"""Verifies JSON Web Tokens with PyJWT. (RFC 7519, RFC 8725)"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

import jwt

from adapters.auth.keys import Keys
from ports.authentication import InsufficientScope, InvalidToken, User

# Seconds by which the clocks of issuer and service may differ.
_LEEWAY: Final = 30
# What our columns take, and what an address has at most (RFC 5321).
_LONGEST_EMAIL: Final = 254
_LONGEST_NAME: Final = 255
# The one form in which ids are written; UUID() alone would also take braces and URNs.
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_EMAIL: Final = re.compile(r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")

# Ids that stand for nobody. (RFC 9562, sections 5.9 and 5.10)
_NOBODY: Final = frozenset({UUID(int=0), UUID(int=2**128 - 1)})
# What has to be a moment, in seconds since 1970; the last one is that of the year 9999.
_MOMENTS: Final = ("exp", "nbf", "iat")
_LATEST: Final = 253_402_300_799

_HINTS: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "it has expired: sign in again",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidIssuerError: "it was issued by somebody else",
    jwt.InvalidAudienceError: "it was issued for another audience",
    jwt.MissingRequiredClaimError: "it lacks one of the claims exp, iss, aud and sub",
}


class JwtAuthenticator:
    """Takes tokens of one issuer for one audience."""

    def __init__(
        self, keys: Keys, *, issuer: str, audience: str, required_scope: Iterable[str] = ()
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._required_scope = tuple(required_scope)

    async def authenticate(self, token: str) -> User:
        """The user the token was issued to.

        Raises InvalidToken, InsufficientScope and KeysUnavailable.
        """
        claims = await self._verify(token)
        user = User(_id(claims["sub"]), _email(claims.get("email")), _name(claims.get("name")))
        granted = _scopes(claims.get("scope")) | _scopes(claims.get("scp"))
        if not granted.issuperset(self._required_scope):
            raise InsufficientScope(" ".join(self._required_scope))
        return user

    async def close(self) -> None:
        """Let go of the connections."""
        await self._keys.close()

    async def _verify(self, token: str) -> Mapping[str, Any]:
        # What a stranger sends may break the parser in ways that PyJWT does not catch.
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise InvalidToken("it is not a JSON Web Token") from None
        key = await self._keys.find(header.get("kid"))
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise InvalidToken(_HINTS.get(type(error), "it cannot be verified")) from None
        if not all(_is_moment(claims[name]) for name in _MOMENTS if name in claims):
            raise InvalidToken("one of its claims exp, nbf and iat is no time in seconds")
        return claims


def _id(claim: object) -> UUID:
    if not isinstance(claim, str) or not _UUID.fullmatch(claim) or UUID(claim) in _NOBODY:
        raise InvalidToken("its subject is not the id of a user")
    return UUID(claim)


def _is_moment(claim: object) -> bool:
    """PyJWT takes whatever int() takes: text, true and a date that never comes."""
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        return False
    return 0 <= claim <= _LATEST


def _scopes(claim: object) -> frozenset[str]:
    """Scopes as RFC 8693 writes them, separated by spaces, or as a list, which others prefer."""
    if isinstance(claim, str):
        return frozenset(claim.split(" "))
    if isinstance(claim, list):
        return frozenset(one for one in claim if isinstance(one, str))
    return frozenset()


def _email(claim: object) -> str | None:
    if not isinstance(claim, str) or len(claim) > _LONGEST_EMAIL:
        return None
    return claim if _EMAIL.fullmatch(claim) else None


def _name(claim: object) -> str | None:
    if not isinstance(claim, str):
        return None
    return claim.replace("\x00", "").strip()[:_LONGEST_NAME] or None
