"""Looks for known holes in what we depend on, and for secrets in what we keep: `make audit`.

The exit status is 1 where something was found. Where no source of advisories can be reached that
is said plainly, and is no failure: it would be one of the network.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from detect_secrets import SecretsCollection
from detect_secrets.settings import transient_settings

ROOT: Final = Path(__file__).parents[1]
LOCKS: Final = ("requirements.lock", "requirements-dev.lock")
# Who publishes advisories, in the order in which they are asked.
SOURCES: Final = ("pypi", "osv")
_PATIENCE: Final = 300  # seconds

# Each knows the form of one kind of secret. Those that measure entropy or look for words such as
# "password" find every test here and are left out.
_DETECTORS: Final = (
    "ArtifactoryDetector",
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "DiscordBotTokenDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "MailchimpDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "SquareOAuthDetector",
    "StripeDetector",
    "TelegramBotTokenDetector",
    "TwilioKeyDetector",
)
# The host of every URL with a password, and those to which a password opens nothing: of this
# machine, of this compose file, of an example, or filled in when the program runs.
_HOST: Final = re.compile(r"://[^\s:/@]*:[^\s@]+@(\{[^}\s]*\}?|[\w.-]*)")
_OPENS_NOTHING: Final = re.compile(
    r"127\.0\.0\.1|localhost|postgres|rabbitmq|host|([\w-]+\.)*example(\.com)?|\{.*"
)

# What no source of advisories could be asked about, for the last line.
_not_audited: list[str] = []


def main() -> int:
    """Do all three; 1 where anything was found."""
    findings: list[str] = []
    for lock in LOCKS:
        findings += python_dependencies(ROOT / lock)
    findings += web_dependencies(ROOT / "web")
    findings += secrets(_tracked())
    for finding in findings:
        _say(f"FOUND  {finding}")
    said = f"{len(findings)} found" if findings else "nothing found"
    left_out = f"; NOT AUDITED: {', '.join(_not_audited)}" if _not_audited else ""
    _say(f"audit: {said}{left_out}")
    return 1 if findings else 0


def python_dependencies(lock: Path) -> list[str]:
    """Known holes in what this lock names."""
    for source in SOURCES:
        command = [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(lock)),
            *("--no-deps", "--disable-pip", "--progress-spinner", "off"),
            *("--vulnerability-service", source, "--format", "json"),
        ]
        answer = _json_of(command)
        if answer is None:
            _say(f"{lock.name}: the advisories of {source} cannot be reached")
            continue
        known = [one for one in answer["dependencies"] if "skip_reason" not in one]
        if not known:
            _say(f"{lock.name}: the advisories of {source} know none of our packages")
            continue
        unknown = len(answer["dependencies"]) - len(known)
        _say(f"{lock.name}: {len(known)} packages audited by {source}, {unknown} unknown to it")
        return [
            f"{one['name']} {one['version']}: {hole['id']},"
            f" mended in {', '.join(hole['fix_versions']) or 'no release yet'}"
            for one in known
            for hole in one["vulns"]
        ]
    _leave_out(lock.name, "no source of advisories can be reached from here")
    return []


def web_dependencies(web: Path) -> list[str]:
    """Known holes in what the page is built with."""
    if not (web / "package-lock.json").exists():
        _say("web: no page here, nothing to audit")
        return []
    if shutil.which("npm") is None:
        _leave_out("web", "npm is not installed")
        return []
    answer = _json_of(["npm", "audit", "--json", "--package-lock-only"], web)
    if answer is None or "vulnerabilities" not in answer:
        _leave_out("web", "no source of advisories can be reached from here")
        return []
    _say(f"web: audited by npm, {len(answer['vulnerabilities'])} found")
    return [
        f"npm package {name}: {hole.get('severity')}, {hole.get('range')}"
        for name, hole in sorted(answer["vulnerabilities"].items())
    ]


def secrets(files: Iterable[Path]) -> list[str]:
    """Where something has the form of a secret; which one it is, is not said."""
    found = SecretsCollection()
    settings = {
        "plugins_used": [{"name": name} for name in _DETECTORS],
        "filters_used": [
            {"path": "detect_secrets.filters.allowlist.is_line_allowlisted"},
        ],
    }
    scanned = 0
    with transient_settings(settings):
        for file in files:
            found.scan_file(str(file))
            scanned += 1
    _say(f"secrets: {scanned} files scanned")
    return [
        f"{name}:{one.line_number}: {one.type}; take it out and have it revoked, or mark the line"
        " with 'pragma: allowlist secret' where it opens nothing"
        for name, one in found
        if one.type != "Basic Auth Credentials" or not _opens_nothing(name, one.line_number)
    ]


def _opens_nothing(name: str, line_number: int) -> bool:
    """Whether every password of a URL in this line is one that opens nothing."""
    lines = Path(name).read_text(encoding="utf-8", errors="replace").splitlines()
    hosts = _HOST.findall(lines[line_number - 1])
    return bool(hosts) and all(_OPENS_NOTHING.fullmatch(host) for host in hosts)


def _tracked() -> Sequence[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - ours
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    names = listed.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def _json_of(command: Sequence[str], directory: Path = ROOT) -> Any:
    """What a command answers, whatever its exit status; None where it is no JSON."""
    try:
        done = subprocess.run(  # noqa: S603 - no input of anybody's
            command,
            cwd=directory,
            check=False,
            capture_output=True,
            timeout=_PATIENCE,
            env={**os.environ, "NO_COLOR": "1"},
        )
        return json.loads(done.stdout)
    except (ValueError, OSError, subprocess.TimeoutExpired):
        return None


def _leave_out(what: str, why: str) -> None:
    _not_audited.append(what)
    _say(f"{what}: NOT AUDITED, {why}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
