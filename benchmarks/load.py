"""The load generator: keeps a number of HTTP/1.1 connections busy with prepared requests.

A process of its own, so that it takes nothing from the event loop of what it measures. It reads the
life that its webhooks are of, makes and signs its requests, says `ready`, and begins at another
line on its input; then it prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

import msgspec
import uvloop

from benchmarks import workload

# Above this share of a processor the generator may be what is measured.
BUSY: Final = 0.85
# Seconds between two points of a rate against time.
TICK: Final = 0.5
# Seconds that answers may take after the last request was due.
PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Order:
    """What to send. With `rate` (requests a second) it is paced, else as fast as it is answered.

    It ends after `seconds`, or when the `count` requests are used up, and in any case `patience`
    seconds after that. Every `crowd` subscribers live their lives side by side.
    """

    port: int
    count: int
    seconds: float
    connections: int = 64
    rate: float | None = None
    path: str = workload.PATH
    seed: int | None = None
    crowd: int = workload.SUBSCRIBERS_AT_ONCE
    patience: float = PATIENCE


@dataclass(slots=True)
class Report:
    """What came of it. `busy` is the share of one processor that the generator took.

    `exhausted`: it ran out of requests before its time was over. `late_ms`: by how much the latest
    1 % of paced requests were sent after they were due. `reconnects`: connections that the server
    closed while nothing was under way on them.
    """

    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    busy: float = 0.0
    exhausted: bool = False
    reconnects: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    late_ms: float = 0.0
    accepted_by_tick: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Accepted requests a second."""
        return self.accepted / self.seconds

    @property
    def is_bottleneck(self) -> bool:
        """Whether the generator, rather than what it loads, may have set the pace."""
        return self.busy > BUSY


