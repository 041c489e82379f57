"""One view of aiohttp's two websockets: binary frames in and out, a reason at the end, and never a hang."""

import asyncio
from enum import IntEnum
from itertools import count

from aiohttp import ClientWebSocketResponse, WebSocketError, WSMsgType, web

from channeld.core.errors import OperationalError
from channeld.wire.framing import MAX_FRAME_BYTES
from channeld.wire.malformed import MalformedMessage

# aiohttp refuses a frame of this size and more, by its header, before it buffers any of it.
REFUSED_FRAME_BYTES = MAX_FRAME_BYTES + 1

# A flood of pings keeps the socket readable for ever; after so many the other peers have a turn.
_CONTROL_FRAMES_PER_TURN = 64

# Only while a closing connection still has unsent bytes.
_FLUSH_POLL_S = 0.01


class CloseCode(IntEnum):
    """Why an end closes, as its close frame says ([RFC-6455] section 7.4; from 4000 on, ours)."""

    DONE = 1000
    GOING_AWAY = 1001
    VIOLATION = 1008
    TRY_LATER = 1013
    DUPLICATE = 4001
    HANDSHAKE_FAILED = 4002


class ConnectionEnded(OperationalError):
    """The connection is gone, by anyone's doing."""


class ClientWebSocket(ClientWebSocketResponse):
    """aiohttp's client end, with a way out that does not wait for a peer who does not read."""

    @property
    def transport(self) -> asyncio.Transport:
        return self._writer.transport

    def abort(self) -> None:
        self.transport.abort()
        self._response.close()


class WebSocket:
    """Frames of an open websocket; pings are answered here."""

    def __init__(
        self,
        inner: ClientWebSocket | web.WebSocketResponse,
        transport: asyncio.Transport,
        remote_host: str,
    ) -> None:
        self._inner = inner
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self.remote_host = remote_host
        self.heard_at_s = self._loop.time()
        self.sent_bytes = 0

    async def receive(self) -> bytes:
        """The next binary frame. Raises MalformedMessage (anything else) or ConnectionEnded."""
        for silent in count(1):
            message = await self._inner.receive()
            self.heard_at_s = self._loop.time()
            if silent % _CONTROL_FRAMES_PER_TURN == 0:
                await asyncio.sleep(0)
            match message.type:
                case WSMsgType.BINARY:
                    data: bytes = message.data
                    return data
                case WSMsgType.PING:
                    await self._pong(message.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.TEXT:
                    raise MalformedMessage("frame", "a binary frame", "a text frame")
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                    # Its text may quote what the peer sent; its code says enough.
                    raise MalformedMessage("frame", "[RFC-6455]", f"websocket error {message.data.code}")
                case _:
                    raise ConnectionEnded(_describe(self._inner.close_code))
        raise AssertionError("counted to infinity")

    async def send(self, frame: bytes) -> None:
        """Returns once the frame is with the operating system or a bounded buffer before it."""
        self.sent_bytes += len(frame)
        try:
            await self._inner.send_bytes(frame)
        except (ConnectionError, RuntimeError) as error:
            raise ConnectionEnded(f"cannot send: {type(error).__name__}") from None

    async def ping(self) -> None:
        try:
            await self._inner.ping()
        except (ConnectionError, RuntimeError) as error:
            raise ConnectionEnded(f"cannot send: {type(error).__name__}") from None

    async def close(self, code: CloseCode, timeout_s: float) -> None:
        """Say why, wait at most `timeout_s` for the peer to take it, and be gone."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._inner.close(code=code)
                # aiohttp may leave without the peer's answer; what is still in our buffer must not be lost.
                while self._transport.get_write_buffer_size() > 0:  # noqa: ASYNC110 (there is no event for it)
                    await asyncio.sleep(_FLUSH_POLL_S)
        except (TimeoutError, ConnectionError, RuntimeError):
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Be gone now; for a peer that reads nothing, or to whom nothing is to be said."""
        if isinstance(self._inner, ClientWebSocket):
            self._inner.abort()
        else:
            self._transport.abort()

    async def _pong(self, payload: bytes) -> None:
        try:
            await self._inner.pong(payload)
        except (ConnectionError, RuntimeError) as error:
            raise ConnectionEnded(f"cannot answer a ping: {type(error).__name__}") from None


def _describe(code: int | None) -> str:
    if code in (None, 0, 1006):  # [RFC-6455]: no close frame was seen
        return "the connection was lost"
    name = next((known.name for known in CloseCode if known == code), "unknown code")
    return f"closed with code {code} ({name.lower().replace('_', ' ')})"
