"""What others do with the same webhooks, each installed into an environment of its own.

A peer that cannot be installed or does not start is left out, and the report says why.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks import workload
from benchmarks.processes import Running, started

HERE: Final = Path(__file__).parent
DJ_STRIPE_PATH: Final = "/stripe/webhook/6f9d2a54-5e0b-4b6e-9a3e-5f1f6d6f3c11"
# Seconds for one step of an installation.
_PATIENCE: Final = 300


class PeerMissing(Exception):
    """The peer cannot be had; the message says why."""


def install(home: Path) -> Iterator[str]:
    """Install all of them; says of each that cannot be had why that is."""
    for name, one in (("sync_engine", install_sync_engine), ("dj_stripe", install_dj_stripe)):
        try:
            one(home)
        except PeerMissing as error:
            yield f"without {name}: {error}"


def install_sync_engine(home: Path) -> Path:
    """stripe-sync-engine from npm; the directory it runs in. Raises PeerMissing."""
    directory, lock = home / "sync_engine", HERE / "sync_engine" / "package-lock.json"
    if not _is_installed(directory, lock):
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "sync_engine" / name, directory)
        _run("npm", "ci", "--no-audit", "--no-fund", cwd=directory)
        _note_installed(directory, lock)
    shutil.copy(HERE / "sync_engine" / "server.mjs", directory)
    return directory


def install_dj_stripe(home: Path) -> Path:
    """dj-stripe and gunicorn from PyPI; the directory of the environment. Raises PeerMissing."""
    directory, lock = home / "dj_stripe", HERE / "dj_stripe" / "requirements.lock"
    if not _is_installed(directory, lock):
        _run(sys.executable, "-m", "venv", "--clear", directory)
        pip = directory / "bin" / "pip"
        _run(pip, "install", "--quiet", "--require-hashes", "--requirement", lock)
        _note_installed(directory, lock)
    return directory


def _is_installed(directory: Path, lock: Path) -> bool:
    noted = directory / ".installed"
    return noted.exists() and noted.read_bytes() == lock.read_bytes()


def _note_installed(directory: Path, lock: Path) -> None:
    shutil.copy(lock, directory / ".installed")


@contextmanager
def sync_engine(home: Path, database_url: str, logs: Path) -> Iterator[Running]:
    """One Node process, as `payments api` is one."""
    directory = install_sync_engine(home)
    env = {
        "DATABASE_URL": database_url,
        "STRIPE_WEBHOOK_SECRET": workload.SECRET,
        "PORT": "{port}",
        "NODE_ENV": "production",
    }
    with started(["node", "server.mjs"], env, logs, cwd=directory) as running:
        yield running


@contextmanager
def dj_stripe(home: Path, database_url: str, stripe_url: str, logs: Path) -> Iterator[Running]:
    """The view of dj-stripe behind gunicorn with two workers."""
    directory = install_dj_stripe(home)
    database = urlsplit(database_url)
    env = {
        "DATABASE_NAME": database.path.removeprefix("/"),
        "DATABASE_HOST": database.hostname or "127.0.0.1",
        "DATABASE_PORT": str(database.port),
        "DATABASE_USER": database.username or "postgres",
        "STRIPE_WEBHOOK_SECRET": workload.SECRET,
        "STRIPE_API_BASE": stripe_url,
    }
    binaries, site = directory / "bin", HERE / "dj_stripe"
    _run(binaries / "python", "site_of_peer.py", cwd=site, env=env)
    bind = ["--bind", "127.0.0.1:{port}", "--keep-alive", "60"]
    command: list[str | Path] = [
        binaries / "gunicorn",
        "--workers",
        "2",
        "--worker-class",
        "gthread",
    ]
    # One thread each, but connections are kept, as everybody else keeps them.
    threads = ["--threads", "1", "site_of_peer:application"]
    with started([*command, *bind, *threads], env, logs, cwd=site) as running:
        yield running


def _run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(f"{command[0]}: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise PeerMissing(f"{Path(command[0]).name} failed: {' / '.join(said[-3:])}")
