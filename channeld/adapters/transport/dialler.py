"""One outgoing connection: find the address, upgrade, prove both keys."""

import asyncio
from types import SimpleNamespace

import aiohttp

from channeld.adapters.transport.handshake import initiate_over
from channeld.adapters.transport.limits import TransportLimits
from channeld.adapters.transport.websocket import (
    REFUSED_FRAME_BYTES,
    ClientWebSocket,
    CloseCode,
    ConnectionEnded,
    WebSocket,
)
from channeld.core.errors import OperationalError, PeerViolation
from channeld.wire.noise import StaticKey, Transport


class CannotReach(OperationalError):
    """The peer did not answer, or something else did; worth another try later."""


class Dialler:
    """Opens websockets to peers. `close` when done."""

    def __init__(self, key: StaticKey, limits: TransportLimits) -> None:
        self._key = key
        self._limits = limits
        self._places = asyncio.Semaphore(limits.max_concurrent_dials)
        self._session: aiohttp.ClientSession | None = None

    async def dial(self, peer_id: bytes, url: str) -> tuple[WebSocket, Transport]:
        """Raises CannotReach, or PeerViolation if what answers breaks the protocol."""
        async with self._places:
            try:
                async with asyncio.timeout(self._limits.handshake_timeout_s):
                    return await self._dial(peer_id, url)
            except TimeoutError:
                raise CannotReach(
                    f"{url}: expected a handshake within {self._limits.handshake_timeout_s} s, got none"
                ) from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise CannotReach(f"{url}: {_describe(error)}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _dial(self, peer_id: bytes, url: str) -> tuple[WebSocket, Transport]:
        inner = await self._get_session().ws_connect(
            url,
            autoping=False,
            compress=0,
            max_msg_size=REFUSED_FRAME_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=self._limits.close_timeout_s),
        )
        assert isinstance(inner, ClientWebSocket)
        name = inner.transport.get_extra_info("peername")
        socket = WebSocket(inner, inner.transport, str(name[0]) if name else "unknown")
        try:
            return socket, await initiate_over(socket, self._key, peer_id)
        except ConnectionEnded as end:
            # A responder with another key cannot read act one and hangs up without a word more.
            raise CannotReach(
                f"{url}: expected the owner of {peer_id.hex()}, {end} in the handshake"
            ) from None
        except PeerViolation:
            await socket.close(CloseCode.HANDSHAKE_FAILED, self._limits.close_timeout_s)
            raise
        except BaseException:
            socket.abort()
            raise

    def _get_session(self) -> aiohttp.ClientSession:
        """Made at the first dial, because aiohttp binds it to the running loop."""
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_redirect.append(_refuse_redirect)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # our own semaphore counts
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # ours spans the whole handshake
                trace_configs=[tracing],
                ws_response_class=ClientWebSocket,
            )
        return self._session


async def _refuse_redirect(
    session: aiohttp.ClientSession, context: SimpleNamespace, request: aiohttp.TraceRequestRedirectParams
) -> None:
    """A peer must not be able to make us send requests to addresses of its choice."""
    request.response.close()
    raise CannotReach(f"{request.url}: expected a websocket, got a redirection")


def _describe(error: Exception) -> str:
    match error:
        case aiohttp.WSServerHandshakeError():
            return f"expected a websocket, got HTTP status {error.status}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect ({error.os_error.strerror or type(error.os_error).__name__})"
        case aiohttp.InvalidURL():
            return "expected a URL of the form ws://host:port/"
        case _:
            return f"cannot connect ({type(error).__name__})"
