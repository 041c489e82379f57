"""Connections to peers: greeting, gossip, relayed messages; everything about channels goes to the engine."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import msgpack

from channeld.adapters.journal.records import Delete, Journal, Put
from channeld.adapters.signer import address_of
from channeld.adapters.transport.connection import Connection
from channeld.adapters.transport.peers import PeerTransport
from channeld.core.channel import Channel, Reestablish
from channeld.core.errors import OperationalError, PeerViolation
from channeld.core.events import MessageReceived, PeerConnected, PeerDisconnected
from channeld.core.messages import Complaint, Hello, Message, PoliciesKnown, PolicyAnnouncement, Relay
from channeld.daemon.engine import Chained, Engine
from channeld.daemon.gossip import Gossip
from channeld.daemon.patience import Patience
from channeld.daemon.strangers import Account, StrangersTime
from channeld.daemon.waiting import Waiters
from channeld.wire.messages import decode, encode, is_about_a_channel

log = logging.getLogger(__name__)

PROTOCOL = 1

RELAYS_A_SECOND = 50
"""Relayed messages taken from one peer a second: enough for a busy trader's questions, far below what
would keep a core busy."""

POLICIES_AT_ONCE = 256
"""Policies sent before anything else has its turn: 60 kB, a few milliseconds."""

TELLING_PAUSE_S = 0.02
"""Between two such lots while a peer is told what it does not know: 3 MB a second at most."""

PEER_BACKLOG_MESSAGES = 256
PEER_BACKLOG_BYTES = 4 << 20
"""What one peer may have said that is not dealt with yet; then it is no longer read from, and the others
are. A hub pair has one unanswered update a channel; four of the largest messages fit."""

USELESS_PAUSE_S = 0.25
"""A peer of whose last 256 messages most changed nothing is heard again so much later: a thousand a second
of them cost some per cent of a core, and honest ones say such things only after a reconnection."""

REESTABLISHES_A_CHANNEL = 4
MORE_REESTABLISHES = 16
"""What a connection needs is one for each channel, and one more whenever a deposit comes meanwhile. Each is
stored, and answered with a signature and perhaps a whole state: not as often as a peer likes."""

UNGREETED_S = 30.0
"""After its handshake, a peer that does not say hello loses its place to one that does."""

COMPLAINT_INTERVAL_S = 1
"""Between two complaints of a peer that are logged: one explains what went wrong, more fill the disk."""


@dataclass(slots=True)
class _Peer:
    connection: Connection
    hello: Hello | None = None
    compared: bool = False
    telling: asyncio.Task[None] | None = None
    patience: asyncio.TimerHandle | None = None
    reestablishes: int = 0
    useless: int = 0
    backlog_messages: int = 0
    backlog_bytes: int = 0
    complained_at_s: int = 0
    relays: float = RELAYS_A_SECOND
    relays_at_s: int = 0
    account: Account = field(default_factory=Account)


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """A peer that we want to stay connected to. `url` is empty if only it can reach us."""

    node_id: bytes
    url: str
    alias: str


class Peering:
    """Implements the transport's `PeerEvents`; the transport is set once, before it listens."""

    transport: PeerTransport
    _own_id: bytes

    def __init__(
        self,
        engine: Engine,
        gossip: Gossip,
        hello: Hello,
        waiters: Waiters,
        on_relay: Callable[[Relay], None],
    ) -> None:
        """`on_relay` takes relayed messages whose path ends here."""
        self._engine = engine
        self._journal: Journal = engine.journal
        self._gossip = gossip
        self._hello = hello
        self._waiters = waiters
        self.patience = Patience(engine.tables)
        self._on_relay = on_relay
        self._strangers_time = StrangersTime()
        gossip.on_news = self.spread
        engine.on_useless = self._said_something_useless
        self._peers: dict[bytes, _Peer] = {}
        self.known: dict[bytes, KnownPeer] = {}
        self._by_address: dict[bytes, bytes] = {}
        self._welcome: dict[bytes, str] = {}  # other ends of channels, and what they last called themselves

    def restore(self) -> None:
        """Dial the peers that the journal remembers, and expect those who dial us."""
        for node_id, row in self._journal.load("peer"):
            url, alias = msgpack.unpackb(row)
            self.remember(KnownPeer(node_id, url, alias), durable=False)
        for channel in self._engine.tables.channels():
            if channel.peer:
                self.welcome(channel.peer)

    def remember(self, peer: KnownPeer, *, durable: bool = True) -> None:
        """Stay connected to a peer, from now on and after a restart."""
        self.known[peer.node_id] = peer
        self._by_address[address_of(peer.node_id)] = peer.node_id
        if durable:
            self._journal.commit([Put("peer", peer.node_id, msgpack.packb((peer.url, peer.alias)))])
        self.transport.want(peer.node_id, peer.url or None)

    def welcome(self, node_id: bytes) -> None:
        """Always have room for the other end of a channel, whoever dials."""
        if self._is_stranger(node_id):
            self._welcome[node_id] = ""
            self._by_address[address_of(node_id)] = node_id
            self.transport.want(node_id, None)

    def forget(self, node_id: bytes) -> None:
        """Dial a peer no more."""
        self.known.pop(node_id, None)
        if node_id not in self._peers and node_id not in self._welcome:
            self._by_address.pop(address_of(node_id), None)
        self._journal.commit([Delete("peer", node_id)])
        self.transport.forget(node_id)

    def node_of(self, address: bytes) -> bytes:
        """The node id behind an address if we have met it, else nothing."""
        return self._by_address.get(address, b"")

    def is_connected(self, node_id: bytes) -> bool:
        peer = self._peers.get(node_id)
        return peer is not None and peer.hello is not None

    def has_greeted(self, node_id: bytes) -> bool | None:
        """As `is_connected`, but None while a connection waits for its greeting."""
        peer = self._peers.get(node_id)
        if peer is None:
            return False
        return True if peer.hello is not None else None

    def alias_of(self, node_id: bytes) -> str:
        peer = self._peers.get(node_id)
        if peer is not None and peer.hello is not None:
            return peer.hello.alias
        known = self.known.get(node_id)
        return known.alias if known is not None else self._welcome.get(node_id, "")

    def everybody(self) -> set[bytes]:
        """Peers that we dial, those that we share a channel with, and those that are connected."""
        return {*self.known, *self._welcome, *self.connected()}

    def connected(self) -> list[bytes]:
        return [node_id for node_id, peer in self._peers.items() if peer.hello is not None]

    def send(self, node_id: bytes, message: Message) -> bool:
        """Queue a message; False if the peer is not connected."""
        return self.transport.send(node_id, encode(message))

    def spread(self, announcement: PolicyAnnouncement) -> None:
        """Tell every connected peer a policy, except the one that signed it."""
        encoded = encode(announcement)
        for node_id in self.connected():
            if node_id != announcement.node:
                self.transport.send(node_id, encoded)

    # --- what the transport says ------------------------------------------------------------------

    def on_connected(self, peer_id: bytes, connection: Connection) -> None:
        peer = self._peers[peer_id] = _Peer(connection)
        peer.patience = asyncio.get_running_loop().call_later(UNGREETED_S, self._give_up, peer)
        self.send(peer_id, self._hello)

    def on_message(self, peer_id: bytes, data: bytes) -> Awaitable[None] | None:
        peer = self._peers[peer_id]
        stranger = self._is_stranger(peer_id)
        began_s = time.thread_time() if stranger else 0.0
        self._hear(peer_id, peer, data)
        peer.backlog_messages += 1
        peer.backlog_bytes += len(data)
        full = peer.backlog_messages >= PEER_BACKLOG_MESSAGES or peer.backlog_bytes >= PEER_BACKLOG_BYTES
        if full:
            peer.backlog_messages = peer.backlog_bytes = 0
        owes = stranger and self._strangers_time.spend(peer.account, time.thread_time() - began_s, len(data))
        return self._not_yet(peer, full, owes) if full or owes else self._engine.room()

    def _is_stranger(self, peer_id: bytes) -> bool:
        return peer_id not in self.known and peer_id not in self._welcome

    def _hear(self, peer_id: bytes, peer: _Peer, data: bytes) -> None:
        if peer.hello is not None and is_about_a_channel(data) and not self._channels_with(peer_id):
            # Not decoded: it may be long. No violation: the peer may know of a channel before we do.
            self._said_something_useless(peer_id)
            return
        message = decode(data)
        if isinstance(message, Hello):
            self._greeted(peer_id, peer, message)
        elif peer.hello is None:
            raise PeerViolation("expected a hello before anything else")
        elif isinstance(message, PolicyAnnouncement):
            self._policy(peer_id, message)
        elif isinstance(message, PoliciesKnown):
            self._compare(peer_id, peer, message)
        elif isinstance(message, Relay):
            self._relay(peer_id, peer, message)
        elif isinstance(message, Complaint):
            self._complaint(peer_id, peer, message)
        else:
            if isinstance(message, Reestablish):
                self._require_few(peer_id, peer)
            self._engine.post(MessageReceived(peer_id, message))

    def _channels_with(self, peer_id: bytes) -> int:
        return len(self._engine.tables.channels_of.get(address_of(peer_id), ()))

    def _require_few(self, peer_id: bytes, peer: _Peer) -> None:
        peer.reestablishes += 1
        most = REESTABLISHES_A_CHANNEL * self._channels_with(peer_id) + MORE_REESTABLISHES
        if peer.reestablishes > most:
            raise PeerViolation(f"expected at most {most} reestablish messages on a connection")

    async def _not_yet(self, peer: _Peer, full: bool, owes: bool) -> None:
        """What stands between a peer and its next message: its backlog, and a stranger's turn."""
        if full:
            await self._caught_up(peer)
        if owes:
            await self._strangers_time.wait(peer.account)

    async def _caught_up(self, peer: _Peer) -> None:
        """Until everything that was said so far is durable; meanwhile this peer is not read from."""
        with suppress(OperationalError):  # the daemon stops: nobody will be heard
            await self._engine.caught_up()
        if peer.useless > PEER_BACKLOG_MESSAGES // 2:
            await asyncio.sleep(USELESS_PAUSE_S)
        peer.useless = 0

    def _said_something_useless(self, peer_id: bytes) -> None:
        peer = self._peers.get(peer_id)
        if peer is not None:
            peer.useless += 1

    def _give_up(self, peer: _Peer) -> None:
        if peer.hello is None:
            peer.connection.abort(f"it did not greet within {UNGREETED_S:.0f} s")

    def on_disconnected(self, peer_id: bytes, reason: str) -> None:
        """The transport has logged the reason."""
        peer = self._peers.pop(peer_id)
        assert peer.patience is not None
        peer.patience.cancel()
        if peer.telling is not None:
            peer.telling.cancel()
        if self._is_stranger(peer_id):
            self._by_address.pop(address_of(peer_id), None)  # strangers come with new keys for ever
        if peer.hello is not None:
            if peer_id in self._welcome:
                self._welcome[peer_id] = peer.hello.alias
            self._engine.post(PeerDisconnected(peer_id, address_of(peer_id)))
        self._waiters.notify("peer", peer_id)

    def _greeted(self, peer_id: bytes, peer: _Peer, hello: Hello) -> None:
        ours = self._hello
        if (hello.protocol, hello.chain_id, hello.adjudicator) != (
            ours.protocol,
            ours.chain_id,
            ours.adjudicator,
        ):
            raise PeerViolation(
                f"expected protocol {ours.protocol}, chain {ours.chain_id} and adjudicator "
                f"0x{ours.adjudicator.hex()}, got {hello.protocol}, {hello.chain_id} and "
                f"0x{hello.adjudicator.hex()}"
            )
        if peer.hello is not None:
            raise PeerViolation("expected one hello, got another")
        peer.hello = hello
        address = address_of(peer_id)
        self._by_address[address] = peer_id
        known = self.known.get(peer_id)
        if known is not None and known.alias != hello.alias:
            self.known[peer_id] = KnownPeer(peer_id, known.url, hello.alias)
        self._engine.post(PeerConnected(peer_id, address))
        self._waiters.notify("peer", peer_id)
        self.send(peer_id, self._gossip.digests())

    def _policy(self, peer_id: bytes, announcement: PolicyAnnouncement) -> None:
        rows = self._gossip.heard(announcement)
        if rows:
            # Durable with the next turn: a new node hears thousands, and each alone would cost an fsync.
            self._engine.post(Chained((), tuple(rows), 0))
        else:
            self._said_something_useless(peer_id)  # and a signature was checked for it

    def _compare(self, peer_id: bytes, peer: _Peer, theirs: PoliciesKnown) -> None:
        """Tell a peer the policies that it may not know. Reconnecting to one that knows them costs nothing.

        Attack stopped: a peer that asks for all of them again and again.
        """
        if peer.compared:
            raise PeerViolation("expected the digests of policies once, got them again")
        peer.compared = True
        unlike = self._gossip.unlike(theirs)
        if self._tell(peer_id, unlike):
            peer.telling = asyncio.create_task(self._go_on(peer_id, peer, unlike), name="telling policies")

    def _tell(self, peer_id: bytes, policies: Iterator[bytes]) -> bool:
        """Send a lot of policies; whether there may be more."""
        lot = list(islice(policies, POLICIES_AT_ONCE))
        for encoded in lot:
            self.transport.send(peer_id, encoded)
        return len(lot) == POLICIES_AT_ONCE

    async def _go_on(self, peer_id: bytes, peer: _Peer, policies: Iterator[bytes]) -> None:
        """The rest, as fast as the peer reads."""
        more = True
        while more:
            await asyncio.sleep(TELLING_PAUSE_S)
            more = peer.connection.unsent > POLICIES_AT_ONCE or self._tell(peer_id, policies)

    def _complaint(self, peer_id: bytes, peer: _Peer, complaint: Complaint) -> None:
        """Log what a peer says about a channel that we share. Strangers have nothing to complain about."""
        channel = self._engine.tables.records[Channel].get(complaint.channel_id)
        now_s = self._engine.clock.now_s
        if not isinstance(channel, Channel) or channel.peer != peer_id:
            return
        if now_s < peer.complained_at_s + COMPLAINT_INTERVAL_S:
            return
        peer.complained_at_s = now_s
        # !r: its line breaks and terminal codes must not forge lines of ours.
        log.info("%s complains about %s: %r", peer_id.hex()[:16], channel.channel_id.hex(), complaint.text)

    def _relay(self, peer_id: bytes, peer: _Peer, message: Relay) -> None:
        now_s = self._engine.clock.now_s
        peer.relays = min(RELAYS_A_SECOND, peer.relays + RELAYS_A_SECOND * (now_s - peer.relays_at_s))
        peer.relays_at_s = now_s
        if peer.relays < 1:
            return  # unsigned and worth nothing to us: dropped, the sender asks again
        peer.relays -= 1
        if not message.back or message.back[-1] != peer_id:
            raise PeerViolation("relay: expected the sender at the end of the way back")
        way = (*message.back, self._own_id, *message.path)
        if len(set(way)) != len(way):
            raise PeerViolation("relay: expected a way that visits each node once")
        if not message.path:
            self._on_relay(message)
            return
        onward = Relay(message.path[1:], (*message.back, self._own_id), message.body)
        self.send(message.path[0], onward)

    def start(self, transport: PeerTransport, own_id: bytes) -> None:
        """Bind the transport that calls us back."""
        self.transport = transport
        self._own_id = own_id
