"""What an operator wants to know before, and when, something is wrong."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Grade(StrEnum):
    """How bad it is: `warn` works for now, `fail` does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `todo` says what to do about it, where it is not ok.

    Neither holds a secret: no connection string, no key and no words of a library.
    """

    grade: Grade
    subject: str
    said: str
    todo: str | None = None


class Examiner(Protocol):
    """Looks at one thing the service depends on; changes nothing but what the service would."""

    async def examine(self) -> list[Finding]:
        """What was found. Never raises, and answers within a minute."""
        ...


def ok(subject: str, said: str) -> Finding:
    """All is well."""
    return Finding(Grade.OK, subject, said)


def warn(subject: str, said: str, todo: str) -> Finding:
    """It works for now."""
    return Finding(Grade.WARN, subject, said, todo)


def fail(subject: str, said: str, todo: str) -> Finding:
    """It does not work."""
    return Finding(Grade.FAIL, subject, said, todo)
