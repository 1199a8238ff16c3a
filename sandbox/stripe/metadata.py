"""Metadata, and other fields that a request sets or unsets. (Stripe: Metadata)"""

from __future__ import annotations

from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.store import Json

# Stripe's limits: so many keys, characters in a key, characters in a value.
_KEYS, _KEY_LENGTH, _VALUE_LENGTH = 50, 40, 500


def update(obj: Json, params: dict[str, Any]) -> None:
    """Merge the metadata of a request; an empty value takes its key away, an empty text all."""
    given = params.get("metadata")
    if given is None:
        return
    obj["metadata"] = {} if given == "" else _merged(obj.get("metadata") or {}, given)


def new(params: dict[str, Any]) -> dict[str, str]:
    """The metadata of a request that creates something."""
    obj: Json = {}
    update(obj, params)
    metadata: dict[str, str] = obj.get("metadata", {})
    return metadata


def set_fields(obj: Json, params: dict[str, Any], *names: str) -> None:
    """Set the plain fields that a request gives; an empty text unsets one."""
    for name in names:
        if name in params:
            obj[name] = None if params[name] == "" else params[name]


def _merged(before: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    for key, value in given.items():
        if len(key) > _KEY_LENGTH or len(value) > _VALUE_LENGTH:
            raise errors.invalid_parameter(
                f"Metadata keys may have {_KEY_LENGTH} characters and values {_VALUE_LENGTH}",
                f"metadata[{key}]",
            )
    merged = {key: value for key, value in (before | given).items() if value != ""}
    if len(merged) > _KEYS:
        raise errors.invalid_parameter(f"Metadata may have {_KEYS} keys", "metadata")
    return merged
