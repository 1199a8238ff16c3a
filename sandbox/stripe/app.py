"""The HTTP face: what happens to every request before and after its endpoint. Plain ASGI."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from email.utils import formatdate
from html import escape
from typing import Any

from sandbox.stripe import control, errors, forms, pages, rendering
from sandbox.stripe.errors import ApiError, ValidationError
from sandbox.stripe.idempotency import IdempotencyKeys, Outcome
from sandbox.stripe.routes import Route, find
from sandbox.stripe.store import text_of
from sandbox.stripe.world import API_VERSION, Call, World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Called with every object that is answered or sent as an event; tests check them all.
Inspect = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in. `target` is its path; header names are in lower case."""

    method: str
    target: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def form(self) -> forms.Form:
        """What was sent, in the query or in the body."""
        try:
            body = self.body.decode()
        except UnicodeDecodeError:
            raise ValidationError("The body must be UTF-8") from None
        return forms.decode(self.query) | forms.decode(body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out. A `body` that is no text is written as JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class App:
    """One sandbox as an ASGI application."""

    def __init__(
        self,
        world: World,
        remote: control.Control,
        inspect: Inspect | None = None,
        record: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._world = world
        self._control = remote
        self._inspect = inspect
        # Awaited before anything that changed something is answered.
        self._record = record
        self.keys = IdempotencyKeys()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = await _receive(scope, receive)
        if request is None:
            return
        answer = await self._answer(request)
        if self._record is not None and request.method not in _READING:
            await self._record()
        await _send(answer, send)

    async def _answer(self, request: Request) -> Answer:
        if request.target.startswith("/sandbox/"):
            return await self._steer(request)
        if not request.target.startswith("/v1/"):
            return await self._show(request)
        if request.method == "OPTIONS":
            return Answer(204, "", _CROSS_ORIGIN)
        return await self._call_api(request)

    async def _show(self, request: Request) -> Answer:
        try:
            form = request.form()
        except ValidationError as error:
            return Answer(400, escape(error.message), pages.HTML)
        page = await pages.answer(self._world, request.method, request.target, form)
        if page is None:
            return Answer(404, "<!doctype html><title>Not found</title>Not found", pages.HTML)
        return Answer(page.status, page.body, page.headers)

    async def _steer(self, request: Request) -> Answer:
        try:
            given = json.loads(request.body or b"{}")
            done = await self._control.do(request.method, request.target, given)
        except (ValueError, TypeError, KeyError) as error:
            return Answer(400, {"error": str(error)})
        if done is None:
            return Answer(404, {"error": f"no such control: {request.method} {request.target}"})
        return Answer(200, done)

    async def _call_api(self, request: Request) -> Answer:
        request_id = self._world.ids.new("request")
        headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION, **_CROSS_ORIGIN}
        try:
            outcome = await self._execute(request, request_id)
        except ApiError as error:
            outcome = Outcome(error.status, error.body(request_id), request_id)
        key = request.headers.get("idempotency-key")
        if key is not None:
            headers["Idempotency-Key"] = key
            if outcome.request_id != request_id:
                headers["Idempotent-Replayed"] = "true"
                headers["Original-Request"] = outcome.request_id
        return Answer(outcome.status, outcome.body, headers)

    async def _execute(self, request: Request, request_id: str) -> Outcome:
        publishable = self._authenticate(request)
        route, ids = find(request.method, request.target)
        if publishable and not route.public:
            raise errors.unauthorized(
                "This API call cannot be made with a publishable API key. Please use a secret API "
                "key. You can find a list of your API keys at "
                "https://dashboard.stripe.com/account/apikeys."
            )
        form = request.form()
        # Stripe.js says who it is in the form.
        for name in ("key", "_stripe_account", "_stripe_version") if publishable else ():
            form.pop(name, None)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        call_of = _Reader(route, form, request_id, key, publishable)
        if key is None:
            return await self._run(route, call_of, ids, request_id)
        described = json.dumps([request.method, request.target, form], sort_keys=True)
        before = self.keys.begin(key, described, self._world.clock.now())
        if before is not None:
            return before
        try:
            outcome = await self._run(route, call_of, ids, request_id)
        except BaseException:
            self.keys.forget(key)
            raise
        self.keys.finish(key, outcome)
        return outcome

    async def _run(
        self, route: Route, call_of: _Reader, ids: tuple[str, ...], request_id: str
    ) -> Outcome:
        """Run the endpoint. What is raised here was refused before the endpoint began."""
        call = call_of()
        fault = self._control.fault_for(route.method, route.path)
        if fault is not None:
            await fault.released.wait()
            if fault.status is not None and fault.status < 500:
                raise _broken(fault.status, fault.code)
            if fault.status is not None and not fault.executed:
                return _failure(fault.status, request_id)
        outcome = self._perform(route, call, ids)
        if fault is not None and fault.status is not None:
            return _failure(fault.status, request_id)
        return outcome

    def _perform(self, route: Route, call: Call, ids: tuple[str, ...]) -> Outcome:
        world = self._world
        named = (*ids, *(call.params.get(n) for n in ("test_clock", "customer", "subscription")))
        with world.working(world.timeline_of(*named), call):
            try:
                found = route.endpoint(world, call, *ids)
            except ValidationError:
                raise
            except ApiError as error:
                return _refusal(error, call)
            try:
                shown = rendering.render(world, found, call.params.get("expand", []))
            except ApiError as error:
                return _refusal(error, call)
        if self._inspect is not None:
            self._inspect(shown)
        return Outcome(200, shown, call.request_id)

    def _authenticate(self, request: Request) -> bool:
        """Tell whether the key is a publishable one. Raises ApiError where it is none of ours."""
        key = _key_of(request)
        if not key:
            raise errors.unauthorized(
                "You did not provide an API key. You need to provide your API key in the "
                "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                "YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or "
                "we can help at https://support.stripe.com/."
            )
        if key.startswith(("sk_live_", "rk_live_", "pk_live_")):
            raise errors.unauthorized("The sandbox refuses live keys: use a test key.")
        if key not in (self._world.api_key, self._world.publishable_key):
            raise errors.unauthorized(f"Invalid API Key provided: {_masked(key)}")
        version = request.headers.get("stripe-version")
        if version not in (None, API_VERSION) and key == self._world.api_key:
            raise ValidationError(
                f"The sandbox speaks version {API_VERSION} of the API only, not {version}."
            )
        return key == self._world.publishable_key


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads a request's parameters when its turn has come."""

    route: Route
    form: forms.Form
    request_id: str
    key: str | None
    publishable: bool

    def __call__(self) -> Call:
        form = dict(self.form)
        # Only browsers name a client secret, which the SDK's types know nothing of.
        secret = form.pop("client_secret", None) if self.route.public else None
        params = self.route.parameters.read(form)
        if secret is not None:
            params["client_secret"] = secret
        return Call(params, self.request_id, self.key, self.publishable)


_READING = ("GET", "HEAD", "OPTIONS")
_CROSS_ORIGIN = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
}


