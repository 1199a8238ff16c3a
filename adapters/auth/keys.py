"""The keys that tokens are verified with, each with the algorithms it may be used for.

Which algorithms are allowed follows from the key, never from the token: a token cannot ask for
`none`, nor have a public key taken for a shared secret.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

import httpx
import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ports.authentication import InvalidToken, KeysUnavailable

log = structlog.get_logger(__name__)

# RFC 7518, section 3.3: shorter RSA keys must not be used.
_SMALLEST_RSA_KEY: Final = 2048
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[Mapping[str, str]] = {
    "secp256r1": "ES256",
    "secp384r1": "ES384",
    "secp521r1": "ES512",
}
_HMAC: Final = ("HS256", "HS384", "HS512")

# Seconds. Keys are rolled a few times a year, and a new one announces itself by its unknown id.
_FRESH_FOR: Final = 3600.0
# Seconds for which known keys are trusted while none can be fetched: by then the last tokens have
# expired, and whoever can keep us from the keys must not keep a withdrawn one alive.
_TRUSTED_FOR: Final = 6 * 3600.0
# Seconds between two fetches: tokens with made-up key ids must not become a flood of requests.
_SHORTEST_INTERVAL: Final = 10.0
_TIMEOUT: Final = 5.0


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key and what it may verify."""

    key: Any  # what PyJWT takes: a key of cryptography's, or the bytes of a secret
    algorithms: tuple[str, ...]


class Keys(Protocol):
    """Where keys come from."""

    async def find(self, key_id: str | None) -> VerifyingKey:
        """The key with this id. Raises InvalidToken and KeysUnavailable."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class OneKey:
    """A single key, whatever id a token names."""

    def __init__(self, key: VerifyingKey) -> None:
        self._key = key

    async def find(self, key_id: str | None) -> VerifyingKey:
        """The key."""
        return self._key

    async def close(self) -> None:
        """There is nothing to let go of."""


def public_key(pem: str) -> VerifyingKey:
    """The key in a PEM document. Raises ValueError where it is none that we can use."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("must be a public key in PEM form (BEGIN PUBLIC KEY)") from None
    algorithms = _algorithms_of(key)
    if not algorithms:
        raise ValueError("must be an RSA key of 2048 bits or more, a NIST curve's, or Ed25519")
    return VerifyingKey(key, algorithms)


def shared_secret(secret: str) -> VerifyingKey:
    """A secret that is also used to sign with."""
    return VerifyingKey(secret.encode(), _HMAC)


class JwksKeys:
    """The keys at a JWKS address, cached; fetched again when old or when a key id is unknown."""

    def __init__(self, url: str, *, monotonic: Callable[[], float] = monotonic) -> None:
        self._url = url
        self._now = monotonic
        self._http = httpx.AsyncClient(timeout=_TIMEOUT)
        self._keys: Mapping[str | None, VerifyingKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._failed = False
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str | None) -> VerifyingKey:
        """The key with this id; one without an id only where there is a single key."""
        known = self._get(key_id) is not None
        if not known or (self._is_older_than(_FRESH_FOR) and not self._waits_in_vain()):
            await self._refresh(key_id)
        if self._is_older_than(_TRUSTED_FOR):
            raise KeysUnavailable("the keys of the identity provider cannot be fetched")
        found = self._get(key_id)
        if found is not None:
            return found
        if self._failed:  # it may be one that was rolled in since
            raise KeysUnavailable("the keys of the identity provider cannot be fetched")
        raise InvalidToken("it was signed with a key that the identity provider does not list")

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    def _get(self, key_id: str | None) -> VerifyingKey | None:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _is_older_than(self, seconds: float) -> bool:
        return self._fetched_at is None or self._now() - self._fetched_at >= seconds

    def _waits_in_vain(self) -> bool:
        """Whether a fetch is under way that, after the last one, is likely to time out: one
        request waits for that, not all.
        """
        return self._fetching.locked() and self._failed

    async def _refresh(self, key_id: str | None) -> None:
        async with self._fetching:
            if not self._is_older_than(_FRESH_FOR) and self._get(key_id) is not None:
                return  # somebody else has just fetched it
            if self._tried_at is not None and self._now() - self._tried_at < _SHORTEST_INTERVAL:
                return
            self._tried_at = self._now()
            try:
                answer = await self._http.get(self._url)
                answer.raise_for_status()
                self._keys = _read(answer.json())
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
                # What was known before stays good for a while.
                log.warning("jwks_unavailable", error=type(error).__name__)
                self._failed = True
                return
            self._failed = False
            self._fetched_at = self._now()


def _read(document: object) -> Mapping[str | None, VerifyingKey]:
    """The usable keys of a JWKS. Raises ValueError where it is none."""
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise ValueError("not a JWKS")
    found: dict[str | None, VerifyingKey] = {}
    for jwk in keys:
        key = _read_one(jwk)
        if key is not None:
            found[jwk.get("kid")] = key
    return found


def _read_one(jwk: Any) -> VerifyingKey | None:
    """A key for signatures that is public, or None: a set may hold keys for other purposes."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or jwk.get("kty") == "oct":
        return None
    if not isinstance(jwk.get("kid"), str | None):
        return None
    try:
        key = jwt.PyJWK.from_dict(jwk).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    algorithms = _algorithms_of(key)
    if "alg" in jwk:
        algorithms = tuple(algorithm for algorithm in algorithms if algorithm == jwk["alg"])
    return VerifyingKey(key, algorithms) if algorithms else None


def _algorithms_of(key: object) -> tuple[str, ...]:
    match key:
        case RSAPublicKey(key_size=size) if size >= _SMALLEST_RSA_KEY:
            return _RSA
        case EllipticCurvePublicKey(curve=curve) if curve.name in _CURVES:
            return (_CURVES[curve.name],)
        case Ed25519PublicKey():
            return ("EdDSA",)
        case _:
            return ()
