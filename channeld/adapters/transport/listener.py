"""The door: accepts TCP, speaks HTTP for one request, and lets through who proves a key in time.

Everything before the proof is hostile until shown otherwise: the number of sockets, their time and their
bytes are bounded from the moment TCP accepts them, not from where aiohttp starts to ask.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from channeld.adapters.transport.admission import Admission, StrangerLog
from channeld.adapters.transport.handshake import respond_over
from channeld.adapters.transport.limits import TransportLimits
from channeld.adapters.transport.websocket import (
    REFUSED_FRAME_BYTES,
    CloseCode,
    ConnectionEnded,
    WebSocket,
)
from channeld.core.errors import OperationalError, PeerViolation
from channeld.wire.noise import StaticKey, Transport

_log = logging.getLogger(__name__)

# aiohttp logs bad requests with their bytes and a traceback, as often as a stranger likes.
_SILENT = logging.Logger("channeld.transport.http", level=logging.CRITICAL + 1)

# Connections that the kernel may hold for us during one slow turn of the loop.
_BACKLOG = 128

# Serves one authenticated peer until its connection has ended.
ServePeer = Callable[[bytes, WebSocket, Transport], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Visitor:
    """A TCP connection that has not proven a key yet."""

    host: str
    deadline: asyncio.TimerHandle


class _GuardedServer(web.Server):
    """aiohttp's server, with a guard at TCP level: a visitor that sends nothing never reaches a handler."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], limits: TransportLimits
    ) -> None:
        super().__init__(handler, logger=_SILENT, access_log=None)
        self._limits = limits
        self._visits = Admission(limits.max_handshakes, limits.max_handshakes_per_network)
        self._visitors: dict[asyncio.Transport, _Visitor] = {}
        self.stranger_log = StrangerLog(_log, limits.stranger_log_interval_s)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        host = _host_of(transport)
        loop = asyncio.get_running_loop()
        refusal = self._visits.enter(host)
        if refusal is not None:
            self.note(f"{host} was turned away: {refusal}")
            # Not at once: aiohttp's handler starts after this callback, and on Python 3.11 one that finds its
            # connection lost already dies of an assertion, which would stop the daemon like any bug.
            loop.call_soon(transport.abort)
            return
        deadline = loop.call_later(self._limits.handshake_timeout_s, self._expire, transport)
        self._visitors[transport] = _Visitor(host, deadline)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        transport = self._connections.get(handler)
        super().connection_lost(handler, exc)
        if transport is not None:
            self.release(transport)

    def release(self, transport: asyncio.Transport) -> bool:
        """The visitor has proven a key, or left; False if it had done so before."""
        visitor = self._visitors.pop(transport, None)
        if visitor is None:
            return False
        visitor.deadline.cancel()
        self._visits.leave(visitor.host)
        return True

    def abort_visitors(self) -> None:
        for transport in list(self._visitors):
            transport.abort()

    def note(self, line: str) -> None:
        self.stranger_log.info(asyncio.get_running_loop().time(), line)

    def _expire(self, transport: asyncio.Transport) -> None:
        self.note(f"{_host_of(transport)} did not prove a key within {self._limits.handshake_timeout_s} s")
        transport.abort()


class Listener:
    """Accepts peers on one address until closed."""

    def __init__(self, key: StaticKey, serve_peer: ServePeer, limits: TransportLimits) -> None:
        self._key = key
        self._serve_peer = serve_peer
        self._limits = limits
        self._guard = _GuardedServer(self._handle, limits)
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port (another than 0 if 0 was given). Raises OperationalError."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._guard, host, port, backlog=_BACKLOG)
        except OSError as error:
            raise OperationalError(
                f"cannot listen for peers on {host}:{port}: {error.strerror or error}"
            ) from error
        bound_port: int = self._server.sockets[0].getsockname()[1]
        return bound_port

    def stop_accepting(self) -> None:
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        """Drop every visitor; peers should have been closed before."""
        self.stop_accepting()
        self._guard.abort_visitors()
        await self._guard.shutdown(self._limits.close_timeout_s)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        # aiohttp would log the offered sub-protocols; we have none, so nobody has a reason to offer any.
        if hdrs.SEC_WEBSOCKET_PROTOCOL in request.headers:
            return self._refuse(request, "it asked for a sub-protocol")
        inner = web.WebSocketResponse(
            autoping=False,
            compress=False,
            max_msg_size=REFUSED_FRAME_BYTES,
            timeout=self._limits.close_timeout_s,
        )
        if not inner.can_prepare(request).ok:
            return self._refuse(request, "it did not ask for a websocket")
        await inner.prepare(request)
        socket = WebSocket(inner, transport, _host_of(transport))
        try:
            peer_id, noise = await respond_over(socket, self._key)
        except (PeerViolation, ConnectionEnded) as failure:
            self._guard.note(f"{socket.remote_host} failed the handshake: {failure}")
            await socket.close(CloseCode.HANDSHAKE_FAILED, self._limits.close_timeout_s)
            return inner
        if self._guard.release(transport):  # else the deadline has passed in this very turn
            await self._serve_peer(peer_id, socket, noise)
        return inner

    def _refuse(self, request: web.BaseRequest, reason: str) -> web.Response:
        self._guard.note(f"{request.remote} was turned away: {reason}")
        response = web.Response(status=426, headers={hdrs.UPGRADE: "websocket"})
        response.force_close()
        return response


def _host_of(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("peername")
    return str(name[0]) if name else "unknown"
