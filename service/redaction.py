"""What may be written down of an error: neither secrets nor more of a person than needed."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_EMAIL: Final = re.compile(r"([^\s@<>\"']{1,64})@([^\s@<>\"',;]{1,190})")
# The password of a URL, up to the last @: it may have one itself. Stripe's keys and signing
# secrets, tokens of users.
_PASSWORD: Final = re.compile(r"(://[^\s:/@\"]*:)[^\s\"]+@")
_SECRET: Final = re.compile(r"\b([rs]k_(?:test|live)_|whsec_)\w+|\beyJ[\w-]+\.[\w.-]+")
# What PostgreSQL and its driver quote of rows and of parameters.
_ROW: Final = re.compile(r"(DETAIL:  ).*?(?=\n\n|\nHINT:|\Z)", re.DOTALL)
_PARAMETER: Final = re.compile(r"(invalid input for query argument \$\d+)[^\n]*")


def redacted(text: str) -> str:
    """The text without secrets and what a database quotes of its rows, every email address cut
    down to its first letter and domain.
    """
    text = _ROW.sub(r"\1***", text)
    text = _PARAMETER.sub(r"\1: ***", text)
    text = _PASSWORD.sub(r"\1***@", text)
    text = _SECRET.sub(lambda found: f"{found[1] or ''}***", text)
    return _EMAIL.sub(lambda found: f"{found[1][0]}***@{found[2]}", text)


# Fields of Stripe's that say who somebody is or where they live, in whatever object.
_PERSONAL: Final = frozenset(
    {
        *("email", "name", "phone", "address", "ip", "tax_id", "last4", "fingerprint"),
        *("customer_email", "customer_name", "customer_phone", "customer_address"),
        *("customer_tax_ids", "tax_ids", "receipt_email", "individual_name", "business_name"),
    }
)


def without_people(payload: bytes) -> str:
    """A payload without what it says of people: those fields are there, and hold `***`."""
    try:
        said = json.loads(payload)
    except ValueError:
        return redacted(payload.decode(errors="replace"))
    return redacted(json.dumps(_masked(said), ensure_ascii=False, separators=(",", ":")))


def people_removed(payload: bytes) -> bytes:
    """A payload without the fields that say something of people, and without addresses elsewhere.

    They are not null but absent, so that whoever needs one does not take it for empty. Of a payload
    that nobody can take apart nothing is left.
    """
    try:
        said = _without_people(json.loads(payload))
    except (ValueError, RecursionError):
        return b"{}"
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _without_people(said: Any) -> Any:
    match said:
        case dict():
            return {k: _without_people(v) for k, v in said.items() if k not in _PERSONAL}
        case list():
            return [_without_people(one) for one in said]
        case str():
            return _EMAIL.sub("***", said)
        case _:
            return said


def _masked(said: Any) -> Any:
    match said:
        case dict():
            return {
                key: "***" if key in _PERSONAL and value is not None else _masked(value)
                for key, value in said.items()
            }
        case list():
            return [_masked(one) for one in said]
        case _:
            return said
