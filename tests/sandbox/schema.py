"""Checks objects against the SDK's own type annotations.

The annotations of the installed SDK describe every object of the API at the version it pins:
which fields there are, which may be null, which values an enumeration has. What may be null may
also be absent. An enumeration is closed here, though the SDK leaves most of them open, since the
sandbox has no business inventing values.
"""

import ast
import importlib
import inspect
import types
import typing
from decimal import Decimal
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import stripe
from stripe._object_classes import get_object_class
from stripe._stripe_object import UntypedStripeObject

# What Stripe sends without documenting it.
UNDOCUMENTED = {("subscription", "plan"), ("subscription", "quantity")}


class SchemaError(AssertionError):
    """An object is not as the SDK says."""


def check(answer: Any) -> None:
    """Check an object, or a list of them, as the API answered it. Raises SchemaError."""
    problems = list(_check_any(answer, answer.get("object", "?")))
    if problems:
        raise SchemaError("\n".join(problems))


def _check_any(value: dict[str, Any], path: str) -> typing.Iterator[str]:
    kind = value.get("object")
    if kind == "list":
        yield from _check_list(value, None, path)
    elif value.get("deleted") is True:
        if set(value) != {"id", "object", "deleted"}:
            yield f"{path}: a deleted object has only id, object and deleted"
    elif kind == "event":
        yield from _check_struct(value, stripe.Event, path)
        yield from _check_any(value["data"]["object"], f"{path}.data.object")
    else:
        yield from _check_struct(value, get_object_class("V1", str(kind)), path)


def _check_struct(value: Any, class_: type, path: str) -> typing.Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not a {class_.__name__}"
        return
    hints = _hints(class_)
    for name, hint in hints.items():
        if name not in value and not _nullable(hint):
            yield f"{path}.{name}: missing"
    for name, member in value.items():
        if name in hints:
            yield from _check(member, hints[name], f"{path}.{name}")
        elif (value.get("object"), name) not in UNDOCUMENTED:
            yield f"{path}.{name}: not a field of {class_.__qualname__}"


def _check(value: Any, hint: Any, path: str) -> typing.Iterator[str]:
    options = _options(hint)
    if value is None:
        if type(None) not in options and Any not in options:
            yield f"{path}: null"
        return
    if Any in options:
        return
    choices = [choice for option in options for choice in _choices(option)]
    if choices and isinstance(value, str | bool):
        if value not in choices:
            yield f"{path}: {value!r} is none of {choices}"
        return
    attempts = [list(_check_one(value, option, path)) for option in options if option is not None]
    if all(attempts):
        yield from min(attempts, key=len)


def _check_one(value: Any, option: Any, path: str) -> typing.Iterator[str]:
    origin = get_origin(option) or option
    if origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is not a list"
            return
        for index, element in enumerate(value):
            yield from _check(element, get_args(option)[0], f"{path}[{index}]")
    elif origin is stripe.ListObject:
        yield from _check_list(value, get_args(option)[0], path)
    elif origin in (dict, UntypedStripeObject):
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is not an object"
    elif isinstance(origin, type) and issubclass(origin, stripe.StripeObject):
        if isinstance(value, dict) and value.get("deleted") is True:
            return
        yield from _check_struct(value, origin, path)
    elif not _is(value, origin):
        yield f"{path}: {value!r} is not a {origin}"


def _check_list(value: Any, of: Any, path: str) -> typing.Iterator[str]:
    if not isinstance(value, dict) or set(value) != {"object", "data", "has_more", "url"}:
        yield f"{path}: {value!r} is not a list object"
        return
    for index, element in enumerate(value["data"]):
        where = f"{path}.data[{index}]"
        yield from _check_any(element, where) if of is None else _check(element, of, where)


def _is(value: Any, type_: Any) -> bool:
    if type_ is Decimal:
        return isinstance(value, str)
    if type_ is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if type_ is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(type_, type) and isinstance(value, type_)


def _nullable(hint: Any) -> bool:
    return type(None) in _options(hint) or Any in _options(hint)


def _options(hint: Any) -> list[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        return [option for member in get_args(hint) for option in _options(member)]
    return [hint]


def _choices(option: Any) -> tuple[Any, ...]:
    return get_args(option) if get_origin(option) is Literal else ()


@cache
def _hints(class_: type) -> dict[str, Any]:
    names = _imported_for_types(class_.__module__)
    hints = typing.get_type_hints(class_, localns=dict(names))
    own = inspect.get_annotations(class_)
    return {
        name: hint
        for name, hint in hints.items()
        if name in own and not name.startswith("_") and get_origin(hint) is not typing.ClassVar
    }


@cache
def _imported_for_types(module: str) -> dict[str, Any]:
    """What a module of the SDK imports for type checkers alone."""
    loaded = importlib.import_module(module)
    tree = ast.parse(inspect.getsource(loaded))
    names: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            for statement in node.body:
                if isinstance(statement, ast.ImportFrom) and statement.module:
                    if ".params." in statement.module:
                        continue
                    source = importlib.import_module(statement.module)
                    for alias in statement.names:
                        names[alias.asname or alias.name] = getattr(source, alias.name)
    return names
