"""A real Prometheus scrapes live processes: what dashboards and alerts ask for is there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import yaml

from tests.end_to_end.consumer import Inbox
from tests.end_to_end.processes import PATIENCE, running
from tests.end_to_end.service import deliver, is_over, life
from tests.programs import unavailable
from tests.stripe_stand_in import StripeStandIn

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/payments.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
ADAPTER = yaml.safe_load((DEPLOY / "kubernetes/extras/prometheus-adapter-values.yaml").read_text())
NAME = re.compile(r"\b(?:payments|process)_[a-z_]+|\bup\b")
SELECTOR = re.compile(r"(payments_[a-z_]+)\{([^}]+)\}")


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """What each panel asks, with the shortest interval that two scrapes allow."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "10s")


def other_queries() -> Iterator[str]:
    """What alerts and the autoscaler ask."""
    for rule in RULES:
        yield rule["expr"]
    for rule in ADAPTER["rules"]["external"]:
        yield rule["metricsQuery"].replace("{<<.LabelMatchers>>}", "")


def selected_labels() -> set[tuple[str, str]]:
    """Every metric and label that some query selects by."""
    queries = [*other_queries(), *(query for _, query in dashboard_queries())]
    return {
        (metric, label)
        for query in queries
        for metric, matchers in SELECTOR.findall(query)
        for label in re.findall(r"([a-z_]+)(?:=|!=|=~|!~)\"", matchers)
    }


@dataclass
class Prometheus:
    """A server that scrapes every second."""

    client: httpx.AsyncClient

    async def query(self, query: str) -> list[dict[str, Any]]:
        """What it answers now. A query it cannot read fails the test."""
        answer = await self.client.get("/api/v1/query", params={"query": query})
        assert answer.status_code == 200, f"{query}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    async def until(self, query: str) -> None:
        """Return once the query has a result. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while not await self.query(query):
                await asyncio.sleep(0.1)  # it scrapes when it scrapes


@asynccontextmanager
async def prometheus(directory: Path, *targets: str | None) -> AsyncIterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        unavailable("prometheus is not installed: apt-get install prometheus")
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus/alerts.yml")]
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [str(one).removeprefix("http://") for one in targets]}]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (directory / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            async with asyncio.timeout(PATIENCE):
                while True:
                    with contextlib.suppress(httpx.TransportError):
                        if (await client.get("/-/ready")).is_success:
                            break
                    await asyncio.sleep(0.1)  # a starting process gives no event to wait on
            yield Prometheus(client)
    finally:
        process.terminate()
        await process.wait()


async def test_dashboard_and_alerts_ask_for_what_a_live_service_tells(
    environment: dict[str, str], stripe: StripeStandIn, inbox: Inbox, tmp_path: Path
) -> None:
    users: set[str] = set()

    async def play_a_life() -> None:
        user = uuid4()
        users.add(str(user))
        await deliver(api.address, life(f"sub_{len(users)}", user, stripe))
        async with httpx.AsyncClient(base_url=str(api.address)) as page:
            await page.get("/api/payments/config")
        await inbox.until(lambda: is_over(inbox, users, len(users)))

    async with (
        running("api", environment, tmp_path) as api,
        running("worker", environment, tmp_path) as worker,
        prometheus(tmp_path, api.address, worker.metrics) as server,
    ):
        await server.until("sum(payments_partitions_held) == 64")
        # A rate needs a series that was there before it rose.
        await play_a_life()
        await server.until('payments_messages_published_total{result="confirmed"}')
        await server.until('payments_stripe_calls_total{result="ok"}')
        await play_a_life()
        for rising in (
            "payments_messages_published_total",
            "payments_webhooks_received_total",
            "payments_stripe_calls_total",
        ):
            await server.until(f"sum(rate({rising}[10s])) > 0")
        silent = [
            (title, query) for title, query in dashboard_queries() if not await server.query(query)
        ]
        assert silent == []
        known = {one["metric"]["__name__"] for one in await server.query('{__name__=~".+"}')}
        for query in other_queries():
            await server.query(query)
            assert set(NAME.findall(query)) <= known, query
        for metric, label in selected_labels():
            assert await server.query(f'{metric}{{{label}!=""}}'), (metric, label)
        firing = await server.query('ALERTS{alertstate="firing"}')
        assert [one["metric"]["alertname"] for one in firing] == []
