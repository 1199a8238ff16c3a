"""Programs from npm, each installed into a folder of the test run's own."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final, NoReturn

import pytest

# Seconds to install them; where a registry answers at all, a few are enough.
_INSTALL: Final = 120


def install(folder: Path, *packages: str) -> Path:
    """Install these packages and give the folder of their programs.

    Where npm or its registry cannot be had, the test is skipped; with CI=true it fails, since
    nobody reads there what was skipped.
    """
    what = " and ".join(packages)
    if shutil.which("npm") is None:
        _without(f"npm is not installed, so {what} cannot be had")
    options = ("--no-audit", "--no-fund", "--prefix", str(folder))
    try:
        subprocess.run(
            ["npm", "install", *options, *packages],
            check=True,
            capture_output=True,
            timeout=_INSTALL,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = (error.stderr or b"").decode(errors="replace")
        _without(f"npm cannot install {what}: {error}\n{said}")
    return folder / "node_modules" / ".bin"


def _without(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; with CI=true that is a failure", pytrace=False)
    pytest.skip(reason)
