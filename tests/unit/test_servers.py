"""The choice of servers: what is forced and cannot be had fails, with what to do about it."""

import pytest

from tests import servers
from tests.servers import Servers, ServersUnavailableError, choose

NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}


@pytest.fixture
def no_rabbitmq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find_rabbitmq_server", lambda: None)


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "unix:///nowhere/docker.sock"])
def test_forced_containers_fail_without_an_engine(host: str) -> None:
    with pytest.raises(ServersUnavailableError, match="No Docker engine answers"):
        choose({"DOCKER_HOST": host, "TEST_SERVERS": "containers"})


@pytest.mark.usefixtures("no_rabbitmq")
def test_forced_private_servers_fail_without_rabbitmq() -> None:
    with pytest.raises(ServersUnavailableError, match="apt-get install rabbitmq-server"):
        choose({"TEST_SERVERS": "private"})


def test_private_servers_stand_in_for_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find_rabbitmq_server", lambda: "/usr/sbin/rabbitmq-server")

    assert choose(NO_ENGINE) == Servers("private")


@pytest.mark.usefixtures("no_rabbitmq")
def test_neither_names_both_remedies() -> None:
    with pytest.raises(ServersUnavailableError, match=r"engine\.sh.*rabbitmq-server"):
        choose(NO_ENGINE)


def test_a_misspelt_choice_fails() -> None:
    with pytest.raises(ServersUnavailableError, match="may be containers, private or unset"):
        choose({"TEST_SERVERS": "container"})
