"""Cursor pagination. (Stripe: Pagination)"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.store import Json

PAGING = "limit starting_after ending_before"
# Stripe lists ten where no limit is given, and a hundred at most.
_DEFAULT, _MOST = 10, 100


def page(found: Iterable[Json], params: dict[str, Any], url: str) -> Json:
    """One page of what was found, the newest first; `found` is the oldest first."""
    limit = params.get("limit", _DEFAULT)
    if not 1 <= limit <= _MOST:
        raise errors.invalid_parameter(f"Invalid limit: must be between 1 and {_MOST}", "limit")
    newest = list(found)[::-1]
    if "ending_before" in params:
        before = newest[: _position(newest, params, "ending_before")]
        return _list(before[-limit:], url, has_more=len(before) > limit)
    start = _position(newest, params, "starting_after") + 1 if "starting_after" in params else 0
    return _list(newest[start : start + limit], url, has_more=len(newest) > start + limit)


def whole(data: list[Json], url: str) -> Json:
    """A list inside another object, complete."""
    return _list(data, url, has_more=False)


def matches(obj: Json, params: dict[str, Any], *names: str) -> bool:
    """Whether an object has the values asked for; `created` may be a range."""
    return all(
        _within(obj[name], params[name]) if name == "created" else obj[name] == params[name]
        for name in names
        if name in params
    )


def _position(data: list[Json], params: dict[str, Any], cursor: str) -> int:
    for position, obj in enumerate(data):
        if obj["id"] == params[cursor]:
            return position
    raise errors.no_such("object", params[cursor], param=cursor)


def _within(moment: int, asked: Any) -> bool:
    if not isinstance(asked, dict):
        return bool(moment == asked)
    return bool(
        moment > asked.get("gt", moment - 1)
        and moment >= asked.get("gte", moment)
        and moment < asked.get("lt", moment + 1)
        and moment <= asked.get("lte", moment)
    )


def _list(data: list[Json], url: str, *, has_more: bool) -> Json:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}
