"""One line per thing that happens: JSON for machines, colours for people."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable
from typing import Any, TextIO

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import ExcInfo, Processor

from service.redaction import redacted


def configure(log_format: str, log_level: str) -> None:
    """Set structlog up. `log_format` is json, console, or auto (console on a terminal)."""
    level = logging.getLevelNamesMapping()[log_level.upper()]
    # What libraries say through the standard library: only what is wrong with them.
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(_Redacted("%(name)s: %(message)s"))
    logging.basicConfig(handlers=[libraries], level=logging.ERROR)
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
# signatures and people's data. What an error says may quote those, too.


class _Redacted(logging.Formatter):
    """What libraries say."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _for_people() -> list[Processor]:
    def traceback(written: TextIO, error: ExcInfo) -> None:
        plain = io.StringIO()
        structlog.dev.plain_traceback(plain, error)
        written.write(redacted(plain.getvalue()))

    return [structlog.dev.ConsoleRenderer(exception_formatter=traceback)]


def _for_machines() -> list[Processor]:
    plain = ExceptionDictTransformer(show_locals=False)

    def told(exc_info: ExcInfo) -> Any:
        return _errors_redacted(plain(exc_info))

    return [
        structlog.processors.ExceptionRenderer(told),
        structlog.processors.JSONRenderer(serializer=_to_json),
    ]


def _errors_redacted(said: Any) -> Any:
    """What is said of an exception and its causes, all texts of which may be those of errors."""
    match said:
        case str():
            return redacted(said)
        case dict():
            return {key: _errors_redacted(value) for key, value in said.items()}
        case list():
            return [_errors_redacted(one) for one in said]
        case _:
            return said


def _to_json(entry: dict[str, Any], default: Callable[[Any], Any]) -> bytes:
    # A line for every webhook and another for what became of it: the standard library's encoder
    # would take twice as long. It takes what the other refuses, such as half a surrogate pair.
    try:
        return msgspec.json.encode(entry, enc_hook=default)
    except (ValueError, OverflowError, TypeError):
        return json.dumps(entry, default=default).encode()
