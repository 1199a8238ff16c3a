"""One line per thing that happens: JSON for machines, colours for people."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import io
import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, TextIO, cast

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, ExcInfo, Processor

from service.redaction import redacted

log = structlog.get_logger(__name__)


# What is logged as an error, in a test held to be all of it: an operator should look. Metrics count
# them by these names.
ERRORS: Final = (
    "attempt_not_closed",
    "batch_failed",
    "charged_otherwise_than_shown",
    "customer_created_twice",
    "duplicate_subscription",
    "ended_with_unknown_debts",
    "job_failed",
    "library_failed",
    "paid_after_the_end",
    "partitions_not_renewed",
    "prices_unknown",
    "provider_lookup_failed",
    "request_failed",
    "stage_failed",
    "webhook_dead",
)


def configure(
    log_format: str, log_level: str, *, count_error: Callable[[str], None] | None = None
) -> None:
    """Set structlog up. `log_format` is json, console, or auto (console on a terminal);
    `count_error` is told the name of every line of the level error.
    """
    level = logging.getLevelNamesMapping()[log_level.upper()]
    human = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *([_counting(count_error)] if count_error else []),
            *(_for_people() if human else _for_machines()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if human
        else structlog.BytesLoggerFactory(cast("BinaryIO", ByTurns(sys.stderr.buffer))),
        cache_logger_on_first_use=True,
    )
    # What libraries say through the standard library: only what is wrong with them.
    logging.basicConfig(handlers=[_Library()], level=logging.ERROR)


class ByTurns:
    """Writes the lines of one turn of the event loop together, at its end: under load there are
    dozens, and a write for each would take as long as making it. Without a loop, and at the end of
    the process, they are written at once.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lines: list[bytes] = []
        self._written_by: asyncio.AbstractEventLoop | None = None
        atexit.register(self._write_all)

    def write(self, line: bytes) -> None:
        """Keep a line until its turn ends."""
        self._lines.append(line)

    def flush(self) -> None:
        """Have what is kept written: now, or when this turn ends."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write_all()
            return
        if loop is not self._written_by:  # one that was stopped before its turn ended never will
            self._written_by = loop
            loop.call_soon(self._write_all)

    def _write_all(self) -> None:
        self._written_by = None
        lines, self._lines = self._lines, []
        # Where nobody reads them they are lost: to report that would be a line as well.
        with contextlib.suppress(OSError, ValueError):
            self._file.write(b"".join(lines))
            self._file.flush()


class _Library(logging.Handler):
    """Has what a library reports be a line like any other."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log it as an error."""
        try:
            message = redacted(record.getMessage())
        except (TypeError, ValueError):  # it names other values than it is given
            message = str(record.msg)
        log.error("library_failed", logger=record.name, message=message, exc_info=record.exc_info)


def _counting(count_error: Callable[[str], None]) -> Processor:
    def count(_: Any, __: str, entry: EventDict) -> EventDict:
        if entry["level"] == "error":
            count_error(entry["event"])
        return entry

    return count


# Tracebacks never show local variables, as structlog's own defaults would: those hold keys,
# signatures and people's data. What an error says may quote those, too.


def _for_people() -> list[Processor]:
    def traceback(written: TextIO, error: ExcInfo) -> None:
        plain = io.StringIO()
        structlog.dev.plain_traceback(plain, error)
        written.write(redacted(plain.getvalue()))

    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(exception_formatter=traceback),
    ]


def _for_machines() -> list[Processor]:
    plain = ExceptionDictTransformer(show_locals=False)

    def told(exc_info: ExcInfo) -> Any:
        return _errors_redacted(plain(exc_info))

    return [
        _stamped,
        structlog.processors.ExceptionRenderer(told),
        structlog.processors.JSONRenderer(serializer=_to_json),
    ]


def _stamped(_: Any, __: str, entry: EventDict) -> EventDict:
    # Written out by `_to_json`, in the format of structlog's own stamp for a quarter of its time.
    entry["timestamp"] = datetime.now(UTC)
    return entry


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
        stamp = f"{entry['timestamp']:%Y-%m-%dT%H:%M:%S.%fZ}"
        return json.dumps({**entry, "timestamp": stamp}, default=default).encode()
