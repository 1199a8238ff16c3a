"""compose.yaml brings up what it says, and a webhook comes out at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
import yaml

from adapters.http.server import _GRACE
from service.cli import parser
from service.settings import USED_BY, VARIABLES
from tests.deploy.images import ROOT, compose_or_skip
from tests.end_to_end.consumer import consuming
from tests.servers import choose
from tests.stripe_payloads import DAY, SECRET, START, customer, event, signed, subscription

COMING_UP_MAY_TAKE = 180  # seconds
NEEDED = {
    "STRIPE_SECRET_KEY": "sk_test_51abc",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_51abc",
    "STRIPE_WEBHOOK_SECRET": SECRET,
    "JWT_ISSUER": "https://identity.example",
}
# Not needed to read the file, but to start.
STARTING = {
    "STRIPE_API_BASE": "http://127.0.0.1:1",  # not needed for what follows
    "JWT_JWKS_URL": "https://identity.example/jwks",
}
FILE = yaml.safe_load((ROOT / "compose.yaml").read_text())
# Of this service, not of others'.
OURS = {
    name: one
    for name, one in FILE["services"].items()
    if one.get("image") == FILE["x-payments"]["image"]
}


@dataclass
class Compose:
    """A project of its own, removed with all that it made."""

    program: str
    project: str
    environment: dict[str, str]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [
                self.program,
                *("--project-name", self.project, "--project-directory", str(ROOT)),
                *("--file", str(ROOT / "compose.yaml")),
                *("--file", str(ROOT / "tests/deploy/compose.yaml")),
                *arguments,
            ],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMING_UP_MAY_TAKE,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def address(self, service: str, port: int) -> str:
        """Where a port of a service is published."""
        return self("port", service, str(port)).strip()


@pytest.fixture
def compose(service_image: str) -> Iterator[Compose]:
    servers = choose({**os.environ, "TEST_SERVERS": "containers"})
    environment = {
        "PATH": os.environ["PATH"],
        **{name: os.environ[name] for name in ("DOCKER_HOST", "HOME") if name in os.environ},
        **NEEDED,
        **STARTING,
        "PAYMENTS_IMAGE": service_image,
        "POSTGRES_IMAGE": servers.postgres_image,
        "RABBITMQ_IMAGE": servers.rabbitmq_image,
        "API_PORT": "0",
    }
    project = Compose(compose_or_skip(), f"payments-test-{uuid4().hex[:8]}", environment)
    try:
        yield project
    finally:
        project("down", "--volumes", "--remove-orphans", "--timeout", "20")


async def test_the_core_comes_up_and_a_webhook_becomes_a_message(compose: Compose) -> None:
    await asyncio.to_thread(compose, "up", "--detach", "--no-build", "--scale", "worker=2")
    user = uuid4()
    about = customer("cus_1", user_id=user, email="one@example.org")
    started = subscription("sub_1", status="trialing", user_id=user, customer="cus_1") | {
        "trial_end": START + 180 * DAY
    }
    broker = f"amqp://payments:payments@{compose.address('rabbitmq', 5672)}/"
    address = f"http://{compose.address('api', 8000)}"
    async with consuming(broker, "test") as inbox, httpx.AsyncClient(base_url=address) as client:
        await _until_ready(client)
        for payload in (
            event("customer.created", about, created=START),
            event("customer.subscription.created", started, created=START),
        ):
            request = signed(payload)
            answer = await client.post(
                "/api/payments/webhook",
                content=request.body,
                headers={"stripe-signature": request.header},
            )
            assert answer.json() == {"received": True, "duplicate": False}
        await inbox.until(lambda: len(inbox.events({str(user)})) == 1)
        said = json.loads(inbox.messages[-1].body)
        assert said["data"]["email"] == "one@example.org"
        metrics = (await client.get("/metrics")).text
    assert 'payments_webhooks_received_total{outcome="new",type="customer.created"} 1.0' in metrics
    await _until_shared(f"http://{compose.address('worker', 8000)}")
    states = compose("ps", "--all")
    # The first Compose says `Exit 1`, the second `Exited (1)`.
    assert not re.search(r"Exit(?:ed)? \(?[1-9]", states), states
    assert re.search(r"Exit(?:ed)? \(?0", states), states


async def _until_shared(address: str) -> None:
    """Return once this one of two workers holds half of the partitions."""
    async with asyncio.timeout(COMING_UP_MAY_TAKE), httpx.AsyncClient() as client:
        metrics = ""
        while "payments_partitions_held 32.0" not in metrics:
            metrics = (await client.get(f"{address}/metrics")).text
            await asyncio.sleep(0.2)  # shares are renewed every two seconds


async def _until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(COMING_UP_MAY_TAKE):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/health/ready")).is_success:
                    return
            await asyncio.sleep(0.2)  # a starting process gives no event to wait on


@pytest.mark.parametrize("name", OURS)
def test_a_process_is_told_what_it_needs_and_may_write_nothing(name: str) -> None:
    service = OURS[name]
    options = parser().parse_args(list(map(str, service["command"])))
    assert options.command == name
    given = service["environment"].keys()
    assert given <= {variable.name for variable in VARIABLES.values()}
    required = {
        VARIABLES[field].name
        for field in USED_BY[options.command]
        if VARIABLES[field].required and VARIABLES[field].default is None
    }
    assert required <= given
    # Whatever can be set for the service can be set here.
    assert {VARIABLES[field].name for field in USED_BY[options.command]} <= given
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_what_is_set_outside_reaches_the_processes_and_what_is_not_set_does_not() -> None:
    chosen = {
        "DATABASE_URL": "postgresql://service@elsewhere/payments",
        "RABBITMQ_URL": "amqps://elsewhere/",
        "MIGRATE_DATABASE_URL": "postgresql://owner@elsewhere/payments",
        "TRIAL_PERIOD_DAYS": "30",
        "JWT_SECRET": "a secret of the identity provider",
    }
    done = subprocess.run(
        [compose_or_skip(), "--file", str(ROOT / "compose.yaml"), "config"],
        env={"PATH": os.environ["PATH"], **NEEDED, **chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    found = yaml.safe_load(done.stdout)["services"]
    api = found["api"]["environment"]
    assert {name: api[name] for name in chosen if name != "MIGRATE_DATABASE_URL"} == {
        name: value for name, value in chosen.items() if name != "MIGRATE_DATABASE_URL"
    }
    # Without a value it is not set in the container, and the service takes its default.
    assert api["LOG_LEVEL"] is None
    assert found["migrate"]["environment"]["DATABASE_URL"] == chosen["MIGRATE_DATABASE_URL"]


def test_the_service_is_not_the_owner_of_the_schema() -> None:
    def user(service: str) -> str:
        default: str = OURS[service]["environment"]["DATABASE_URL"].split(":-")[1]
        return urlsplit(default.rstrip("}")).username or ""

    assert user("api") == user("worker") == parser().parse_args(OURS["migrate"]["command"]).grant_to
    assert user("migrate") != user("api")
    assert f"CREATE ROLE {user('api')} LOGIN" in FILE["services"]["role"]["command"][1]


def test_the_database_is_healthy_only_once_it_can_be_reached_from_elsewhere() -> None:
    """On its socket it answers before, while the official image sets it up."""
    program, *options = FILE["services"]["postgres"]["healthcheck"]["test"][1:]
    assert program == "pg_isready"
    assert options[options.index("-h") + 1] == "127.0.0.1"


def test_what_stays_comes_back_with_what_it_has_kept() -> None:
    for name, service in FILE["services"].items():
        once = name in ("migrate", "role")
        assert service["restart"] == ("no" if once else "unless-stopped"), name
    # RabbitMQ keeps its queues under the name of its host, which else is a new one each time.
    assert FILE["services"]["rabbitmq"]["hostname"]
    for name in ("api", "worker"):
        assert int(OURS[name]["stop_grace_period"].removesuffix("s")) > _GRACE


def test_the_observing_services_are_behind_a_profile_and_read_what_is_in_deploy() -> None:
    for name in ("prometheus", "grafana"):
        service: dict[str, Any] = FILE["services"][name]
        assert service["profiles"] == ["observability"]
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source == "prometheus" or (ROOT / source).is_dir()


def test_what_has_no_default_is_asked_for_by_name() -> None:
    program = compose_or_skip()
    for name in NEEDED:
        environment = {key: value for key, value in NEEDED.items() if key != name}
        done = subprocess.run(
            [program, "--file", str(ROOT / "compose.yaml"), "config", "--quiet"],
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "set it to" in done.stderr
