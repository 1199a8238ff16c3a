"""Programs from npm, each installed into a folder of the test run's own."""

import shutil
import subprocess
from pathlib import Path

import pytest

# Seconds to install them; where a registry answers at all, a few are enough.
_INSTALL = 120


def install(folder: Path, *packages: str) -> Path:
    """Install these packages, and give the folder of their programs.

    Skips the test where npm or its registry cannot be had.
    """
    what = " and ".join(packages)
    if shutil.which("npm") is None:
        pytest.skip(f"npm is not installed, so {what} cannot be had")
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    try:
        subprocess.run(install, check=True, capture_output=True, timeout=_INSTALL)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot install {what}: {error}")
    return folder / "node_modules" / ".bin"