def _broken(status: int, code: str | None = None) -> ApiError:
    return ApiError("The sandbox was told to fail.", status=status, kind="api_error", code=code)


def _refusal(error: ApiError, call: Call) -> Outcome:
    return Outcome(error.status, error.body(call.request_id), call.request_id)


def _failure(status: int, request_id: str) -> Outcome:
    return Outcome(status, _broken(status).body(request_id), request_id)


def _key_of(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    try:
        key = request.form().get("key", "")
    except ValidationError:
        return ""
    return key if isinstance(key, str) else ""


def _masked(key: str) -> str:
    return f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}" if len(key) > 12 else "*" * len(key)


async def _receive(scope: Scope, receive: Receive) -> Request | None:
    """The request; None where whoever sent it went away before it was complete."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return Request(
        method=scope["method"],
        target=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers={
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        },
        body=body,
    )


async def _send(answer: Answer, send: Send) -> None:
    if isinstance(answer.body, str):
        content, type_ = answer.body.encode(), "text/html; charset=utf-8"
    elif isinstance(answer.body, bytes):
        content, type_ = answer.body, "application/octet-stream"
    else:
        content, type_ = text_of(answer.body), "application/json"
    headers = {
        "Content-Type": type_,
        # The real time, as whoever asks wants to compare clocks.
        "Date": formatdate(usegmt=True),
        **answer.headers,
        "Content-Length": str(len(content)),
    }
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": content})
