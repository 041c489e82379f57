"""The daemon's commands over HTTP, for the command line and for programs on the same machine.

Whoever holds the token may spend, so the token is checked before anything else of a request is read;
and a web page that points its own name at this address (DNS rebinding) is refused by its Host header.
"""

import asyncio
import hmac
import ipaddress
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from channeld.api.commands import Commands
from channeld.api.doorway import PROOF_S, Doorway
from channeld.api.endpoints import ENDPOINTS, PAYMENT_STREAM_PATH, PUSH_STREAM_PATH, RECEIVED_PATH, Endpoint
from channeld.api.failures import (
    FORBIDDEN,
    NOT_FOUND,
    OPERATIONAL,
    REJECTED,
    STATUS,
    UNAUTHORIZED,
    Failure,
    error_body,
    failure_of,
)
from channeld.api.json_forms import (
    MAX_SHOWN,
    described,
    dump_json,
    from_json,
    parse_json,
    whole_number_fields,
)
from channeld.api.payment_stream import serve_payment_stream
from channeld.api.push_stream import serve_push_stream, serve_received
from channeld.api.requests import Nothing, PayMany, PushMany
from channeld.core.errors import ChanneldError, OperationalError, Rejected

MAX_REQUESTS = 1_024
"""Requests at once: each holds a file descriptor while it waits, and a process often has but 4,096."""
SHUTDOWN_S = 0.5
"""Answers in the making get so long when the daemon stops; what they began goes on without them."""
BODY_S = 30.0
"""A request's body is there in milliseconds; so long does one that never ends keep its place."""
LOCAL_NAME = "localhost"

log = logging.getLogger(__name__)


class ApiServer:
    """A running server."""

    def __init__(self, app: web.AppRunner, runner: web.ServerRunner, host: str, port: int) -> None:
        self._app = app
        self._runner = runner
        self.port = port
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def close(self) -> None:
        """Stop listening and end what is being answered."""
        await self._runner.cleanup()
        await self._app.cleanup()


async def serve_api(
    commands: Commands,
    host: str,
    port: int,
    token: str,
    max_body_bytes: int,
    *,
    proof_s: float = PROOF_S,
    body_s: float = BODY_S,
) -> ApiServer:
    """Listen on `host` and `port` (0: any free one). OperationalError if that is impossible."""

    def proven(request: web.Request) -> None:
        doorway.proven(request.protocol)

    app = web.Application(client_max_size=max_body_bytes, middlewares=[_guard(host, token, proven)])
    for endpoint in ENDPOINTS:
        app.router.add_route(endpoint.method, endpoint.path, _handler(commands, endpoint, body_s))

    async def stream(request: web.Request) -> web.StreamResponse:
        return await serve_payment_stream(commands, request, from_json(PayMany, _query(PayMany, request)))

    async def push_stream(request: web.Request) -> web.StreamResponse:
        return await serve_push_stream(commands, request, from_json(PushMany, _query(PushMany, request)))

    async def received(request: web.Request) -> web.StreamResponse:
        from_json(Nothing, _query(Nothing, request))
        return await serve_received(commands, request)

    app.router.add_route("POST", PAYMENT_STREAM_PATH, stream)
    app.router.add_route("POST", PUSH_STREAM_PATH, push_stream)
    app.router.add_route("GET", RECEIVED_PATH, received)
    made = web.AppRunner(app)
    await made.setup()
    assert made.server is not None
    doorway = Doorway(made.server, proof_s)
    runner = web.ServerRunner(doorway, shutdown_timeout=SHUTDOWN_S)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise OperationalError(f"api: expected to listen on {host}:{port}: {error.strerror}") from error
    except BaseException:
        await runner.cleanup()
        raise
    return ApiServer(made, runner, host, runner.addresses[0][1])


def _handler(commands: Commands, endpoint: Endpoint[Any, Any], body_s: float) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        ask = from_json(endpoint.request, await _fields(endpoint, request, body_s))
        try:
            result = await endpoint.call(commands, ask)
        except Rejected as error:
            if not endpoint.absent_is_404:
                raise
            return _failed(Failure(NOT_FOUND, str(error)))
        return _answered(endpoint.answer.encode(result))

    return handle


# Who may ask ---------------------------------------------------------------------------------------


