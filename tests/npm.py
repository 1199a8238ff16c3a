"""Programs from npm, each installed into a folder of the test run's own."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

# Seconds to install them; where a registry answers at all, a few are enough.
_INSTALL = 120


def cannot_be_had(reason: str) -> NoReturn:
    """Skip the test, or let it fail where CI says that everything is to be checked."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"{reason}: with CI={os.environ['CI']} nothing may be left unchecked")
    pytest.skip(reason)


def install(folder: Path, *packages: str) -> Path:
    """Install these packages, and give the folder of their programs.

    Skips the test where npm or its registry cannot be had, and fails it in CI.
    """
    what = " and ".join(packages)
    if shutil.which("npm") is None:
        cannot_be_had(f"npm is not installed, so {what} cannot be had")
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    try:
        subprocess.run(install, check=True, capture_output=True, timeout=_INSTALL)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        cannot_be_had(f"npm cannot install {what}: {error}")
    return folder / "node_modules" / ".bin"
