"""The public graph: channels as the chain shows them, joined with the policies their ends sign.

The chain knows ends by address (20 bytes), the network by node id (33 bytes, a compressed key). Which
is which follows from the node id alone, so a policy *is* the binding: its signer's derived address must
be an end of the channel. Until both ends have signed one the channel is not in the graph, because
anybody can open a channel to a stranger who will never answer.

The caller verifies signatures, and feeds chain events in the order of the chain.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import networkx as nx

from routing.edge import Asset, Edge
from routing.errors import BadInput, ConflictingEvent, ForeignPolicy, UnknownChannel
from routing.index import AssetIndex
from routing.policy import Policy

ADDRESS_BYTES = 20
NODE_ID_BYTES = 33
CHANNEL_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Side:
    """One end: its address from the chain; its node id and policy once it has signed one."""

    address: bytes
    node: bytes | None = None
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """What is known of a channel. `capacity` is the sum of both deposits, smallest unit."""

    channel_id: bytes
    asset: Asset
    capacity: int
    a: Side
    b: Side


class ChannelGraph:
    """A networkx MultiDiGraph (node id -> node id, keyed by channel id, `edge=Edge`) and its sources.

    `address_of` derives the on-chain address from a node id; it raises ValueError for bytes that are
    no key. `nx_graph` may be read by anyone and changed only by the methods here.
    """

    def __init__(self, address_of: Callable[[bytes], bytes]) -> None:
        self.nx_graph: nx.MultiDiGraph[bytes] = nx.MultiDiGraph()
        self._address_of = address_of
        self._channels: dict[bytes, Channel] = {}
        self._indexes: dict[Asset, AssetIndex] = {}
        # Grows with everything that may change a route: what was found before is to be looked for again.
        self.changes = 0

    def __len__(self) -> int:
        """Number of open channels, usable or not."""
        return len(self._channels)

    def channels(self) -> Iterator[Channel]:
        """Every open channel, in the order in which the chain showed them."""
        return iter(self._channels.values())

    def channel(self, channel_id: bytes) -> Channel:
        """Raises UnknownChannel."""
        known = self._channels.get(channel_id)
        if known is None:
            raise UnknownChannel(f"expected an open channel, got {channel_id.hex()}")
        return known

    def edge(self, channel_id: bytes, from_node: bytes) -> Edge | None:
        """The direction of a usable channel that starts at `from_node`, or None."""
        known = self._channels.get(channel_id)
        if known is None or known.a.node is None or known.b.node is None:
            return None
        if from_node not in (known.a.node, known.b.node):
            return None
        to_node = known.b.node if from_node == known.a.node else known.a.node
        edge: Edge = self.nx_graph.edges[from_node, to_node, channel_id]["edge"]
        return edge

    def index(self, asset: Asset) -> AssetIndex | None:
        """The search's view of one asset, or None if no channel in it is usable."""
        return self._indexes.get(asset)

    def channel_opened(
        self, channel_id: bytes, a: bytes, b: bytes, asset: bytes, capacity: int, chain_id: int
    ) -> bool:
        """The chain shows a new channel between addresses `a` and `b`. False if it is known as such.

        Raises ConflictingEvent if the id is open with other ends or another asset.
        """
        _expect_bytes("channel id", channel_id, CHANNEL_ID_BYTES)
        for name, address in (("a", a), ("b", b), ("asset", asset)):
            _expect_bytes(name, address, ADDRESS_BYTES)
        if a == b:
            raise ConflictingEvent(f"channel {channel_id.hex()}: expected two ends, got {a.hex()} twice")
        _expect_capacity(capacity)
        terms = Asset(chain_id, asset)
        known = self._channels.get(channel_id)
        if known is None:
            self._channels[channel_id] = Channel(channel_id, terms, capacity, Side(a), Side(b))
            return True
        if (known.a.address, known.b.address, known.asset) != (a, b, terms):
            raise ConflictingEvent(
                f"channel {channel_id.hex()}: expected {known.a.address.hex()}, {known.b.address.hex()}, "
                f"{known.asset}, got {a.hex()}, {b.hex()}, {terms}"
            )
        return False

    def capacity_changed(self, channel_id: bytes, capacity: int) -> None:
        """A deposit or withdrawal: the sum of both deposits is now `capacity`. Raises UnknownChannel."""
        known = self.channel(channel_id)
        _expect_capacity(capacity)
        self._store(replace(known, capacity=capacity))

    def channel_closed(self, channel_id: bytes) -> None:
        """The channel carries no new claims any more: a close or a challenge. Raises UnknownChannel."""
        known = self.channel(channel_id)
        self.changes += 1
        del self._channels[channel_id]
        if known.a.node is None or known.b.node is None:
            return
        self.nx_graph.remove_edge(known.a.node, known.b.node, channel_id)
        self.nx_graph.remove_edge(known.b.node, known.a.node, channel_id)
        index = self._indexes[known.asset]
        index.channel_left(known.a.node, known.b.node)
        if not index.slots:
            del self._indexes[known.asset]
        for node in (known.a.node, known.b.node):
            if not self.nx_graph.pred[node]:
                self.nx_graph.remove_node(node)

    def policy_set(self, channel_id: bytes, from_node: bytes, policy: Policy) -> bool:
        """`from_node` signed (the caller has verified it) new terms for sending over the channel.

        False, and nothing changes, unless it is newer than the one known: replayed old policies would
        otherwise undo new ones. Raises UnknownChannel, and ForeignPolicy if the node's address is no end.
        """
        known = self.channel(channel_id)
        if from_node == known.a.node:
            side = known.a
        elif from_node == known.b.node:
            side = known.b
        else:
            side = self._unbound_side(known, from_node)
        if side.policy is not None and policy.timestamp_s <= side.policy.timestamp_s:
            return False
        signed = replace(side, node=from_node, policy=policy)
        self._store(replace(known, a=signed) if side is known.a else replace(known, b=signed))
        return True

    def _unbound_side(self, known: Channel, from_node: bytes) -> Side:
        try:
            _expect_bytes("node id", from_node, NODE_ID_BYTES)
            address = self._address_of(from_node)
        except (BadInput, ValueError) as error:
            raise ForeignPolicy(
                f"channel {known.channel_id.hex()}: expected the key of an end, {error}"
            ) from error
        for side in (known.a, known.b):
            if side.address == address:
                # One address has one key; a second node id would be a broken derivation.
                assert side.node is None, f"{address.hex()} has two node ids"
                return side
        raise ForeignPolicy(
            f"channel {known.channel_id.hex()}: expected {known.a.address.hex()} or "
            f"{known.b.address.hex()}, got a policy of {address.hex()}"
        )

    def _store(self, channel: Channel) -> None:
        """Keep the record, and bring networkx and the index in line with it."""
        self.changes += 1
        self._channels[channel.channel_id] = channel
        a, b = channel.a, channel.b
        if a.node is None or b.node is None or a.policy is None or b.policy is None:
            return
        entered = not self.nx_graph.has_edge(a.node, b.node, channel.channel_id)
        key, asset, capacity = channel.channel_id, channel.asset, channel.capacity
        there = Edge(key, a.node, b.node, asset, capacity, a.policy, b.policy)
        back = Edge(key, b.node, a.node, asset, capacity, b.policy, a.policy)
        self.nx_graph.add_edge(a.node, b.node, key=key, edge=there)
        self.nx_graph.add_edge(b.node, a.node, key=key, edge=back)
        index = self._indexes.get(asset)
        if index is None:
            index = self._indexes[asset] = AssetIndex(asset, self.nx_graph)
        if entered:
            index.channel_entered(a.node, b.node)
        else:
            index.channel_changed(a.node, b.node)


def _expect_bytes(name: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise BadInput(f"{name}: expected {length} bytes, got {len(value)}")


def _expect_capacity(capacity: int) -> None:
    if type(capacity) is not int or capacity < 0:
        raise BadInput(f"capacity: expected an integer of at least 0, got {capacity!r}")
