"""One trace from the webhook to the message; nothing secret in a log."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import MutableMapping
from typing import Any, Final
from unittest.mock import Mock

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service import logs
from service.tracing import continue_trace

TRACEPARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
SECRET: Final = "whsec_never_to_be_logged"

_OF_A_MODULE = structlog.get_logger()

hexadecimal = st.text(alphabet="0123456789abcdef", min_size=32, max_size=32)


@given(trace=hexadecimal, parent=hexadecimal, flags=st.integers(0, 255))
def test_a_callers_trace_is_continued_in_a_span_of_our_own(
    trace: str, parent: str, flags: int
) -> None:
    caller = f"00-{trace}-{parent[:16]}-{flags:02x}"
    ours = continue_trace(caller)

    assert TRACEPARENT.fullmatch(ours)
    assert ours[36:52] not in (parent[:16], "0" * 16)
    if trace != "0" * 32 and parent[:16] != "0" * 16:
        assert ours[:36] == caller[:36]
        assert ours[-2:] == caller[-2:]


@given(
    st.none()
    | st.text()
    | st.sampled_from(
        [
            "",
            "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
            "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
            "ff-" + "1" * 32 + "-" + "1" * 16 + "-01",
            "00-" + "A" * 32 + "-" + "1" * 16 + "-01",
            "00-" + "1" * 32 + "-" + "1" * 16 + "-01\n",
            "00-" + "1" * 32 + "-" + "1" * 16 + "-01-more",
        ]
    )
)
def test_anything_else_begins_a_trace_that_is_recorded(header: str | None) -> None:
    ours = continue_trace(header)

    assert TRACEPARENT.fullmatch(ours)
    assert ours[3:35] not in (header or "")
    assert ours[3:35] != "0" * 32
    assert ours.endswith("-01")


def test_no_two_traces_are_the_same() -> None:
    assert len({continue_trace(None)[3:35] for _ in range(100)}) == 100


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_error_is_logged_without_the_variables_it_happened_among(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(log_format, "info")
    log = structlog.get_logger("test")
    secret = SECRET
    try:
        raise LookupError(f"a secret of {len(secret)} characters was not found")
    except LookupError:
        log.exception("it_failed")
    log.debug("not said at this level")
    said = capsys.readouterr().err

    assert "it_failed" in said
    assert "LookupError" in said
    assert "was not found" in said
    assert SECRET not in said
    assert "not said" not in said
    if log_format == "json":
        entry = json.loads(said)
        assert entry["level"] == "error"
        assert entry["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_what_an_error_quotes_of_people_or_secrets_is_not_logged(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As asyncpg does of rows and parameters, in whatever place of a chain or of a group."""
    logs.configure(log_format, "info")
    secret = "sk_" + "test_51canary"
    try:
        try:
            raise ValueError("duplicate key\nDETAIL:  Key (name)=(Alice Canary) already exists.")
        except ValueError as row:
            inner = ValueError(f"invalid input for query argument $3: 'canary' ({secret})")
            inner.add_note("canary@example.com")
            raise ExceptionGroup("canary@example.com", [inner]) from row
    except ExceptionGroup:
        structlog.get_logger("test").exception("it_failed")
    logging.getLogger("aio_pika").error("canary@example.com", exc_info=ValueError(secret))
    said = capsys.readouterr().err

    assert "duplicate key" in said
    assert "query argument $3" in said
    assert "canary" not in said.lower(), said


def test_a_line_for_machines_holds_whatever_is_put_into_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("json", "info")
    structlog.get_logger("test").info(
        "it_happened", name="Jürgen", whole=3, nothing=None, error=ValueError("odd")
    )
    structlog.get_logger("test").info("it_is_odd", half="\ud800", huge=2**70)

    said, odd = capsys.readouterr().err.splitlines()
    assert (json.loads(odd)["half"], json.loads(odd)["huge"]) == ("\ud800", 2**70)
    entry = json.loads(said)
    assert entry["event"] == "it_happened"
    assert (entry["name"], entry["whole"], entry["nothing"]) == ("Jürgen", 3, None)
    assert entry["error"] == "ValueError('odd')"


def test_what_a_library_reports_is_a_line_for_machines_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.configure("json", "info")
    secret = SECRET
    try:
        raise LookupError(f"a secret of {len(secret)} characters was not found")
    except LookupError:
        logging.getLogger("uvicorn.error").exception("Exception in %s", "ASGI application")
    logging.getLogger("asyncio").warning("not said: nothing is wrong")

    (said,) = capsys.readouterr().err.splitlines()
    entry = json.loads(said)
    assert (entry["event"], entry["logger"]) == ("library_failed", "uvicorn.error")
    assert entry["message"] == "Exception in ASGI application"
    assert "LookupError" in said
    assert SECRET not in said


def test_lines_of_the_level_error_are_counted_by_their_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counted: list[str] = []
    logs.configure("json", "error", count_error=counted.append)
    log = structlog.get_logger("test")
    log.error("paid_after_the_end")
    log.warning("webhook_retry")
    try:
        raise LookupError
    except LookupError:
        log.exception("job_failed")

    assert counted == ["paid_after_the_end", "job_failed"]
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize("attempt", ["first", "second"])
def test_what_a_logger_says_is_captured_although_it_was_used_before(
    attempt: str, logged: list[MutableMapping[str, Any]]
) -> None:
    _OF_A_MODULE.info("captured", attempt=attempt)
    assert [line["attempt"] for line in logged] == [attempt]
    # As a process of the service does that is started within a test.
    logs.configure("json", "info")
    _OF_A_MODULE.info("said")


class Written(io.BytesIO):
    """Counts the writes."""

    count = 0

    def write(self, data: Any) -> int:
        self.count += 1
        return super().write(data)


async def test_the_lines_of_one_turn_of_the_event_loop_are_one_write() -> None:
    file = Written()
    lines = logs.ByTurns(file)
    for _ in range(2):
        for line in (b"one\n", b"two\n"):
            lines.write(line)
            lines.flush()
        await asyncio.sleep(0)

    assert (file.getvalue(), file.count) == (b"one\ntwo\n" * 2, 2)


def test_a_line_without_a_loop_or_in_one_that_ended_before_its_turn_is_not_kept_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = Written()
    lines = logs.ByTurns(file)

    def say(line: bytes) -> None:
        lines.write(line)
        lines.flush()

    say(b"one\n")
    assert file.getvalue() == b"one\n"
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "get_running_loop", Mock)  # it calls nobody
        say(b"two\n")
    assert file.getvalue() == b"one\n"
    say(b"three\n")
    assert file.getvalue() == b"one\ntwo\nthree\n"


async def test_where_nobody_reads_the_log_nothing_is_made_of_it() -> None:
    """To report it would be a line as well."""
    lines = logs.ByTurns(Mock(write=Mock(side_effect=BrokenPipeError)))
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    lines.write(b"one\n")
    lines.flush()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert complaints == []


def test_what_was_logged_last_is_written_before_the_process_ends() -> None:
    program = """
import asyncio, structlog
from service import logs
logs.configure("json", "info")
async def main():
    structlog.get_logger("test").info("the_last")
    raise SystemExit(3)
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert ended.returncode == 3
    assert b"the_last" in ended.stderr
