import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.postgres.migrate import upgrade
from benchmarks import workload
from benchmarks.workload import Life
from sandbox.servers import PrivatePostgres
from tests.databases import owner_url

__all__ = ["Endpoint", "endpoint", "life", "migrated_database", "owner_url"]


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give a database of the server that is measured on: to fill it takes its PostgreSQL 18."""
    folder = tmp_path_factory.mktemp("bench")
    with PrivatePostgres(folder / "postgresql") as server, ThreadPoolExecutor(1) as thread:
        thread.submit(upgrade, server.url).result()  # in an event loop of its own
        yield server.url


class Endpoint:
    """A server that answers 200, keeps what it was sent, and does as it is told with connections.

    `drop` says of the number of a connection whether it is closed as soon as it is there; `answer`
    what a request is answered with, None for never and an empty one for closing the connection.
    """

    def __init__(self) -> None:
        self.drop: Callable[[int], bool] = lambda number: False
        self.answer: bytes | None = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        self.requests: list[bytes] = []
        self.by_connection: Counter[int] = Counter()
        self.port = 0
        self._connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._connections = self._connections, self._connections + 1
        try:
            while not self.drop(number):
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                self.requests.append(await reader.readexactly(int(length[1]) if length else 0))
                self.by_connection[number] += 1
                if self.answer is not None:
                    if not self.answer:
                        break
                    writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """Give a server for the load generator to send to."""
    found = Endpoint()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


@pytest.fixture(scope="session")
def life() -> Life:
    """Give the life of a subscription, as it was recorded."""
    return workload.record()
