"""Honest nodes in one process: the real core, and messages that the test may hold back or lose."""

import hashlib
from collections import deque
from dataclasses import dataclass, field, replace

from channeld.core.channel import Channel, Deposits, Update
from channeld.core.claims import Claim, Side, State
from channeld.core.draft import Draft, HubPolicy, PushPolicy, Record, Tables, Toolbox, is_archived
from channeld.core.effects import Effect, Send, SendClose, SendCopy, SendSigned, WakeChannel, WakeClaim
from channeld.core.errors import PeerViolation
from channeld.core.events import (
    ChannelDue,
    ChannelOpened,
    ClaimDue,
    DepositsConfirmed,
    Event,
    MessageReceived,
    PeerConnected,
    PeerDisconnected,
)
from channeld.core.identity import ETH, ChannelParams
from channeld.core.messages import CloseOffer, Message
from channeld.core.node import flush, harvest, step, wake_all
from channeld.core.operations import Settle
from channeld.wire.eip712 import claims_hash, state_digest
from channeld.wire.packet import read_instruction

T0_S = 1_900_000_000


def signature(signer: bytes, digest: bytes) -> bytes:
    """A stand-in for ECDSA that is a pure function: the tests of the core sign millions of states."""
    return hashlib.sha256(signer + digest).digest() * 2


def close_bytes(channel_id: bytes, counter: int, net: int, until_s: int) -> bytes:
    return repr((channel_id, counter, net, until_s)).encode()