def _guard(host: str, token: str, proven: Callable[[web.Request], None]) -> Middleware:
    """Checks who asks before a request is read, and turns what is raised into answers.

    `proven` hears of each request with the token.
    """
    expected = f"Bearer {token}".encode()
    running = 0

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal running
        if not _is_own_name(request.headers.get("Host", ""), host):
            return _failed(Failure(FORBIDDEN, f"expected the Host header to be an address or {host}"))
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, expected):
            failure = Failure(
                UNAUTHORIZED, "expected Authorization: Bearer and the token of the data directory"
            )
            return _failed(failure, headers={"WWW-Authenticate": "Bearer"})
        proven(request)
        if running >= MAX_REQUESTS:
            return _failed(
                Failure(OPERATIONAL, f"expected at most {MAX_REQUESTS} requests at once; try later")
            )
        running += 1
        try:
            return await _answer(request, handler)
        finally:
            running -= 1

    return guard


def _is_own_name(given: str, host: str) -> bool:
    """An address, localhost or the configured host: no name that somebody else's DNS can resolve to us.

    Stops DNS rebinding: a page's own name, resolved to 127.0.0.1, makes this server same-origin to it.
    """
    try:
        name = urlsplit(f"//{given}").hostname or ""
    except ValueError:
        return False
    if name in (LOCAL_NAME, host.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _failed(*_http_failure(request, error))
    except ChanneldError as error:
        return _failed(failure_of(error))
    except Exception as error:
        log.exception("api: %s %s met a bug", request.method, request.path)
        return _failed(failure_of(error))


def _http_failure(request: web.Request, error: web.HTTPException) -> tuple[Failure, int]:
    """What aiohttp itself refuses: unknown routes, wrong methods, bodies above the limit."""
    match error:
        case web.HTTPNotFound():
            return Failure(NOT_FOUND, f"no route {request.path[:MAX_SHOWN]}; docs/api.md lists them"), 404
        case web.HTTPMethodNotAllowed():
            methods = " or ".join(sorted(error.allowed_methods))
            return Failure(
                REJECTED, f"expected {methods} {request.path[:MAX_SHOWN]}, got {request.method}"
            ), 405
        case web.HTTPRequestEntityTooLarge():
            return Failure(REJECTED, f"expected a body of at most {request.client_max_size} bytes"), 413
        case _:
            return Failure(REJECTED, error.reason), error.status


# What is asked -------------------------------------------------------------------------------------


async def _fields(endpoint: Endpoint[Any, Any], request: web.Request, body_s: float) -> dict[str, Any]:
    """A request's fields as JSON values, from its body or its query, and from its path."""
    if endpoint.method == "POST":
        from_json(Nothing, _query(Nothing, request))
        fields = await _body(request, body_s)
    else:
        fields = _query(endpoint.request, request)
    for name in endpoint.path_fields:
        if name in fields:
            raise Rejected(f"{name}: expected in the path only")
        fields[name] = request.match_info[name]
    return fields


async def _body(request: web.Request, body_s: float) -> dict[str, Any]:
    """A JSON object; no body at all is an empty one. Raises web.HTTPException if it is too large or slow."""
    try:
        async with asyncio.timeout(body_s):
            raw = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason=f"expected the body within {body_s} s") from None
    except (ConnectionError, web.RequestPayloadError) as error:
        log.debug("api: %s %s ended in the middle of its body: %s", request.method, request.path, error)
        raise Rejected("the body: expected the whole of it, as its headers describe it") from None
    if not raw:
        return {}
    if request.content_type != "application/json":
        # what a web page can send without asking first (a form, plain text) is not taken for JSON
        raise web.HTTPUnsupportedMediaType(reason="expected Content-Type: application/json")
    document = parse_json(raw)
    if not isinstance(document, dict):
        raise Rejected(f"the body: expected an object, got {described(document)}")
    return document


def _query(kind: type, request: web.Request) -> dict[str, Any]:
    """The query's fields as the JSON values that they stand for: whole numbers, true, false, texts."""
    found: dict[str, Any] = {}
    numbers = whole_number_fields(kind)
    for name, text in request.query.items():
        if name in found:
            raise Rejected(f"{name[:MAX_SHOWN]}: expected once in the query, got it twice")
        if name in numbers and re.fullmatch("[0-9]{1,16}", text):
            found[name] = int(text)
        else:
            found[name] = {"true": True, "false": False}.get(text, text)
    return found


# What is answered ----------------------------------------------------------------------------------


def _answered(document: dict[str, Any]) -> web.Response:
    return web.Response(body=dump_json(document), content_type="application/json")


def _failed(
    failure: Failure, status: int | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(
        status=STATUS[failure.kind] if status is None else status,
        body=dump_json(error_body(failure)),
        content_type="application/json",
        headers=headers,
    )
