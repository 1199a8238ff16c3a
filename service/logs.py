"""One line per thing that happens: JSON for machines, colours for people."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor


def configure(log_format: str, log_level: str) -> None:
    """Set structlog up. `log_format` is json, console, or auto (console on a terminal)."""
    level = logging.getLevelNamesMapping()[log_level.upper()]
    # What libraries say through the standard library: only what is wrong with them.
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR, format="%(name)s: %(message)s")
    human = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_for_people() if human else _for_machines()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if human
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )


# Tracebacks never show local variables, as structlog's own defaults would: those hold keys,
# signatures and people's data.


def _for_people() -> list[Processor]:
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _for_machines() -> list[Processor]:
    plain = ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(plain),
        structlog.processors.JSONRenderer(serializer=_to_json),
    ]


def _to_json(entry: dict[str, Any], default: Callable[[Any], Any]) -> bytes:
    # A line for every webhook and another for what became of it: the standard library's encoder
    # would take twice as long. It takes what the other refuses, such as half a surrogate pair.
    try:
        return msgspec.json.encode(entry, enc_hook=default)
    except (ValueError, OverflowError, TypeError):
        return json.dumps(entry, default=default).encode()
