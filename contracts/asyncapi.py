"""The AsyncAPI document: where each message comes from, and what is in it."""

from __future__ import annotations

import json
from typing import Any, Final

from adapters.rabbitmq.batch_channel import APP_ID
from adapters.rabbitmq.event_publisher import CONTENT_TYPE, EXCHANGE
from contracts.examples import examples
from contracts.schemas import component_schemas, meaning_of
from domain import events
from service.event_messages import MESSAGE_TYPES, MessageType

# The version of the whole document; that of each message is in its type.
_VERSION: Final = "1.0.0"
_BINDING: Final = {"bindingVersion": "0.3.0"}
_DESCRIPTION: Final = """\
What became of every subscription and its payments. Messages are CloudEvents 1.0 in structured JSON.

Per subscription they come in the order of `sequence`, 1, 2, 3 …, each at least once, with an `id`
that a repeat shares. Bind a durable queue to the exchange with the routing keys you need, or
`payments.#` for all; the numbers are without gaps only for who takes all.
"""


def asyncapi() -> dict[str, Any]:
    """The document, of this service's side: it sends."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:payments:events",
        "info": {
            "title": "Payments events",
            "version": _VERSION,
            "description": _DESCRIPTION,
            "tags": [{"name": "subscriptions"}, {"name": "payments"}],
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "broker": {
                "host": "{host}",
                "protocol": "amqps",
                "description": "RabbitMQ, as the platform runs it.",
                "variables": {
                    "host": {
                        "description": "Host and port of the broker.",
                        "default": "rabbitmq.example.com:5671",
                    }
                },
            }
        },
        "channels": {
            kind.routing_key: _channel(event, kind) for event, kind in MESSAGE_TYPES.items()
        },
        "operations": {
            f"send{event.__name__}": _operation(event, kind)
            for event, kind in MESSAGE_TYPES.items()
        },
        "components": {
            "messages": {
                event.__name__: _message(event, kind) for event, kind in MESSAGE_TYPES.items()
            },
            "schemas": component_schemas(),
        },
    }


def _channel(event: type[events.Event], kind: MessageType) -> dict[str, Any]:
    return {
        "address": kind.routing_key,
        "title": event.__name__,
        "description": meaning_of(event),
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": EXCHANGE,
                    "type": "topic",
                    "durable": True,
                    "autoDelete": False,
                },
                **_BINDING,
            }
        },
    }


def _operation(event: type[events.Event], kind: MessageType) -> dict[str, Any]:
    if kind.must_be_routed:
        unroutable = "It is held, and all after it, until a queue takes it."
    else:
        unroutable = "It is given up where no queue takes it."
    channel = _pointer("channels", kind.routing_key)
    return {
        "action": "send",
        "channel": {"$ref": channel},
        "summary": f"Tell of {event.__name__}",
        "description": unroutable,
        "messages": [{"$ref": f"{channel}/messages/{event.__name__}"}],
        "bindings": {
            # Persistent, and returned by the broker where no queue takes it.
            "amqp": {"deliveryMode": 2, "mandatory": True, **_BINDING}
        },
    }


def _message(event: type[events.Event], kind: MessageType) -> dict[str, Any]:
    family = "payments" if kind.routing_key.startswith("payments.payment.") else "subscriptions"
    return {
        "name": kind.routing_key,
        "title": event.__name__,
        "summary": meaning_of(event),
        "description": (
            f"AMQP properties: `message_id` is the `id`, `type` the `type`, `app_id` {APP_ID}."
        ),
        "contentType": CONTENT_TYPE,
        "tags": [{"name": family}],
        "headers": {
            "type": "object",
            "description": "None: all there is to know stands in the body.",
        },
        "correlationId": {
            "description": "The trace that the causing webhook began.",
            "location": "$message.payload#/traceparent",
        },
        "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
        "bindings": {"amqp": {"messageType": kind.routing_key, **_BINDING}},
        "examples": [
            {"name": "example", "headers": {}, "payload": json.loads(examples()[event].body)}
        ],
    }


def _pointer(*parts: str) -> str:
    return "#/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)