@dataclass
class Node:
    """One daemon without its outside: tables, the effects that it asked for, messages to send.

    `history` holds the records that are archived, `signed` every state that ever got its signature,
    `settled_at` the prices at which it ever proposed to settle, `closes` the closes that it ever signed.
    """

    name: str
    policy: HubPolicy = field(default_factory=HubPolicy)
    push_policy: PushPolicy = field(default_factory=PushPolicy)
    tables: Tables = field(default_factory=lambda: Tables(now_s=T0_S, confirmed_s=T0_S))
    outbox: deque[tuple[bytes, Message]] = field(default_factory=deque)
    effects: list[Effect] = field(default_factory=list)
    timers: list[tuple[int, Event]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    history: dict[tuple[type[Record], bytes], Record] = field(default_factory=dict)
    signed: list[tuple[bytes, State]] = field(default_factory=list)
    settled_at: set[int] = field(default_factory=set)
    closes: list[CloseOffer] = field(default_factory=list)

    @property
    def address(self) -> bytes:
        return hashlib.sha256(self.name.encode()).digest()[:20]

    @property
    def node_id(self) -> bytes:
        return b"\x02" + hashlib.sha256(self.name.encode()).digest()

    def tools(self) -> Toolbox:
        def verify(channel_id: bytes, state: State, sig: bytes) -> bool:
            peer = self.channel(channel_id).counterparty
            return sig == signature(peer, state_digest(bytes(32), channel_id, state))

        def verify_own(channel_id: bytes, state: State, sig: bytes) -> bool:
            return sig == signature(self.address, state_digest(bytes(32), channel_id, state))

        def verify_close(channel_id: bytes, counter: int, net: int, until_s: int, sig: bytes) -> bool:
            peer = self.channel(channel_id).counterparty
            return sig == signature(peer, close_bytes(channel_id, counter, net, until_s))

        return Toolbox(
            verify,
            verify_close,
            verify_own,
            claims_hash,
            read_instruction,
            lambda _: self.policy,
            push_policy_of=lambda _: self.push_policy,
        )

    def channel(self, channel_id: bytes) -> Channel:
        record = self.tables.records[Channel][channel_id]
        assert isinstance(record, Channel)
        return record

    def happen(self, *events: Event) -> None:
        """One turn of the loop: every event, then one flush of each channel that changed."""
        for event in events:
            if isinstance(event, MessageReceived):
                self._commit(harvest(self.tables, event.message))
            try:
                self._commit(step(self.tables, event, self.tools()))
            except PeerViolation as violation:
                self.refused.append(str(violation))
        while self.tables.dirty:
            self._commit(flush(self.tables, self.tables.dirty.pop(), self.tools()))

    def _commit(self, draft: Draft) -> None:
        self.tables.commit(draft)
        for (table, key), record in draft.changes.items():
            if record is not None and is_archived(record):
                self.history[table, key] = record
        for effect in draft.effects:
            self._run(effect)

    def _run(self, effect: Effect) -> None:
        self.effects.append(effect)
        match effect:
            case Send(peer, message):
                self.outbox.append((peer, message))
            case SendSigned(peer, message, state):
                self.signed.append((message.channel_id, state))
                if isinstance(message, Update):
                    self.settled_at |= {op.price for op in message.operations if isinstance(op, Settle)}
                digest = state_digest(bytes(32), message.channel_id, state)
                self.outbox.append((peer, replace(message, signature=signature(self.address, digest))))
            case SendClose(peer, offer):
                self.closes.append(offer)
                digest = close_bytes(offer.channel_id, offer.counter, offer.net, offer.until_s)
                self.outbox.append((peer, replace(offer, signature=signature(self.address, digest))))
            case SendCopy(peer, copy):
                self.signed.append((copy.channel_id, copy.state))
                digest = state_digest(bytes(32), copy.channel_id, copy.state)
                channel = self.channel(copy.channel_id)
                theirs = signature(channel.counterparty, digest)
                own = signature(self.address, digest)
                self.outbox.append((peer, replace(copy, your_signature=theirs, my_signature=own)))
            case WakeClaim(at_s, claim):
                self.timers.append((at_s, ClaimDue(claim)))
            case WakeChannel(at_s, channel_id):
                self.timers.append((at_s, ChannelDue(channel_id)))

    def ring(self) -> bool:
        """The timers that are due ring; False if there was none."""
        due = [event for at_s, event in self.timers if at_s <= self.tables.now_s]
        self.timers = [timer for timer in self.timers if timer[0] > self.tables.now_s]
        self.happen(*due)
        return bool(due)

    def forget(self, peer_id: bytes) -> None:
        """What was not sent to a peer yet is lost with its connection."""
        self.outbox = deque(item for item in self.outbox if item[0] != peer_id)

    def met(self, peer: "Node") -> None:
        """A connection to a peer has begun."""
        self.happen(PeerConnected(peer.node_id, peer.address))

    def lost(self, peer: "Node") -> None:
        """The connection to a peer is gone."""
        self.happen(PeerDisconnected(peer.node_id, peer.address))

    def restart(self) -> None:
        """Come back with the durable records alone."""
        old = self.tables
        self.tables = Tables(margins=old.margins, now_s=old.now_s, confirmed_s=old.confirmed_s)
        self.tables.registered_s = old.registered_s
        self.tables.published = old.published
        self.tables.streams = {**old.streams, **old.just_pushed}
        self.tables.restore(record for table in old.records.values() for record in table.values())
        self.outbox.clear()
        self.timers.clear()
        self.happen(*wake_all(self.tables))


class Network:
    """Nodes, channels between them, and one clock."""

    def __init__(self, *names: str, **policies: HubPolicy) -> None:
        self.nodes = {name: Node(name, policies.get(name, HubPolicy())) for name in names}
        self.by_id = {node.node_id: node for node in self.nodes.values()}
        self.up: set[frozenset[str]] = set()

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def open(self, one: str, other: str, deposit_one: int, deposit_other: int) -> bytes:
        """A funded channel, known to both ends; returns its id."""
        low, high = sorted((self[one], self[other]), key=lambda node: node.address)
        params = ChannelParams(low.address, high.address, ETH, 3_600, len(self.up))
        channel_id = hashlib.sha256(repr(params).encode()).digest()
        amounts = {one: deposit_one, other: deposit_other}
        deposits = Deposits(amounts[low.name], amounts[high.name])
        for node, side, peer in ((low, Side.A, high), (high, Side.B, low)):
            node.happen(
                ChannelOpened(channel_id, params, side, peer.node_id),
                DepositsConfirmed(channel_id, deposits),
            )
        self.connect(one, other)
        return channel_id

    def connect(self, one: str, other: str) -> None:
        self.hello(one, other)
        self.run()

    def hello(self, one: str, other: str) -> None:
        """Both ends of a new connection speak; nothing is delivered yet."""
        self.up.add(frozenset((one, other)))
        for node, peer in ((self[one], self[other]), (self[other], self[one])):
            node.forget(peer.node_id)
            node.met(peer)

    def disconnect(self, one: str, other: str) -> None:
        """Everything in flight between the two is lost."""
        self.up.discard(frozenset((one, other)))
        for node, peer in ((self[one], self[other]), (self[other], self[one])):
            node.forget(peer.node_id)
            node.lost(peer)

    def deliver(self, name: str) -> bool:
        """Hand over the oldest message that `name` sent; False if there was none."""
        node = self[name]
        while node.outbox:
            peer_id, message = node.outbox.popleft()
            peer = self.by_id[peer_id]
            if frozenset((name, peer.name)) in self.up:
                peer.happen(MessageReceived(node.node_id, message))
                return True
        return False

    def run(self) -> None:
        """Deliver until nothing is in flight."""
        while sum(self.deliver(name) for name in self.nodes):
            pass

    def pass_time(self, seconds: int) -> None:
        """Move every clock on and ring the timers that are due."""
        for node in self.nodes.values():
            node.tables.now_s += seconds
            node.tables.confirmed_s = node.tables.now_s
            node.ring()
        self.run()

    def balances(self, channel_id: bytes) -> dict[str, int]:
        """What each end could claim if every open claim died, as each end sees it itself."""
        result = {}
        for node in self.nodes.values():
            channel = node.tables.records[Channel].get(channel_id)
            if isinstance(channel, Channel):
                net = channel.theirs.net
                own = channel.deposits.a - net if channel.me is Side.A else channel.deposits.b + net
                result[node.name] = own
        return result


def open_claims(network: Network, channel_id: bytes) -> list[Claim]:
    """The claims that are open in a channel; both ends must agree."""
    views = [
        list(node.channel(channel_id).theirs.claims.values())
        for node in network.nodes.values()
        if channel_id in node.tables.records[Channel]
    ]
    assert all(view == views[0] for view in views)
    return views[0]
