"""An authenticated connection to one peer: a bounded queue out, a reader that can be slowed, a pulse."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from channeld.adapters.transport.limits import TransportLimits
from channeld.adapters.transport.websocket import CloseCode, ConnectionEnded, WebSocket
from channeld.core.errors import PeerViolation
from channeld.wire.framing import FrameReader, seal_frames
from channeld.wire.limits import MAX_MESSAGE_BYTES
from channeld.wire.noise import Transport

# Called with the peer's id and a message. It may return an awaitable: reading stops until that is done,
# which TCP passes on to the sender; it is cancelled if the connection ends first. Either may raise
# PeerViolation: the connection is then closed.
OnMessage = Callable[[bytes, bytes], Awaitable[None] | None]

# A flooder with small messages keeps its socket readable for ever; after so many the others have a turn.
_MESSAGES_PER_TURN = 256


class Connection:
    """`start`, then `run`, which ends with the connection; `send` and `close` may be called by anyone."""

    def __init__(
        self,
        peer_id: bytes,
        initiator_id: bytes,
        socket: WebSocket,
        noise: Transport,
        limits: TransportLimits,
    ) -> None:
        self.peer_id = peer_id
        self.initiator_id = initiator_id
        self._socket = socket
        self._noise = noise
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self.established_at_s = self._loop.time()
        self.ended = asyncio.Event()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wake: asyncio.Future[None] | None = None
        self._end_reason: str | None = None
        self._ending: asyncio.Future[None] = self._loop.create_future()
        self._ping_due = False
        self._reading_paused = False
        self._writer: asyncio.Task[None] | None = None
        self._pulse: asyncio.TimerHandle | None = None
        self._goodbye: asyncio.Future[None] | None = None

    @property
    def remote_host(self) -> str:
        return self._socket.remote_host

    @property
    def sent_bytes(self) -> int:
        """Of all frames so far, encrypted; without the headers of websocket and TCP."""
        return self._socket.sent_bytes

    @property
    def unsent(self) -> int:
        """How many messages wait to be written."""
        return len(self._queue)

    def send(self, data: bytes) -> bool:
        """Queue one message of 1 to MAX_MESSAGE_BYTES bytes; never waits.

        False if the connection is ending: the message is dropped, as it would be one moment later. A full
        queue ends the connection, because a peer that does not read must not fill our memory.
        """
        assert 0 < len(data) <= MAX_MESSAGE_BYTES, f"a message of {len(data)} bytes"
        if self._end_reason is not None:
            return False
        queued = self._queued_bytes + len(data)
        if queued > self._limits.max_unsent_bytes or len(self._queue) >= self._limits.max_unsent_messages:
            self.abort(
                f"the peer reads too slowly: {len(self._queue)} messages, {self._queued_bytes} bytes unsent"
            )
            return False
        self._queue.append(data)
        self._queued_bytes = queued
        self._rouse()
        return True

    def start(self) -> None:
        """Begin to write and to watch the peer's pulse; `run` must follow."""
        self._writer = asyncio.create_task(self._write(), name="peer writer")
        self._pulse = self._loop.call_later(self._limits.ping_interval_s, self._check_pulse)

    async def run(self, on_message: OnMessage) -> str:
        """Deliver messages until the connection ends; the reason. What `on_message` raises comes out,
        except PeerViolation, which is the reason then."""
        try:
            await self._read(on_message)
        except ConnectionEnded as end:
            self.mute(str(end))
        except PeerViolation as violation:
            self.mute(f"{type(violation).__name__}: {violation}")
            await self._socket.close(CloseCode.VIOLATION, self._limits.close_timeout_s)
        finally:
            self.mute("stopped")
            await self._stop()
        assert self._end_reason is not None
        return self._end_reason

    async def _stop(self) -> None:
        """Leave nothing behind. Whoever is saying goodbye may finish first, its time is limited."""
        if self._goodbye is not None:
            await asyncio.wait([self._goodbye])
        self._socket.abort()
        assert self._pulse is not None
        assert self._writer is not None
        self._pulse.cancel()
        self._writer.cancel()
        await asyncio.wait([self._writer])
        self._queue.clear()
        self._queued_bytes = 0
        self.ended.set()
        if not self._writer.cancelled():
            self._writer.result()

    def mute(self, reason: str) -> None:
        """From this call on nothing is delivered and nothing more is queued; `close` should follow."""
        if self._end_reason is None:
            self._end_reason = reason
            self._ending.set_result(None)
            self._rouse()

    async def close(self, code: CloseCode, reason: str) -> None:
        """Mute, flush what is queued, say goodbye; at most twice the close timeout."""
        self.mute(reason)
        if self._goodbye is not None or self.ended.is_set():
            return
        self._goodbye = self._loop.create_future()
        try:
            if self._writer is not None:
                await asyncio.wait([self._writer], timeout=self._limits.close_timeout_s)
            await self._socket.close(code, self._limits.close_timeout_s)
        finally:
            self._goodbye.set_result(None)

    def abort(self, reason: str) -> None:
        """End at once, without a word."""
        self.mute(reason)
        self._socket.abort()

    async def _read(self, on_message: OnMessage) -> None:
        reader = FrameReader(self._noise)
        since_turn = 0
        while True:
            for message in reader.open(await self._socket.receive()):
                if self._end_reason is not None:
                    raise ConnectionEnded(self._end_reason)
                slow = on_message(self.peer_id, message)
                since_turn += 1
                if slow is not None:
                    await self._wait_unheard(slow)
                if since_turn >= _MESSAGES_PER_TURN:
                    since_turn = 0
                    await asyncio.sleep(0)

    async def _wait_unheard(self, slow: Awaitable[None]) -> None:
        """Wait for our own side, not beyond the connection; meanwhile the peer's silence is not its fault."""
        work = asyncio.ensure_future(slow)
        self._reading_paused = True
        try:
            await asyncio.wait([work, self._ending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._reading_paused = False
            self._socket.heard_at_s = self._loop.time()
            if not work.done():
                work.cancel()
        if work.done():
            work.result()

    async def _write(self) -> None:
        """Everything that one turn of the loop has queued leaves in as few frames as hold it."""
        try:
            while True:
                for frame in seal_frames(self._noise, self._take()):
                    await self._socket.send(frame)
                if self._ping_due:
                    self._ping_due = False
                    await self._socket.ping()
                if self._queue:
                    continue
                if self._end_reason is not None:
                    return
                self._wake = self._loop.create_future()
                await self._wake
                self._wake = None
        except ConnectionEnded as end:
            self.abort(str(end))
        except Exception:
            self.abort("the writer failed")
            raise

    def _take(self) -> Iterator[bytes]:
        while self._queue:
            message = self._queue.popleft()
            self._queued_bytes -= len(message)
            yield message

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _check_pulse(self) -> None:
        """Ping a silent peer; give up on one that stays silent."""
        silence_s = 0.0 if self._reading_paused else self._loop.time() - self._socket.heard_at_s
        if silence_s >= self._limits.silence_timeout_s:
            self.abort(f"the peer was silent for {silence_s:.0f} s")
            return
        if silence_s >= self._limits.ping_interval_s / 2:
            self._ping_due = True
            self._rouse()
        self._pulse = self._loop.call_later(self._limits.ping_interval_s, self._check_pulse)
