"""What of a released contract was broken by a new one.

The only thing that may be done to a released contract is to add to it what nobody has to know of.
Everything is compared from where it is reached, with references followed, so that a schema may be
renamed or moved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

# What explains a schema and promises nothing.
_ANNOTATIONS: Final = frozenset(
    {"title", "description", "examples", "deprecated", "$comment", "$id", "$schema"}
)
_FOLLOWED: Final = frozenset(
    {
        "$ref",
        "$defs",
        "properties",
        "required",
        "enum",
        "x-extensible-enum",
        "x-statuses",
        "items",
        "default",
    }
)
_CHOICES: Final = ("anyOf", "oneOf", "allOf")
_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same place in both documents. `asked`: clients write it; otherwise they read it.

    `lasting`: what was written by the old one is still read with the new one.
    """

    old_document: _JSON
    new_document: _JSON
    where: str
    asked: bool = False
    lasting: bool = False

    def at(self, *steps: str) -> _Pair:
        return replace(self, where=".".join((self.where, *steps)))


def broken_messages(old: _JSON, new: _JSON) -> list[str]:
    """What readers of messages valid under `old` may trip over in those valid under `new`."""
    return list(_schema(_Pair(old, new, "message", lasting=True), old, new))


def broken_bytes(old: bytes, new: bytes) -> list[str]:
    """What of the message `old` is written otherwise in `new`, but for members that were added."""
    was, is_ = json.loads(old), json.loads(new)
    if _compact(is_) != new:  # which every message is, so that what follows hides no other form
        return ["message: is not written as compact JSON in UTF-8"]
    kept = _compact(_among(is_, was))
    return [] if kept == old else [f"message: was {old.decode()} and is {kept.decode()}"]


def _compact(message: Any) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _among(value: Any, known: Any) -> Any:
    """A value without the members, at any depth, that `known` has not."""
    if not isinstance(value, dict) or not isinstance(known, dict):
        return value
    return {name: _among(one, known[name]) for name, one in value.items() if name in known}


def broken_api(old: _JSON, new: _JSON) -> list[str]:
    """What clients written for the OpenAPI document `old` may trip over with `new`."""
    pair = _Pair(old, new, "api")
    return [*_surroundings(old, new), *_paths(pair, old["paths"], new["paths"])]


def broken_channels(old: _JSON, new: _JSON) -> list[str]:
    """What consumers bound by the AsyncAPI document `old` may trip over with `new`.

    What is in the messages is compared by their schemas.
    """
    return [
        f"{key}: {what} was {was!r} and is {new_promises.get(key, {}).get(what)!r}"
        for new_promises in [_delivery(new)]
        for key, promises in _delivery(old).items()
        for what, was in promises.items()
        if new_promises.get(key, {}).get(what) != was
    ]


def _delivery(document: _JSON) -> dict[str, dict[str, Any]]:
    """How the messages of each channel are delivered."""
    sent = {
        operation["channel"]["$ref"].removeprefix("#/channels/"): operation
        for operation in document["operations"].values()
    }
    return {
        key: {
            "address": channel["address"],
            "binding": channel["bindings"]["amqp"],
            "sending": sent.get(key, {}).get("bindings", {}).get("amqp"),
            "unroutable": sent.get(key, {}).get("description"),
            "content types": {
                name: _resolved(message, document).get("contentType")
                for name, message in channel["messages"].items()
            },
        }
        for key, channel in document["channels"].items()
    }


def _surroundings(old: _JSON, new: _JSON) -> Iterator[str]:
    """Where the API is and how one shows who one is."""
    addresses = [server["url"] for server in new.get("servers", ())]
    for server in old.get("servers", ()):
        if server["url"] not in addresses:
            yield f"servers: {server['url']} was removed"
    ours = old.get("components", {}).get("securitySchemes", {})
    theirs = new.get("components", {}).get("securitySchemes", {})
    for name, scheme in ours.items():
        for word in sorted({*scheme, *theirs.get(name, {})} - _ANNOTATIONS):
            is_ = theirs.get(name, {}).get(word)
            if scheme.get(word) != is_:
                yield f"securitySchemes.{name}: {word} was {scheme.get(word)!r} and is {is_!r}"


def _schema(pair: _Pair, old: _JSON, new: _JSON) -> Iterator[str]:
    old, new = _resolved(old, pair.old_document), _resolved(new, pair.new_document)
    yield from _properties(pair, old, new)
    yield from _values(pair, old, new)
    if "default" in old and new.get("default", ...) != old["default"]:
        yield f"{pair.where}: default was {old['default']!r} and is {new.get('default')!r}"
    if "items" in old and "items" in new:
        yield from _schema(pair.at("items"), old["items"], new["items"])
    elif ("items" in old) != ("items" in new):
        yield f"{pair.where}: what its items are was changed"
    for word in _CHOICES:
        ours, theirs = old.get(word, []), new.get(word, [])
        if len(ours) != len(theirs):
            yield f"{pair.where}: has another type than before"
            continue
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _schema(pair.at(f"{word}[{index}]"), one, other)
    for word in sorted({*old, *new} - _ANNOTATIONS - _FOLLOWED - {*_CHOICES}):
        if old.get(word) != new.get(word):
            yield f"{pair.where}: {word} was {old.get(word)!r} and is {new.get(word)!r}"


