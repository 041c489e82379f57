"""Who stands at the API's door: connections that have not shown the token are few, quiet and soon gone.

Anybody on this machine can connect. Before the token nothing is owed to them: not a file descriptor for
longer than a request's head takes, and no lines in the log.
"""

import asyncio
import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

PROOF_S = 10.0
"""From the connection to a request with the token: a caller on this machine takes milliseconds."""

MAX_UNPROVEN = 256
"""Connections without the token: twice what the kernel hands over at once (128), so that callers who come
all together are not pushed out before they are read, and a quarter of the file descriptors that a process
often has. One more takes the place of the oldest: whoever has the token has shown it by then."""

LINGER_S = 1.0
"""So long is the rest of a refused request read, for its sender to see why before the connection ends."""

log = logging.getLogger(__name__)


class _NoBadRequests(logging.Filter):
    """Leaves out what aiohttp says, with bytes and traceback, whenever somebody sends what is no HTTP."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_http_log = logging.getLogger("channeld.api.http")
_http_log.addFilter(_NoBadRequests())


class Doorway(web.Server):
    """An application's server, with limits on connections before its first good request."""

    def __init__(self, inner: web.Server, proof_s: float = PROOF_S) -> None:
        super().__init__(
            inner.request_handler,
            request_factory=inner.request_factory,
            logger=_http_log,
            access_log=None,
            lingering_time=LINGER_S,
        )
        self._proof_s = proof_s
        self._unproven: dict[RequestHandler, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._unproven) >= MAX_UNPROVEN:
            self._turn_out(next(iter(self._unproven)))
        timer = asyncio.get_running_loop().call_later(self._proof_s, self._turn_out, handler)
        self._unproven[handler] = transport, timer

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._forget(handler)

    def proven(self, handler: RequestHandler) -> None:
        """A request on this connection had the token: its caller may spend, and may stay."""
        self._forget(handler)

    def _turn_out(self, handler: RequestHandler) -> None:
        transport = self._forget(handler)
        if transport is not None:
            log.debug("a connection to the API without the token is closed")
            transport.abort()

    def _forget(self, handler: RequestHandler) -> asyncio.Transport | None:
        known = self._unproven.pop(handler, None)
        if known is None:
            return None
        transport, timer = known
        timer.cancel()
        return transport
