from collections.abc import Iterator

import docker
import pytest

from tests.deploy.images import build_service, engine_or_skip


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """Give a client of the container engine."""
    client = engine_or_skip()
    yield client
    client.close()


@pytest.fixture(scope="session")
def service_image(engine: docker.DockerClient) -> str:
    """Give the name of the service's image, built from this checkout."""
    return build_service(engine)
