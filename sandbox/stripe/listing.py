"""Cursor pagination. (Stripe: Pagination)"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.store import Json, Store

PAGING = "limit starting_after ending_before"
# Stripe lists ten where no limit is given, and a hundred at most.
_DEFAULT, _MOST = 10, 100


def page(store: Store, found: Iterable[Json], params: dict[str, Any], url: str) -> Json:
    """One page of what was found, the newest first; `found` is the oldest first.

    A cursor may be any object there is: one that has just ceased to fit what was asked for is
    still a place to go on from.
    """
    limit = params.get("limit", _DEFAULT)
    if not 1 <= limit <= _MOST:
        raise errors.invalid_parameter(f"Invalid limit: must be between 1 and {_MOST}", "limit")
    newest = list(found)[::-1]
    if "ending_before" in params:
        before = newest[: _between(store, newest, params, "ending_before")[0]]
        return _list(before[-limit:], url, has_more=len(before) > limit)
    start = (
        _between(store, newest, params, "starting_after")[1] if "starting_after" in params else 0
    )
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


def _between(
    store: Store, newest: list[Json], params: dict[str, Any], cursor: str
) -> tuple[int, int]:
    """How many are newer than the cursor, and where those begin that are older."""
    for position, obj in enumerate(newest):
        if obj["id"] == params[cursor]:
            return position, position + 1
    age = store.number_of(params[cursor])
    if age is None:
        raise errors.no_such("object", params[cursor], param=cursor)
    newer = sum(1 for obj in newest if (store.number_of(obj["id"]) or 0) > age)
    return newer, newer


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
