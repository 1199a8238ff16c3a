"""Which parameters an endpoint takes, by the SDK's own parameter types.

The installed SDK carries Stripe's parameters at the version it pins as TypedDicts. A request is
read against them, so that a parameter Stripe does not know, a missing one and a value out of
range are refused as Stripe refuses them. A parameter that Stripe knows but the sandbox does not
play is refused too, and says so. (Stripe: API reference, Errors)
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import import_module
from typing import Any, Final, Literal, Union, get_args, get_origin

import typing_extensions
from stripe import RequestOptions

from sandbox.stripe import errors
from sandbox.stripe.forms import Form

_OF_THE_SDK: Final = frozenset(RequestOptions.__annotations__)
# Names that the SDK's annotations use for type checkers alone.
_NAMES: Final = {"StripeContext": object, "Mapping": Mapping}


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one endpoint: `played` are the ones it acts on, `ignored` ones it takes.

    `type_` names a class in `stripe.params`; without one the endpoint takes no parameters, and
    an empty one stands for what Stripe does not document: texts under the names played.
    """

    type_: str | None
    played: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    def read(self, form: Form) -> dict[str, Any]:
        """The values of a request, with their types. Raises ValidationError."""
        if self.type_ is None:
            return _read_struct(_Bare, form, "")
        if not self.type_:
            return {name: _text(value, name) for name, value in form.items() if name in self.played}
        values = _read_struct(_class(self.type_), form, "")
        for name in values:
            if name not in self.played | self.ignored | {"expand"}:
                raise errors.not_played(name)
        return {name: value for name, value in values.items() if name not in self.ignored}


def takes(type_: str | None, played: str = "", ignored: str = "") -> Parameters:
    """Parameters named in words, as the routing table lists them."""
    return Parameters(type_, frozenset(played.split()), frozenset(ignored.split()))


class _Bare(typing_extensions.TypedDict, total=False):
    expand: list[str]


@cache
def _class(name: str) -> Any:
    module, _, class_ = name.rpartition(".")
    return getattr(import_module(f"stripe.params.{module}".rstrip(".")), class_)


@cache
def _fields(struct: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(struct, localns=_NAMES)
    return {name: hint for name, hint in hints.items() if name not in _OF_THE_SDK}


def _read_struct(struct: Any, form: Form, path: str) -> dict[str, Any]:
    fields = _fields(struct)
    unknown = [_join(path, name) for name in form if name not in fields]
    if unknown:
        raise errors.unknown_parameters(unknown)
    for name in fields:
        if name in struct.__required_keys__ and name not in form:
            raise errors.missing_parameter(_join(path, name))
    return {name: _read(fields[name], value, _join(path, name)) for name, value in form.items()}


def _read(hint: Any, value: Any, path: str) -> Any:
    """One value as its type. A form knows texts and containers only."""
    options = _options(hint)
    if isinstance(value, dict):
        return _read_container(options, value, path)
    choices = [choice for option in options for choice in _choices(option)]
    if value in choices:
        return value
    if value == "":
        raise errors.invalid_parameter(
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to "
            f"unset a parameter; however '{path}' cannot be unset. You should remove '{path}' "
            "from your request or supply a non-empty value.",
            path,
            "parameter_invalid_empty",
        )
    return _read_scalar(options, [choice for choice in choices if choice], value, path)


def _read_container(options: list[Any], value: Form, path: str) -> Any:
    for option in options:
        if typing_extensions.is_typeddict(option):
            return _read_struct(option, value, path)
        if get_origin(option) is list:
            (item,) = get_args(option)
            if not all(index.isdecimal() for index in value):
                raise errors.invalid_parameter("Invalid array", path)
            ordered = sorted(value.items(), key=lambda entry: int(entry[0]))
            return [_read(item, element, f"{path}[{index}]") for index, element in ordered]
        if get_origin(option) is dict:
            return {name: _text(text, _join(path, name)) for name, text in value.items()}
    raise errors.invalid_parameter("Invalid string: a container was given", path)


def _read_scalar(options: list[Any], choices: list[str], value: str, path: str) -> Any:
    for type_ in (bool, int, Decimal, float):
        if type_ in options:
            return _SCALARS[type_](value, path)
    # A list of choices is open in the SDK's types, but not at Stripe.
    if choices:
        raise errors.invalid_parameter(
            f"Invalid {path}: must be one of {', '.join(choices[:-1])}"
            f"{' or ' if choices[:-1] else ''}{choices[-1]}",
            path,
        )
    if str not in options:
        raise errors.invalid_parameter("Invalid object", path)
    return value


def _options(hint: Any) -> list[Any]:
    """The alternatives of a type."""
    if get_origin(hint) in (Union, types.UnionType):
        return [option for member in get_args(hint) for option in _options(member)]
    return [hint]


def _choices(option: Any) -> tuple[str, ...]:
    return get_args(option) if get_origin(option) is Literal else ()


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise errors.invalid_parameter("Invalid string", path)
    return value


def _boolean(value: str, path: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise errors.invalid_parameter(f"Invalid boolean: {value}", path)
    return value.lower() == "true"


def _integer(value: str, path: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise errors.invalid_parameter(
            f"Invalid integer: {value}", path, "parameter_invalid_integer"
        ) from None


def _decimal(value: str, path: str) -> Decimal:
    try:
        return Decimal(value)
    except InvalidOperation:
        raise errors.invalid_parameter(f"Invalid decimal: {value}", path) from None


_SCALARS: Final[dict[Any, Any]] = {
    bool: _boolean,
    int: _integer,
    Decimal: _decimal,
    float: _decimal,
}


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
