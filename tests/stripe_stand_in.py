"""A small server that speaks the part of Stripe's API this service asks, failures included.

It runs in a thread of its own and is reached over HTTP, so that what is tested is the official SDK
as it goes over the wire.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.stripe_payloads import Payload


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    path: str
    query: dict[str, list[str]]
    authorization: str | None


Failure = Callable[[BaseHTTPRequestHandler], None]


@dataclass(slots=True)
class StripeStandIn:
    """What the server knows, and what it was asked.

    `failures` are used up one per request, before anything is answered.
    """

    url: str = ""
    customers: dict[str, Payload] = field(default_factory=dict)
    subscriptions: dict[str, Payload] = field(default_factory=dict)
    prices: list[Payload] = field(default_factory=list)
    failures: list[Failure | None] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    largest_page: int = 100
    released: threading.Event = field(default_factory=threading.Event)

    def let_go(self) -> None:
        """End whatever hangs; what hangs from now on does so until the next time."""
        released, self.released = self.released, threading.Event()
        released.set()

    def answer(self, request: Request) -> tuple[int, Payload]:
        """The status and the body of an answer."""
        match request.path.strip("/").split("/"):
            case ["v1", "customers", id_]:
                return _one("customer", self.customers.get(id_), id_)
            case ["v1", "subscriptions", id_]:
                return _one("subscription", self.subscriptions.get(id_), id_)
            case ["v1", "prices"]:
                return 200, self._page(request.query)
        return 404, _error(
            "invalid_request_error", f"Unrecognized request URL (GET: {request.path})"
        )

    def _page(self, query: dict[str, list[str]]) -> Payload:
        keys = [value for name in query if name.startswith("lookup_keys") for value in query[name]]
        products = query.get("product", [])
        found = [
            price
            for price in self.prices
            if (not keys or price["lookup_key"] in keys)
            and (not products or price["product"] in products)
        ]
        after = query.get("starting_after", [None])[0]
        start = next((i + 1 for i, price in enumerate(found) if price["id"] == after), 0)
        end = start + min(int(query.get("limit", ["10"])[0]), self.largest_page)
        return {
            "object": "list",
            "url": "/v1/prices",
            "data": found[start:end],
            "has_more": end < len(found),
        }


def status(code: int, kind: str = "api_error", *, retry: bool = False) -> Failure:
    """Answer with this status and Stripe's error object, and say whether to try again."""

    def fail(handler: BaseHTTPRequestHandler) -> None:
        body = json.dumps(_error(kind, "no"))
        raw(code, body, {"Stripe-Should-Retry": str(retry).lower()})(handler)

    return fail


def raw(code: int, body: str, headers: dict[str, str] | None = None) -> Failure:
    """Answer with exactly this."""

    def fail(handler: BaseHTTPRequestHandler) -> None:
        sent = {"Content-Type": "application/json", "Stripe-Should-Retry": "false"}
        _send(handler, code, body.encode(), {**sent, **(headers or {})})

    return fail


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Break the connection off without an answer."""
    # With a linger of zero seconds, closing sends a reset.
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()


def half(handler: BaseHTTPRequestHandler) -> None:
    """Break off in the middle of an answer."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    handler.connection.shutdown(socket.SHUT_RDWR)


def hang(handler: BaseHTTPRequestHandler) -> None:
    """Never answer, until the server is closed."""
    stand_in = handler.server.stand_in  # type: ignore[attr-defined]  # see _Server
    stand_in.released.wait(60)


@contextmanager
def run_stripe_stand_in() -> Iterator[StripeStandIn]:
    """Run the server on a port of its own."""
    stand_in = StripeStandIn()
    server = _Server(stand_in)
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    # A server looks for its shutdown this often.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, stand_in: StripeStandIn) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stand_in = stand_in

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: broken connections are what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Fail if that is what is due, else answer."""
        stand_in = self.server.stand_in
        parts = urlsplit(self.path)
        request = Request(parts.path, parse_qs(parts.query), self.headers.get("Authorization"))
        stand_in.requests.append(request)
        failure = stand_in.failures.pop(0) if stand_in.failures else None
        if failure is not None:
            failure(self)
            return
        code, body = stand_in.answer(request)
        _send(self, code, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _send(handler: BaseHTTPRequestHandler, code: int, body: bytes, headers: dict[str, str]) -> None:
    handler.send_response(code)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def _one(kind: str, found: Payload | None, id_: str) -> tuple[int, Payload]:
    if found is not None:
        return 200, found
    error = _error("invalid_request_error", f"No such {kind}: '{id_}'")
    error["error"] |= {"code": "resource_missing", "param": "id"}
    return 404, error


def _error(kind: str, message: str) -> Payload:
    return {"error": {"type": kind, "message": message}}
