"""The tables in the pages about events; the words around them are written by hand."""

from __future__ import annotations

from typing import Any, Final

from contracts.schemas import data_fields, envelope_fields, meaning_of
from docs.generate import between
from domain import events
from service.event_messages import MESSAGE_TYPES

_BEGIN: Final = "<!-- {what}: begin, made by `make contracts` from service/event_messages.py -->\n"
_END: Final = "<!-- {what}: end -->\n"
# What every page has to say, in this order.
SECTIONS: Final = ("When it is sent", "Order and repetition", "What to do with it", "Fields")


def page(event: type[events.Event], text: str | None) -> str:
    """The page with its table as it should be; an empty one to fill where there is none."""
    if text is None:
        headings = "".join(f"\n## {section}\n" for section in SECTIONS)
        marks = _BEGIN.format(what="fields") + _END.format(what="fields")
        text = f"# {MESSAGE_TYPES[event].routing_key}\n{headings}\n{marks}"
    return _with(text, "fields", _table(data_fields(event)))


def index(text: str) -> str:
    """The README with its list of events and the table of the envelope as they should be."""
    lines = ["| event | it says | without a queue for it |", "|---|---|---|"]
    for event, kind in MESSAGE_TYPES.items():
        name = f"[`{kind.routing_key}`](events/{kind.routing_key}.md)"
        unroutable = "held" if kind.must_be_routed else "given up"
        lines.append(f"| {name} | {meaning_of(event)} | {unroutable} |")
    text = _with(text, "events", "\n".join(lines) + "\n")
    return _with(text, "envelope", _table(envelope_fields()))


def _with(text: str, what: str, table: str) -> str:
    return between(_BEGIN.format(what=what), _END.format(what=what), text, table)


def _table(fields: Any) -> str:
    rows = [
        f"| `{name}` | {_type_of(field)} | {field.get('description', '')} |"
        for name, field in fields.items()
    ]
    return "\n".join(["| field | type | meaning |", "|---|---|---|", *rows]) + "\n"


def _type_of(schema: Any) -> str:
    if "anyOf" in schema:
        return " or ".join(_type_of(choice) for choice in schema["anyOf"])
    return {"uuid": "UUID", "date-time": "time"}.get(schema.get("format", ""), str(schema["type"]))