class Generator:
    """Hands out requests to connections and counts what they are answered with."""

    def __init__(self, order: Order, requests: deque[bytes]) -> None:
        self._order = order
        self._requests = requests
        self._started = self._ends = 0.0
        self._paced = 0
        self._under_way = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connections: set[Connection] = set()
        # First in, first out: each is used before the server takes it for forgotten.
        self._idle: deque[Connection] = deque()
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._latencies: list[float] = []
        self._late: list[float] = []
        self.report = Report()

    async def run(self) -> Report:
        """Send until the order is carried out.

        Raises ConnectionError where a request is left without its answer, TimeoutError where
        answers do not come, and whatever goes wrong in the generator itself.
        """
        loop = asyncio.get_running_loop()
        # What a timer or a protocol raises would otherwise be printed, and waited for for ever.
        loop.set_exception_handler(self._broke)
        try:
            for _ in range(self._order.connections):
                await self._connect()
            await self._send()
        finally:
            loop.set_exception_handler(None)
            for task in self._reconnecting:
                task.cancel()
            for connection in self._connections:
                connection.close()
        return self.report

    async def _send(self) -> None:
        self._started, busy = time.perf_counter(), time.process_time()
        self._ends = self._started + self._order.seconds
        if self._order.rate is None:
            for connection in list(self._connections):
                self.next(connection)
        else:
            self._idle.extend(self._connections)
            self._pace()
        try:
            async with asyncio.timeout(self._order.seconds + self._order.patience):
                await self._done
        except TimeoutError:
            raise TimeoutError(
                f"{self._under_way} requests have no answer {self._order.patience:g} seconds after"
                f" the end; {self.report.accepted} were accepted"
            ) from None
        self.report.seconds = time.perf_counter() - self._started
        self.report.busy = (time.process_time() - busy) / self.report.seconds
        self.report.p50_ms = _percentile(self._latencies, 50) * 1000
        self.report.p99_ms = _percentile(self._latencies, 99) * 1000
        self.report.late_ms = _percentile(self._late, 99) * 1000

    def next(self, connection: Connection) -> None:
        """Give an idle connection something to do."""
        now = time.perf_counter()
        if not self._requests or now >= self._ends:
            self._end_if_answered(now)
        elif self._order.rate is None:
            self._hand_out(connection, now)
        else:
            self._idle.append(connection)

    def answered(self, connection: Connection, status: bytes, took: float) -> None:
        """Count an answer."""
        self._under_way -= 1
        report = self.report
        if status == b"200":
            report.accepted += 1
            self._latencies.append(took)
            tick = int((time.perf_counter() - self._started) / TICK)
            while len(report.accepted_by_tick) <= tick:
                report.accepted_by_tick.append(0)
            report.accepted_by_tick[tick] += 1
        else:
            report.refused += 1
        self.next(connection)

    def lost(self, connection: Connection, error: Exception | None, *, waiting: bool) -> None:
        """A connection ended; `waiting` for an answer, which is an error, or in between."""
        self._connections.discard(connection)
        if self._done.done():
            return
        if waiting:
            self._fail(error or ConnectionError("the server closed the connection"))
            return
        if connection in self._idle:
            self._idle.remove(connection)
        self.report.reconnects += 1
        task = asyncio.get_running_loop().create_task(self._reconnect())
        self._reconnecting.add(task)
        task.add_done_callback(self._reconnecting.discard)

    async def _connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self), "127.0.0.1", self._order.port
        )
        self._connections.add(connection)
        return connection

    async def _reconnect(self) -> None:
        try:
            self.next(await self._connect())
        except Exception as error:
            self._fail(error)

    def _hand_out(self, connection: Connection, now: float) -> None:
        self._under_way += 1
        connection.send(self._requests.popleft(), now)

    def _pace(self) -> None:
        """Send what is due by now; what finds no idle connection waits for the next round."""
        now = time.perf_counter()
        rate = self._order.rate
        assert rate is not None, "only paced orders are paced"
        due = int((now - self._started) * rate)
        while self._paced < due and self._idle and self._requests and now < self._ends:
            self._late.append(now - self._started - self._paced / rate)
            self._paced += 1
            self._hand_out(self._idle.popleft(), now)
        if self._requests and now < self._ends:
            asyncio.get_running_loop().call_later(0.001, self._pace)
        else:
            self._end_if_answered(now)

    def _end_if_answered(self, now: float) -> None:
        if not self._under_way and not self._done.done():
            self.report.exhausted = not self._requests and now < self._ends
            self._done.set_result(None)

    def _fail(self, error: BaseException) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    def _broke(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._fail(context.get("exception") or RuntimeError(context["message"]))


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent = 0.0
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, now: float) -> None:
        """Send a request."""
        assert self._transport is not None, "the connection was made"
        self._sent, self._waiting, self._buffer = now, True, b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read as much of the answer as has come."""
        self._buffer += data
        if _is_complete(self._buffer):
            self._waiting = False
            took = time.perf_counter() - self._sent
            self._generator.answered(self, self._buffer[9:12], took)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._generator.lost(self, exc, waiting=self._waiting)

    def close(self) -> None:
        """Let go of it."""
        if self._transport is not None:
            self._transport.close()


def _percentile(values: list[float], percent: int) -> float:
    values.sort()
    return values[len(values) * percent // 100] if values else 0.0


def _is_complete(answer: bytes) -> bool:
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    lowered = answer[:head].lower()
    at = lowered.find(b"content-length:")
    if at < 0:  # chunked
        return answer.endswith(b"0\r\n\r\n")
    length = int(lowered[at + 15 :].partition(b"\r\n")[0])
    return len(answer) >= head + 4 + length


def main() -> None:
    """Carry out the order on the command line."""
    order = Order(**json.loads(sys.argv[1]))
    life = msgspec.json.decode(sys.stdin.buffer.readline(), type=workload.Life)
    requests = deque(
        workload.request(body, order.path)
        for body in workload.webhooks(life, order.count, order.seed, order.crowd)
    )
    print("ready", flush=True)
    sys.stdin.buffer.readline()

    async def send() -> Report:
        return await Generator(order, requests).run()

    print(json.dumps(asdict(uvloop.run(send()))), flush=True)


if __name__ == "__main__":
    main()
