"""A client of our messages that has none of our code: run by its path, isolated from the project.

    python -I -S golden_client.py LIBRARIES SCHEMA MESSAGE CONTENT_TYPE

LIBRARIES is the folder of its libraries. Prints what it understood of MESSAGE as JSON.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

libraries, schema, message = map(Path, sys.argv[1:4])
content_type = sys.argv[4]
# Added by hand, as -S keeps out what an installed project adds to the path by itself.
sys.path.append(str(libraries))
assert not any(map(find_spec, ("adapters", "contracts", "domain", "ports", "service")))

import jsonschema  # noqa: E402 - after its folder was added
from cloudevents.core.bindings.rabbitmq import (  # noqa: E402
    RabbitMQMessage,
    from_structured,
)
from cloudevents.core.formats.json import JSONFormat  # noqa: E402

assert "date-time" in jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers
body = message.read_bytes()
jsonschema.validate(
    json.loads(body),
    json.loads(schema.read_bytes()),
    format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
)
event = from_structured(
    RabbitMQMessage(headers={}, content_type=content_type, body=body),
    JSONFormat(),
)
sys.stdout.write(
    json.dumps(
        {
            "class": type(event).__module__,
            "attributes": {
                name: value if isinstance(value, str) else value.isoformat()
                for name, value in event.get_attributes().items()
            },
            "data": event.get_data(),
        }
    )
)
