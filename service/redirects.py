"""Where a buyer may be sent to: addresses of our own pages only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from service.refusals import Unacceptable

# What is not exactly this is refused, so that no two parsers can read it differently: ASCII, no
# user information, no backslash, nothing before or inside the host that is not part of its name.
_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?#][\x21-\x5b\x5d-\x7e]*)?",
    re.IGNORECASE | re.ASCII,
)
_PORTS: Final = {"http": 80, "https": 443}

Origin = tuple[str, str, int]


def origin_of(address: str) -> Origin | None:
    """Scheme, host and port of an address; None where it is not a plain one."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return None
    scheme = found["scheme"].lower()
    return scheme, found["host"].lower(), int(found["port"] or _PORTS[scheme])


class RedirectOrigins:
    """The origins that are allowed."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._allowed = {origin_of(origin) for origin in origins} - {None}

    def check(self, name: str, address: str) -> None:
        """Raise Unacceptable unless the address is on one of the origins."""
        if origin_of(address) not in self._allowed:
            raise Unacceptable(
                "redirect-not-allowed",
                f"{name} must lie on one of the configured origins "
                "(scheme, host and port have to be the same)",
            )
