"""One line per thing that happens: JSON for machines, colours for people."""

from __future__ import annotations

import logging
import sys

import structlog


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
            *(
                [structlog.dev.ConsoleRenderer()]
                if human
                else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
