"""What may be written down of an error: neither secrets nor more of a person than needed."""

from __future__ import annotations

import re
from typing import Final

_EMAIL: Final = re.compile(r"([^\s@<>\"']{1,64})@([^\s@<>\"',;]{1,190})")
# The password of a URL, up to the last @: it may have one itself. Stripe's keys and signing
# secrets, tokens of users.
_PASSWORD: Final = re.compile(r"(://[^\s:/@]*:)\S+@")
_SECRET: Final = re.compile(r"\b([rs]k_(?:test|live)_|whsec_)\w+|\beyJ[\w-]+\.[\w.-]+")


def redacted(text: str) -> str:
    """The text without secrets, every email address cut down to its first letter and domain."""
    text = _PASSWORD.sub(r"\1***@", text)
    text = _SECRET.sub(lambda found: f"{found[1] or ''}***", text)
    return _EMAIL.sub(lambda found: f"{found[1][0]}***@{found[2]}", text)
