"""The service's image, built from the Dockerfile of this checkout, and what to run it with.

Without an engine, or without any image to build on, the tests are skipped and say why: no
registry has to be reachable, but then tests/containers/engine.sh has to have built the base.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from tests.programs import unavailable
from tests.servers import ServersUnavailableError, choose, find_image

ROOT = Path(__file__).parents[2]
SERVICE = "payments-test-service"
BUILDING_MAY_TAKE = 600  # seconds; pip downloads everything once


def engine_or_skip() -> docker.DockerClient:
    """A client of the engine that the test servers run on."""
    try:
        choose({**os.environ, "TEST_SERVERS": "containers"})
    except ServersUnavailableError as error:
        pytest.skip(f"images cannot be built: {error}")
    return docker.from_env()


def build_service(engine: docker.DockerClient) -> str:
    """Build the image of this checkout; its name."""
    base = _python_image(engine)
    _docker("build", "--build-arg", f"PYTHON_IMAGE={base}", "--tag", SERVICE, str(ROOT))
    return SERVICE


def compose_or_skip() -> str:
    """The program that reads compose.yaml."""
    program = shutil.which("docker-compose")
    if program is None:
        unavailable("docker-compose is not installed: apt-get install docker-compose")
    return program


def _python_image(engine: docker.DockerClient) -> str:
    with contextlib.suppress(DockerException):
        engine.images.get("payments-test-base")
        # Quick where it was built before.
        _docker("build", "--tag", "payments-test-python", str(ROOT / "tests/containers/python"))
    try:
        return find_image(engine, os.environ.get("TEST_PYTHON_IMAGE"), "python:3.13-slim", "python")
    except DockerException as error:
        pytest.skip(f"there is no image with Python to build on: {error}")


def _docker(command: str, *arguments: str) -> None:
    # The host's network, because a proxy or mirror may be reachable from nowhere else.
    done = subprocess.run(
        ["docker", command, "--network=host", *arguments],
        capture_output=True,
        text=True,
        timeout=BUILDING_MAY_TAKE,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
