"""Form-encoded requests, as the SDKs and the CLI write them.

`items[0][price]=p` and `expand[]=customer` become nested dictionaries; a list arrives as a
dictionary whose keys are indexes, and becomes a list where `parameters` expects one.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final
from urllib.parse import parse_qsl

from sandbox.stripe.errors import ValidationError

Form = dict[str, Any]

_SEGMENT: Final = re.compile(r"\[([^\[\]]*)\]")


def decode(body: str) -> Form:
    """The nested form behind a query string or a request's body."""
    form: Form = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        head, bracket, rest = name.partition("[")
        segments = [head, *_SEGMENT.findall(bracket + rest)]
        if (
            not head
            or "]" in head
            or head + "".join(f"[{segment}]" for segment in segments[1:]) != name
        ):
            raise ValidationError(f"Invalid parameter name: {name}")
        _put(form, segments, value)
    return form


def _put(form: Form, segments: list[str], value: str) -> None:
    node = form
    for segment, following in pairwise(segments):
        key = _next_index(node, following) if segment == "" else segment
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            raise ValidationError(f"Parameter {segments[0]} is both a value and a container")
        node = child
    last = segments[-1]
    node[str(len(node)) if last == "" else last] = value


def _next_index(node: Form, following: str) -> str:
    """Which element of a list `a[][b]` means: the last one, unless that has its `b` already."""
    last = str(len(node) - 1)
    if node and following and isinstance(node.get(last), dict) and following not in node[last]:
        return last
    return str(len(node))
