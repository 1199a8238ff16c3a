"""Who the users are, and the tokens that say so."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid4, uuid5

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER: Final = "payments-sandbox"
AUDIENCE: Final = "payments"
# Seconds. A sandbox has nothing to protect, and nobody likes to be signed out while they try it.
LIFETIME: Final = 12 * 60 * 60
NEW: Final = "new"


class User(msgspec.Struct, frozen=True):
    """Somebody who can be signed in."""

    id: str
    email: str
    name: str


DEMO_USERS: Final = tuple(
    User(
        id=str(uuid5(NAMESPACE_URL, f"payments-sandbox/user/{number}")),
        email=f"demo-user-{number}@example.org",
        name=f"Demo user {number}",
    )
    for number in (1, 2, 3)
)


def find(user: str) -> User | None:
    """The demo user with this id, or somebody new."""
    if user == NEW:
        id_ = str(uuid4())
        return User(id_, f"new-user-{id_[:8]}@example.org", f"New user {id_[:8]}")
    return next((known for known in DEMO_USERS if known.id == user), None)


class Identity:
    """Issues tokens and reads them again. The key is kept in a file, if one is named.

    Raises ValueError where there is something else in that file.
    """

    def __init__(self, key_file: Path | None = None) -> None:
        self._key = _key(key_file)
        public = self._key.public_key()
        der = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key_id = sha256(der).hexdigest()[:16]
        self._jwk: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)

    def jwks(self) -> dict[str, Any]:
        """The public key, as an identity provider publishes it. (RFC 7517)"""
        return {"keys": [self._jwk | {"kid": self._key_id, "alg": "RS256", "use": "sig"}]}

    def mint(self, user: User) -> str:
        """A token for this user."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user.id,
            "email": user.email,
            "name": user.name,
            "iat": now,
            "exp": now + LIFETIME,
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def read(self, token: str | None) -> User | None:
        """The user of a token that is ours and still good."""
        if token is None:
            return None
        try:
            claims = jwt.decode(
                token, self._key.public_key(), ["RS256"], audience=AUDIENCE, issuer=ISSUER
            )
        except jwt.PyJWTError:
            return None
        return User(claims["sub"], claims["email"], claims["name"])


def _key(file: Path | None) -> rsa.RSAPrivateKey:
    if file is not None and file.exists():
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("it is not the key that was written here")
        return key
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if file is not None:
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.touch(mode=0o600)
        file.write_bytes(pem)
    return key
