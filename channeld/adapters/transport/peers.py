"""The peers of this node: at most one connection to each, wanted ones dialled again for ever."""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from random import Random
from typing import Protocol

from channeld.adapters.transport.admission import Admission
from channeld.adapters.transport.connection import Connection
from channeld.adapters.transport.dialler import CannotReach, Dialler
from channeld.adapters.transport.limits import TransportLimits
from channeld.adapters.transport.listener import Listener
from channeld.adapters.transport.websocket import CloseCode, WebSocket
from channeld.core.errors import OperationalError, PeerViolation, Rejected
from channeld.wire.noise import StaticKey, Transport

_log = logging.getLogger(__name__)


class PeerEvents(Protocol):
    """What the owner hears. Each `on_connected` is followed by one `on_disconnected` of the same peer
    before the next `on_connected`; messages come only in between."""

    def on_connected(self, peer_id: bytes, connection: Connection) -> None: ...

    def on_message(self, peer_id: bytes, data: bytes) -> Awaitable[None] | None:
        """See `connection.OnMessage`: an awaitable slows this peer down, PeerViolation drops it."""
        ...

    def on_disconnected(self, peer_id: bytes, reason: str) -> None: ...


class PeerTransport:
    """All connections. A bug in the owner's callbacks goes to the loop's exception handler."""

    def __init__(
        self,
        key: StaticKey,
        events: PeerEvents,
        limits: TransportLimits | None = None,
        random: Random | None = None,
    ) -> None:
        self._key = key
        self._events = events
        self._limits = limits or TransportLimits()
        self._random = random or Random()
        self._dialler = Dialler(key, self._limits)
        self._listeners: list[Listener] = []
        self._live: dict[bytes, Connection] = {}
        self._wanted: dict[bytes, asyncio.Task[None] | None] = {}
        self._dials: dict[tuple[bytes, str], asyncio.Task[Connection]] = {}
        self._strangers = Admission(self._limits.max_strangers, self._limits.max_strangers_per_network)
        self._stranger_hosts: dict[bytes, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def listen(self, host: str, port: int) -> int:
        """Accept peers; the port. Raises OperationalError."""
        listener = Listener(self._key, self._serve_inbound, self._limits)
        bound_port = await listener.start(host, port)
        self._listeners.append(listener)
        return bound_port

    def want(self, peer_id: bytes, url: str | None) -> None:
        """Always have room for this peer; with a URL, stay connected to it. Replaces an earlier wish."""
        self._check_peer(peer_id)
        self.forget(peer_id)
        self._leave_strangers(peer_id)
        self._wanted[peer_id] = self._spawn(self._keep(peer_id, url)) if url is not None else None

    def forget(self, peer_id: bytes) -> None:
        """Dial this peer no more. An open connection stays."""
        task = self._wanted.pop(peer_id, None)
        if task is not None:
            task.cancel()

    async def connect(self, peer_id: bytes, url: str) -> Connection:
        """The connection to this peer; if there is none, this address is dialled, once by all who ask.

        Raises Rejected, OperationalError, or PeerViolation if what answers breaks the protocol.
        """
        self._check_peer(peer_id)
        live = self._live.get(peer_id)
        if live is not None:
            return live
        dial = self._dials.get((peer_id, url))
        if dial is None:
            dial = asyncio.create_task(self._dial(peer_id, url), name="peer dial")
            self._dials[peer_id, url] = dial
            dial.add_done_callback(lambda done: self._end_dial(peer_id, url, done))
        await asyncio.wait([dial])  # not cancelled with us: others may wait for the same dial
        if dial.cancelled():
            raise CannotReach(f"{url}: this node stops")
        return dial.result()

    def connection(self, peer_id: bytes) -> Connection | None:
        return self._live.get(peer_id)

    def send(self, peer_id: bytes, data: bytes) -> bool:
        """`Connection.send` to this peer; False also if it is not connected."""
        live = self._live.get(peer_id)
        return live is not None and live.send(data)

    async def disconnect(self, peer_id: bytes, reason: str) -> None:
        """Close the connection cleanly; a wanted peer is dialled again."""
        live = self._live.get(peer_id)
        if live is not None:
            await live.close(CloseCode.DONE, reason)
            await live.ended.wait()

    async def close(self) -> None:
        """Flush and close every connection, stop listening and dialling; a few close timeouts at most."""
        if self._closing:
            return
        self._closing = True
        for listener in self._listeners:
            listener.stop_accepting()
        for peer_id in list(self._wanted):
            self.forget(peer_id)
        dials = list(self._dials.values())
        for dial in dials:
            dial.cancel()
        await asyncio.gather(*dials, return_exceptions=True)
        await asyncio.gather(
            *(live.close(CloseCode.GOING_AWAY, "this node stops") for live in self._live.values())
        )
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.gather(*(listener.close() for listener in self._listeners))
        await self._dialler.close()

    def _check_peer(self, peer_id: bytes) -> None:
        if self._closing:
            raise Rejected("expected an open transport, this one is closing")
        if peer_id == self._key.public_key:
            raise Rejected("expected another node's public key, got our own")

    async def _dial(self, peer_id: bytes, url: str) -> Connection:
        """Dial; the peer's live connection, whoever opened it."""
        socket, noise = await self._dialler.dial(peer_id, url)
        connection = Connection(peer_id, self._key.public_key, socket, noise, self._limits)
        refusal = self._adopt(connection)
        if refusal is None:
            return connection
        await connection.close(*refusal)
        live = self._live.get(peer_id)
        if live is None:
            raise CannotReach(f"{url}: {refusal[1]}")
        return live

    def _end_dial(self, peer_id: bytes, url: str, dial: asyncio.Task[Connection]) -> None:
        del self._dials[peer_id, url]
        if not dial.cancelled():
            dial.exception()  # seen, even if whoever asked has gone

    async def _serve_inbound(self, peer_id: bytes, socket: WebSocket, noise: Transport) -> None:
        # In a task of ours, because aiohttp swallows what its handlers raise.
        await asyncio.wait(
            [self._spawn(self._welcome(Connection(peer_id, peer_id, socket, noise, self._limits)))]
        )

    async def _welcome(self, connection: Connection) -> None:
        refusal = self._adopt(connection)
        if refusal is None:
            await connection.ended.wait()
        else:
            _log.info(
                "%s at %s was refused: %s", _name(connection.peer_id), connection.remote_host, refusal[1]
            )
            await connection.close(*refusal)

    def _adopt(self, connection: Connection) -> tuple[CloseCode, str] | None:
        """Make this the peer's connection and tell the owner, or the reason why not."""
        peer_id = connection.peer_id
        if self._closing:
            return CloseCode.GOING_AWAY, "this node stops"
        if peer_id == self._key.public_key:
            return CloseCode.VIOLATION, "it holds our own key: the same node runs twice"
        old = self._live.get(peer_id)
        if old is not None:
            if not self._replaces(connection, old):
                return CloseCode.DUPLICATE, "both ends dialled, and the other connection is kept"
            self._drop(old, "replaced by a newer connection of the same peer")
            self._spawn(old.close(CloseCode.DUPLICATE, "replaced"))
        if peer_id not in self._wanted and connection.initiator_id == peer_id:
            refusal = self._strangers.enter(connection.remote_host)
            if refusal is not None:
                return CloseCode.TRY_LATER, refusal
            self._stranger_hosts[peer_id] = connection.remote_host
        self._live[peer_id] = connection
        connection.start()
        self._spawn(self._run(connection))
        _log.info("%s at %s is connected", _name(peer_id), connection.remote_host)
        self._events.on_connected(peer_id, connection)
        return None

    def _replaces(self, new: Connection, old: Connection) -> bool:
        """Of two connections to one peer, is it the newer that stays?

        Nobody dials a peer whom he believes connected. So a second connection from the same end means
        that this end has lost the first; and one from the other end either crossed it on the way, which
        takes no longer than a handshake (then both ends keep the one of the lower key), or means the same.
        """
        if new.initiator_id == old.initiator_id:
            return True
        if new.established_at_s - old.established_at_s > self._limits.handshake_timeout_s:
            return True
        return new.initiator_id == min(self._key.public_key, new.peer_id)

    async def _run(self, connection: Connection) -> None:
        reason = "a bug in this node"
        try:
            reason = await connection.run(self._events.on_message)
        finally:
            self._drop(connection, reason)

    def _drop(self, connection: Connection, reason: str) -> None:
        """Forget the connection and tell the owner, unless that was done when another replaced it."""
        peer_id = connection.peer_id
        if self._live.get(peer_id) is not connection:
            return
        connection.mute(reason)
        del self._live[peer_id]
        self._leave_strangers(peer_id)
        _log.info("%s at %s is disconnected: %s", _name(peer_id), connection.remote_host, reason)
        self._events.on_disconnected(peer_id, reason)

    def _leave_strangers(self, peer_id: bytes) -> None:
        host = self._stranger_hosts.pop(peer_id, None)
        if host is not None:
            self._strangers.leave(host)

    async def _keep(self, peer_id: bytes, url: str) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            live = self._live.get(peer_id)
            if live is None:
                try:
                    live = await self.connect(peer_id, url)
                except (OperationalError, PeerViolation) as failure:
                    _log.info("cannot connect to %s: %s", _name(peer_id), failure)
            if live is not None:
                await live.ended.wait()
                age_s = asyncio.get_running_loop().time() - live.established_at_s
                if age_s >= self._limits.redial_reset_after_s:
                    failures = 0
            await asyncio.sleep(self._redial_delay_s(failures))
            failures += 1

    def _redial_delay_s(self, failures: int) -> float:
        """Doubling up to the maximum, less up to a half at random."""
        doubled_s = self._limits.redial_min_s * float(1 << min(failures, 30))
        return min(doubled_s, self._limits.redial_max_s) * self._random.uniform(0.5, 1.0)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_task)
        return task

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        bug = None if task.cancelled() else task.exception()
        if bug is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a bug met by the peer transport", "exception": bug, "task": task}
            )


def _name(peer_id: bytes) -> str:
    """Enough of a key to tell peers apart in a log."""
    return f"peer {peer_id.hex()[:16]}"
