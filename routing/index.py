"""The edges of one asset as arrays, for the search: kept in step with the graph, node by node.

A node has a slot (a small integer); `incoming[slot]` lists the edges that lead to it, or is None after
a change nearby and is then rebuilt from networkx on the next visit. So an event costs as much as the
two ends of its channel, whatever the size of the graph.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from routing.edge import Asset, Edge

if TYPE_CHECKING:
    import networkx as nx

# (slot of from_node, surcharge, least, most, base_fee, fee_ppm, edge). `surcharge` is added to what
# has to arrive at to_node; `least` and `most` bound the claim on this edge. A tuple, not a class: the
# search takes tens of thousands of them apart.
Step = tuple[int, int, int, int, int, int, Edge]


class AssetIndex:
    """Slots and incoming edges of the nodes that have a usable channel in one asset."""

    def __init__(self, asset: Asset, graph: "nx.MultiDiGraph[bytes]") -> None:
        self.asset = asset
        self.slots: dict[bytes, int] = {}
        self.incoming: list[list[Step] | None] = []
        self._graph = graph
        self._nodes: list[bytes] = []
        self._free: list[int] = []
        # slot -> {slot of a neighbour: number of channels with it}
        self._neighbours: list[dict[int, int]] = []

    def channel_entered(self, one: bytes, other: bytes) -> None:
        """A channel between two nodes has become usable (it is in the graph already)."""
        first, second = self._slot(one), self._slot(other)
        for slot, neighbour in ((first, second), (second, first)):
            counts = self._neighbours[slot]
            counts[neighbour] = counts.get(neighbour, 0) + 1
            self._touch(slot)

    def channel_left(self, one: bytes, other: bytes) -> None:
        """A channel between two nodes has gone (from the graph already)."""
        first, second = self.slots[one], self.slots[other]
        for slot, neighbour in ((first, second), (second, first)):
            counts = self._neighbours[slot]
            self._touch(slot)
            counts[neighbour] -= 1
            if not counts[neighbour]:
                del counts[neighbour]
        for slot in (first, second):
            if not self._neighbours[slot]:
                del self.slots[self._nodes[slot]]
                self._free.append(slot)

    def channel_changed(self, one: bytes, other: bytes) -> None:
        """Capacity or policy of a usable channel have changed."""
        self.incoming[self.slots[one]] = None
        self.incoming[self.slots[other]] = None

    def steps_to(self, slot: int) -> list[Step]:
        """Edges that lead to the node in `slot`, rebuilt if something near it has changed.

        Edges from nodes whose only neighbour is this one are left out: no route passes through a dead
        end, and a route that starts at one is begun from its own edges. Of the Lightning network's
        nodes a third are such leaves.
        """
        cached = self.incoming[slot]
        if cached is not None:
            return cached
        steps: list[Step] = []
        for from_node, parallel in self._graph.pred[self._nodes[slot]].items():
            from_slot = self.slots.get(from_node)
            if from_slot is None or len(self._neighbours[from_slot]) == 1:
                continue
            for data in parallel.values():
                step = step_over(data["edge"], from_slot)
                if step is not None and step[6].asset == self.asset:
                    steps.append(step)
        self.incoming[slot] = steps
        return steps

    def node(self, slot: int) -> bytes:
        """The node id in a slot."""
        return self._nodes[slot]

    def neighbours(self, slot: int) -> Mapping[int, int]:
        """Slot of a neighbour -> number of usable channels with it."""
        return self._neighbours[slot]

    def _slot(self, node: bytes) -> int:
        slot = self.slots.get(node)
        if slot is not None:
            return slot
        if self._free:
            slot = self._free.pop()
            self._nodes[slot] = node
        else:
            slot = len(self._nodes)
            self._nodes.append(node)
            self._neighbours.append({})
            self.incoming.append(None)
        self.slots[node] = slot
        return slot

    def _touch(self, slot: int) -> None:
        """Forget the list of a node, and its neighbours' if it may have become or ceased to be a leaf."""
        self.incoming[slot] = None
        counts = self._neighbours[slot]
        if len(counts) <= 2:
            for neighbour in counts:
                self.incoming[neighbour] = None


def step_over(edge: Edge, from_slot: int) -> Step | None:
    """The edge as the search sees it, or None if it can carry nothing."""
    policy = edge.policy
    most = min(policy.max_amount, edge.capacity)
    if not policy.enabled or policy.min_amount > most:
        return None
    return from_slot, 0, policy.min_amount, most, policy.base_fee, policy.fee_ppm, edge
