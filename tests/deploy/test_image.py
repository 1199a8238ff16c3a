"""The image: small in rights, and well by its own health check."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container

PATIENCE = 60.0  # seconds

# Enough to start; nothing behind it is there.
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
    "RABBITMQ_URL": "amqp://nobody@127.0.0.1:1/",
    "STRIPE_SECRET_KEY": "sk_test_1",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
    "STRIPE_API_BASE": "http://127.0.0.1:1",
    "JWT_SECRET": "a secret that is long enough for the tests",
    "JWT_ISSUER": "https://identity.example",
    "JWT_AUDIENCE": "payments",
}


@contextlib.contextmanager
def _running(engine: docker.DockerClient, image: str, **options: Any) -> Iterator[Container]:
    container = engine.containers.run(
        image,
        detach=True,
        environment=ENVIRONMENT,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        **options,
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def _health(container: Container) -> str:
    container.reload()
    return str(container.health)


def _until(condition: Callable[[], bool], container: Container) -> None:
    # The engine tells of a container's health when it is asked, and not before.
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, container.logs().decode()
        time.sleep(0.1)


def test_it_is_an_unnamed_user_and_holds_no_tools(
    engine: docker.DockerClient, service_image: str
) -> None:
    config = engine.images.get(service_image).attrs["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["payments"]

    found = engine.containers.run(
        service_image,
        [
            "import os, importlib.util as u; print(os.getuid(), u.find_spec('pip'),"
            " u.find_spec('hatchling'), u.find_spec('pytest'), u.find_spec('sandbox'))"
        ],
        entrypoint=["/opt/payments/bin/python3", "-c"],
        remove=True,
    )
    assert found.decode().split() == ["10001", "None", "None", "None", "None"]


@pytest.mark.parametrize("process", ["serve", "api", "worker"])
def test_every_process_is_well_by_the_images_own_check_on_a_read_only_file_system(
    engine: docker.DockerClient, service_image: str, process: str
) -> None:
    second = 1_000_000_000
    check = engine.images.get(service_image).attrs["Config"]["Healthcheck"]
    often = check | {"Interval": second // 2}  # the same check, for those in a hurry
    # What the image runs by default, but for the process.
    command = [process, *engine.images.get(service_image).attrs["Config"]["Cmd"][1:]]
    with _running(engine, service_image, command=command, healthcheck=often) as container:
        _until(lambda: _health(container) == "healthy", container)
        status = container.exec_run(["python3", "-c", "open('/tmp/written', 'w')"])
        assert b"Read-only file system" in status.output


def test_it_stops_when_it_is_told_to(engine: docker.DockerClient, service_image: str) -> None:
    with _running(engine, service_image) as container:
        _until(lambda: b"serving" in container.logs(), container)
        container.stop(timeout=30)
        container.reload()
        assert container.attrs["State"]["ExitCode"] == 0, container.logs().decode()
