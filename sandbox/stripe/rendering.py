"""Objects as they are answered: copied, and expanded where that was asked for.

A field that holds an id is expanded by looking the id up; a few fields are only there when asked
for. (Stripe: Expanding responses)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.stripe import checkout_sessions, errors, invoice_payments, invoices, subscriptions
from sandbox.stripe.store import Json, copy_of
from sandbox.stripe.world import World

# Stripe expands so many levels and no more.
_DEEPEST: Final = 4

# What is left out of an object unless it is asked for, and what it is.
_ON_REQUEST: Final[Mapping[tuple[str, str], Callable[[World, Json], Any]]] = {
    ("checkout.session", "line_items"): checkout_sessions.line_items,
    ("customer", "subscriptions"): subscriptions.list_of,
    ("invoice", "confirmation_secret"): invoices.confirmation_secret,
    ("invoice", "payments"): invoice_payments.list_of,
}


def render(world: World, obj: Json, expand: list[str]) -> Json:
    """A copy of an object with what is to be expanded in full."""
    shown: Json = copy_of(obj)
    for path in expand:
        segments = path.split(".")
        if len(segments) - (segments[0] == "data") > _DEEPEST:
            raise errors.invalid_parameter(
                f"You cannot expand more than {_DEEPEST} levels of a property. Property: {path}",
                "expand",
            )
        _expand(world, shown, segments, path)
    return shown


def _expand(world: World, node: Any, segments: list[str], path: str) -> None:
    if isinstance(node, list):
        for element in node:
            _expand(world, element, segments, path)
    elif segments and isinstance(node, dict):
        name, *rest = segments
        node[name] = _expanded(world, node, name, path)
        _expand(world, node[name], rest, path)


def _expanded(world: World, node: Json, name: str, path: str) -> Any:
    on_request = _ON_REQUEST.get((node.get("object", ""), name))
    if on_request is not None:
        return copy_of(on_request(world, node))
    value = node.get(name)
    if isinstance(value, list):
        return [_looked_up(world, element, path) for element in value]
    if name == "id" or name not in node:
        raise _not_expandable(path)
    return value if value is None else _looked_up(world, value, path)


def _looked_up(world: World, value: Any, path: str) -> Any:
    if isinstance(value, dict):
        return value
    found = world.store.find(value) if isinstance(value, str) else None
    if found is None:
        raise _not_expandable(path)
    return copy_of(found)


def _not_expandable(path: str) -> errors.ApiError:
    return errors.invalid_parameter(f"This property cannot be expanded ({path}).", "expand")