def _properties(pair: _Pair, old: _JSON, new: _JSON) -> Iterator[str]:
    ours, theirs = old.get("properties", {}), new.get("properties", {})
    for name in ours:
        if name not in theirs:
            yield f"{pair.where}.{name}: was removed or renamed"
        else:
            yield from _schema(pair.at(name), ours[name], theirs[name])
    was, is_ = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(is_ - was) if pair.asked or pair.lasting else ():
        lack = "clients do not send it" if pair.asked else "messages that are on their way lack it"
        yield f"{pair.where}.{name}: is required now, but {lack}"
    if not pair.asked:
        for name in sorted((was - is_) & set(theirs)):
            yield f"{pair.where}.{name}: was always there and may be left out now"


def _values(pair: _Pair, old: _JSON, new: _JSON) -> Iterator[str]:
    for value in old.get("x-extensible-enum", ()):
        if value not in new.get("x-extensible-enum", ()):
            yield f"{pair.where}: {value!r} is no longer among the values"
    statuses = new.get("x-statuses", {})
    for value, status in old.get("x-statuses", {}).items():
        if statuses.get(value) != status:
            yield f"{pair.where}: {value!r} came with {status} and does with {statuses.get(value)}"
    was, is_ = old.get("enum"), new.get("enum")
    if was is None and is_ is None:
        return
    if was is None or is_ is None:
        yield f"{pair.where}: a list of the possible values was {'added' if is_ else 'removed'}"
        return
    for value in was:
        if value not in is_:
            yield f"{pair.where}: {value!r} is no longer possible"
    for value in is_:
        if value not in was and not pair.asked:
            yield f"{pair.where}: {value!r} is possible now, and no client knows it"


def _paths(pair: _Pair, old: _JSON, new: _JSON) -> Iterator[str]:
    for path, methods in old.items():
        for method in methods.keys() & set(_METHODS):
            here = replace(pair, where=f"{method.upper()} {path}")
            if method not in new.get(path, {}):
                yield f"{here.where}: was removed or renamed"
            else:
                yield from _operation(here, methods[method], new[path][method])


def _operation(pair: _Pair, old: _JSON, new: _JSON) -> Iterator[str]:
    if new.get("security", []) != old.get("security", []):
        yield f"{pair.where}: who may call it was changed"
    asking = replace(pair, asked=True)
    yield from _parameters(asking, old.get("parameters", ()), new.get("parameters", ()))
    was, is_ = old.get("requestBody"), new.get("requestBody")
    if was is None and is_ is not None and is_.get("required"):
        yield f"{pair.where}: a body is required now"
    elif was is not None and is_ is None:
        yield f"{pair.where}: takes no body any more"
    elif was is not None and is_ is not None:
        if is_.get("required") and not was.get("required"):
            yield f"{pair.where}: a body is required now"
        yield from _content(asking.at("body"), was["content"], is_["content"])
    for status, answer in old["responses"].items():
        here = pair.at(status)
        if status not in new["responses"]:
            yield f"{here.where}: is no longer answered"
            continue
        other = new["responses"][status]
        yield from _content(here, answer.get("content", {}), other.get("content", {}))
        yield from _headers(here, answer.get("headers", {}), other.get("headers", {}))
    for status in new["responses"].keys() - old["responses"].keys():
        if status.startswith("2"):
            yield f"{pair.where}.{status}: is a success that no client expects"


def _headers(pair: _Pair, old: _JSON, new: _JSON) -> Iterator[str]:
    for name, header in old.items():
        if name not in new:
            yield f"{pair.where}: the header {name} was removed or renamed"
            continue
        if header.get("required") and not new[name].get("required"):
            yield f"{pair.where}: the header {name} was always there and may be left out now"
        here = pair.at("header", name)
        yield from _schema(here, header.get("schema", {}), new[name].get("schema", {}))


def _parameters(pair: _Pair, old: Any, new: Any) -> Iterator[str]:
    ours = {(found["in"], found["name"]): found for found in old}
    theirs = {(found["in"], found["name"]): found for found in new}
    for key, parameter in ours.items():
        here = pair.at(*key)
        if key not in theirs:
            yield f"{here.where}: was removed or renamed"
            continue
        if theirs[key].get("required") and not parameter.get("required"):
            yield f"{here.where}: is required now"
        yield from _schema(here, parameter["schema"], theirs[key]["schema"])
    for key in theirs.keys() - ours.keys():
        if theirs[key].get("required"):
            yield f"{pair.at(*key).where}: is required now, but clients do not send it"


def _content(pair: _Pair, old: _JSON, new: _JSON) -> Iterator[str]:
    for media_type, content in old.items():
        here = pair.at(media_type)
        if media_type not in new:
            yield f"{here.where}: was removed"
        else:
            yield from _schema(here, content.get("schema", {}), new[media_type].get("schema", {}))


def _resolved(schema: _JSON, document: _JSON) -> _JSON:
    while "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        schema = {**found, **{word: schema[word] for word in schema if word != "$ref"}}
    return schema
