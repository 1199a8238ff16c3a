"""The load generator: it carries its order out or says why it cannot, and never waits for ever."""

import asyncio
from collections import Counter, deque
from typing import Any

import msgspec
import pytest

from benchmarks import processes, workload
from benchmarks.load import Connection, Generator, Order
from benchmarks.processes import PreparedLoad, ProcessFailed, prepared_load
from benchmarks.workload import Life
from tests.benchmarks.conftest import Endpoint

# Seconds: nothing here takes as long, unless it hangs.
PATIENCE = 20.0


def requests(count: int) -> deque[bytes]:
    return deque(workload.request(b"{}") for _ in range(count))


async def test_what_is_not_paced_is_sent_as_fast_as_it_is_answered(endpoint: Endpoint) -> None:
    order = Order(endpoint.port, 50, PATIENCE, connections=4)
    report = await Generator(order, requests(50)).run()
    assert (report.accepted, report.refused, report.exhausted) == (50, 0, True)
    assert len(endpoint.requests) == 50


async def test_a_paced_load_sends_all_of_it_and_uses_every_connection(endpoint: Endpoint) -> None:
    order = Order(endpoint.port, 24, PATIENCE, connections=4, rate=200.0)
    report = await Generator(order, requests(24)).run()
    assert report.accepted == 24
    # A connection that is never used is one that a server closes.
    assert set(endpoint.by_connection) == {0, 1, 2, 3}


async def test_connections_that_were_closed_while_idle_are_made_anew(endpoint: Endpoint) -> None:
    endpoint.drop = lambda number: number < 3
    order = Order(endpoint.port, 6, PATIENCE, connections=3, rate=5.0)
    report = await Generator(order, requests(6)).run()
    assert (report.accepted, report.reconnects) == (6, 3)


async def test_a_server_that_is_gone_is_an_error(endpoint: Endpoint) -> None:
    endpoint.answer = b""
    with pytest.raises(ConnectionError, match="closed the connection"):
        await Generator(Order(endpoint.port, 5, PATIENCE, rate=50.0), requests(5)).run()


async def test_answers_that_never_come_are_an_error(endpoint: Endpoint) -> None:
    endpoint.answer = None
    order = Order(endpoint.port, 3, 0.1, connections=3, patience=0.1)
    with pytest.raises(TimeoutError, match="3 requests have no answer"):
        await Generator(order, requests(3)).run()


async def test_what_goes_wrong_in_a_timer_ends_the_load(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("unable to perform operation on a closed transport")

    monkeypatch.setattr(Connection, "send", broken)
    with pytest.raises(RuntimeError, match="closed transport"):
        await Generator(Order(endpoint.port, 5, PATIENCE, rate=50.0), requests(5)).run()


async def test_refusals_are_no_successes(endpoint: Endpoint) -> None:
    endpoint.answer = b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n"
    report = await Generator(Order(endpoint.port, 5, PATIENCE), requests(5)).run()
    assert (report.accepted, report.refused) == (0, 5)


async def test_the_generators_process_sends_whole_lives(endpoint: Endpoint, life: Life) -> None:
    order = Order(endpoint.port, 12, PATIENCE, connections=1, crowd=1)
    async with prepared_load(order, life) as generator:
        assert not endpoint.requests
        report = await generator.send()
    assert report.accepted == 12
    events = [msgspec.json.decode(body) for body in endpoint.requests]
    assert Counter(event["type"] for event in events) == Counter(2 * workload.LIFE)
    assert [event["type"] for event in events[:6]] == list(workload.LIFE)
    assert len({event["id"] for event in events}) == 12


async def test_a_generator_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.1)
    silent = await asyncio.create_subprocess_exec(
        "sleep", "60", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        with pytest.raises(ProcessFailed, match="said nothing"):
            await PreparedLoad(silent, Order(0, 0, 0.1, patience=0.1)).send()
    finally:
        silent.kill()
        await silent.wait()
