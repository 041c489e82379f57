"""Nodes for the transport's stories: each has a key, a transport and a memory of what it heard."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from secrets import token_bytes
from typing import ClassVar

import aiohttp

from channeld.adapters.transport.connection import Connection
from channeld.adapters.transport.limits import TransportLimits
from channeld.adapters.transport.peers import PeerTransport
from channeld.wire.noise import Transport, initiate
from tests.wire.noise_cast import Key

# Short where a story waits for it to pass, generous where it must not.
LIMITS = TransportLimits(
    handshake_timeout_s=5.0,
    close_timeout_s=1.0,
    redial_min_s=0.01,
    redial_max_s=0.05,
    stranger_log_interval_s=0.0,
)
# No step of a story takes longer on the slowest machine; only a failing test waits for it.
PATIENCE_S = 20.0


class Node:
    """Hears everything; `story` holds ("up" | "down" | "message", peer id, detail) in order."""

    _watchers: ClassVar[set[asyncio.Event]] = set()

    def __init__(self, seed: int, limits: TransportLimits = LIMITS) -> None:
        self.key = Key(bytes([seed]) * 32)
        self.story: list[tuple[str, bytes, bytes | str]] = []
        self.answer: Callable[[bytes, bytes], Awaitable[None] | None] = lambda peer_id, data: None
        self.greet: Callable[[bytes], None] = lambda peer_id: None
        self.port = 0
        self.transport = PeerTransport(self.key, self, limits, Random(seed))

    @property
    def id(self) -> bytes:
        return self.key.public_key

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    async def listen(self, port: int = 0) -> None:
        self.port = await self.transport.listen("127.0.0.1", port)

    def on_connected(self, peer_id: bytes, connection: Connection) -> None:
        self._note("up", peer_id, "")
        self.greet(peer_id)

    def on_message(self, peer_id: bytes, data: bytes) -> Awaitable[None] | None:
        self._note("message", peer_id, data)
        return self.answer(peer_id, data)

    def on_disconnected(self, peer_id: bytes, reason: str) -> None:
        self._note("down", peer_id, reason)

    def live(self, peer_id: bytes) -> Connection:
        connection = self.transport.connection(peer_id)
        assert connection is not None
        return connection

    def heard(self, kind: str = "message") -> list[bytes | str]:
        return [detail for what, _, detail in self.story if what == kind]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for all stories to reach a point; says where this one stopped if they do not."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            kinds = [what for what, _, _ in self.story]
            raise AssertionError(
                f"waited in vain; the story so far: {kinds[-20:]}, {self.heard('down')}"
            ) from None
        finally:
            self._watchers.remove(changed)

    async def until_heard(self, kind: str, count: int = 1) -> None:
        await self.until(lambda: len(self.heard(kind)) >= count)

    def _note(self, what: str, peer_id: bytes, detail: bytes | str) -> None:
        self.story.append((what, peer_id, detail))
        for watcher in self._watchers:
            watcher.set()


@asynccontextmanager
async def cast(count: int, limits: TransportLimits = LIMITS, **changes: float) -> AsyncIterator[list[Node]]:
    """Listening nodes: alice, bob, carol…, in ascending order of their public keys."""
    nodes = [Node(seed, replace(limits, **changes)) for seed in range(1, count + 1)]
    nodes.sort(key=lambda node: node.id)
    try:
        for node in nodes:
            await node.listen()
        yield nodes
    finally:
        await asyncio.gather(*(node.transport.close() for node in nodes))


class Mallory:
    """A websocket to bob and a key like anyone's; she follows the protocol as far as the story needs."""

    def __init__(self, session: aiohttp.ClientSession, victim: Node, seed: int) -> None:
        self._session = session
        self._victim = victim
        self.key = Key(bytes([seed]) * 32)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._noise: Transport | None = None

    @property
    def id(self) -> bytes:
        return self.key.public_key

    @property
    def socket(self) -> aiohttp.ClientWebSocketResponse:
        assert self._socket is not None
        return self._socket

    @property
    def noise(self) -> Transport:
        assert self._noise is not None
        return self._noise

    async def knock(self) -> None:
        """Up to the websocket, no act yet."""
        self._socket = await self._session.ws_connect(self._victim.url, autoping=False)

    async def introduce(self) -> None:
        """Through the handshake."""
        await self.knock()
        act_one, awaiting = initiate(self.key, self._victim.id, token_bytes(32))
        await self.socket.send_bytes(act_one)
        act_three, self._noise = awaiting.read_act_two(await self.socket.receive_bytes())
        await self.socket.send_bytes(act_three)

    async def close_code(self) -> int | None:
        """Read to the end; why the other side ended it."""
        while not self.socket.closed:
            await self.socket.receive()
        return self.socket.close_code


@asynccontextmanager
async def mallory_at(victim: Node, seed: int = 66) -> AsyncIterator[Mallory]:
    async with aiohttp.ClientSession() as session:
        yield Mallory(session, victim, seed)
