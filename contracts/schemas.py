"""The JSON Schemas of the messages, from the types that they are encoded with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from domain import events
from service.event_messages import MESSAGE_TYPES, CloudEvent, MessageType

# Fields of the envelope that have a default for who reads, and that we always write.
_ALWAYS_WRITTEN: Final = ("specversion", "datacontenttype")


def event_schema(event: type[events.Event]) -> dict[str, Any]:
    """The schema of one message: the envelope with its type and its data."""
    routing_key = MESSAGE_TYPES[event].routing_key
    (root,), components = _schemas([event], "#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:payments:event:{routing_key}",
        **root,
        "$defs": components,
    }


def component_schemas() -> dict[str, Any]:
    """The schemas of all messages by name, as an AsyncAPI document holds them."""
    return _schemas(list(MESSAGE_TYPES), "#/components/schemas/{name}")[1]


def data_fields(event: type[events.Event]) -> Mapping[str, Any]:
    """The schema of each field of an event's data."""
    components = event_schema(event)["$defs"]
    fields: Mapping[str, Any] = components[MESSAGE_TYPES[event].data.__name__]["properties"]
    return fields


def envelope_fields() -> Mapping[str, Any]:
    """The schema of each field around the data."""
    fields = msgspec.json.schema(CloudEvent)["$defs"]["CloudEvent"]["properties"]
    return {name: field for name, field in fields.items() if name != "data"}


def meaning_of(event: type[events.Event]) -> str:
    """What the event says, in a sentence or two."""
    return " ".join((event.__doc__ or "").split())


def _schemas(
    kinds: list[type[events.Event]], ref_template: str
) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    roots, components = msgspec.json.schema_components(
        [_envelope(event, MESSAGE_TYPES[event]) for event in kinds], ref_template=ref_template
    )
    for event in kinds:
        envelope = components[event.__name__]
        envelope["description"] = meaning_of(event)
        envelope["required"] = sorted({*envelope["required"], *_ALWAYS_WRITTEN})
    return roots, components


def _envelope(event: type[events.Event], kind: MessageType) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        event.__name__,
        [("type", Literal[kind.routing_key]), ("data", kind.data)],
        bases=(CloudEvent,),
        kw_only=True,
    )
