"""Serves the application until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Coroutine, Iterator
from typing import Any, Final

import structlog
import uvicorn
import uvloop
from litestar import Litestar

from adapters.http.connections import BoundedConnection

log = structlog.get_logger(__name__)

# Seconds that requests under way get to finish when the process is told to stop: what a user's may
# take, and what letting go may take after that (adapters/http/deadline.py).
_GRACE: Final = 24
# Connections that may wait to be accepted while the process is busy.
_BACKLOG: Final = 1024
# Objects that came and did not go, before the garbage collector looks at the young ones. A batch of
# webhooks makes some tens of thousands, which all go with it: by default (700) it would look at
# those that are still in use again and again, for a fifth of the worker's time.
_YOUNG_OBJECTS: Final = 50_000


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a program on the fastest event loop there is, and little disturbed by the garbage
    collector: what was imported is there for good, and never looked at again.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
    uvloop.run(main)


def stop_on_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets, and SIGHUP, which the end of a terminal sends."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end(name: signal.Signals) -> None:
        log.info("stopping", signal=name.name)
        stop.set()

    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Whoever started it with `nohup` wants it to outlive the terminal.
        if name is signal.SIGHUP and signal.getsignal(name) is signal.SIG_IGN:
            continue
        loop.add_signal_handler(name, end, name)
    return stop


class CannotListen(Exception):
    """The address is taken, or not this host's."""


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to `stop_on_signal`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(app: Litestar, host: str, port: int, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; requests under way are answered first.

    Raises CannotListen where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        # Or an answer of two writes waits 40 ms for an acknowledgement. Accepted connections
        # inherit it; asyncio sets it by itself only on sockets that were made with a protocol.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {host}:{port} ({error.strerror}): "
            "choose another address with --host and --port"
        ) from None
    server = _Server(
        uvicorn.Config(
            app,
            http=BoundedConnection,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # nobody asks from where a request comes
            timeout_graceful_shutdown=_GRACE,
        )
    )

    async def stop_when_told() -> None:
        await stop.wait()
        server.should_exit = True

    stopper = asyncio.create_task(stop_when_told())
    try:
        log.info("serving", address=f"http://{host}:{listener.getsockname()[1]}")
        await server.serve(sockets=[listener])
    finally:
        stopper.cancel()
