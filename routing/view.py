"""The index as one query sees it: its exclusions, learnt ceilings, own balances and collateral applied.

Payments share the index's lists except at the few nodes that the query is special about. A trade asks
more of every edge, so its lists are made as the search reaches the nodes.
"""

from collections.abc import Mapping
from functools import cached_property

from routing.edge import Edge
from routing.graph import ChannelGraph
from routing.index import AssetIndex, Step, step_over
from routing.route import EdgeKey, Query, surcharge

_NOTHING_LEARNT: Mapping[EdgeKey, int] = {}


class View:
    """Built for one search of one query, and thrown away with it.

    `incoming[slot]` is None until `steps_to(slot)` has filled it. Source's own edges cost no fee and are
    in `first_hops`; lists of `incoming` may contain them too, and the search must skip them there, as it
    must the slots in `closed`. Only what the search reaches is looked at: a hub with ten thousand
    channels pays over one of them.
    """

    def __init__(self, graph: ChannelGraph, index: AssetIndex, query: Query) -> None:
        self.query = query
        self.source = index.slots[query.source]
        self.destination = index.slots[query.destination]
        self.closed = [index.slots[node] for node in query.excluded_nodes if node in index.slots]
        self.closed.append(self.source)
        self._index = index
        self._ceilings = query.ceilings or _NOTHING_LEARNT
        self._special = self._special_slots(graph)
        self._own = graph.nx_graph.succ[query.source]
        self.peers = index.neighbours(self.source)
        """Slots of the nodes that source has a usable channel with."""

    @cached_property
    def incoming(self) -> list[list[Step] | None]:
        """Costs a copy as long as the network has nodes."""
        if self.query.collateral is not None:
            return [None] * len(self._index.incoming)
        lists = self._index.incoming.copy()
        for slot in self._special:
            lists[slot] = None
        return lists

    def steps_to(self, slot: int) -> list[Step]:
        """The edges that lead to the node in `slot` and can carry their part of this query."""
        cached = self.incoming[slot]
        if cached is not None:
            return cached
        steps = self._index.steps_to(slot)
        if self.query.collateral is not None or slot in self._special:
            steps = [fit for step in steps if (fit := self._fitted(step)) is not None]
        self.incoming[slot] = steps
        return steps

    def slot_of(self, node: bytes) -> int:
        """The slot of a node that has a usable channel in the query's asset."""
        return self._index.slots[node]

    def _special_slots(self, graph: ChannelGraph) -> set[int]:
        slots = {self.destination}
        for channel_id, from_node in (*self.query.excluded_edges, *self._ceilings):
            edge = graph.edge(channel_id, from_node)
            if edge is not None and edge.asset == self._index.asset:
                slots.add(self._index.slots[edge.to_node])
        return slots

    def first_hops(self, slot: int) -> list[Step]:
        """Source's own edges to the node in `slot` that can carry their part of this query."""
        if slot not in self.peers:
            return []
        query, steps, to_node = self.query, list[Step](), self._index.node(slot)
        for data in () if to_node in query.excluded_nodes else self._own[to_node].values():
            edge: Edge = data["edge"]
            step = step_over(edge, self.source) if edge.asset == self._index.asset else None
            fit = None if step is None else self._fitted(step)
            if fit is None or not self._remote_fits(edge):
                continue
            _, extra, least, most, _, _, _ = fit
            if query.local_liquidity is not None:
                most = min(most, query.local_liquidity.get(edge.channel_id, 0))
            if most >= max(least, query.amount + extra):
                steps.append((self.source, extra, least, most, 0, 0, edge))
        return steps

    def _remote_fits(self, edge: Edge) -> bool:
        """Whether the peer of an own channel can lock the collateral towards source."""
        collateral = self.query.collateral
        if collateral is None or collateral.remote_liquidity is None:
            return True
        return collateral.remote_liquidity.get(edge.channel_id, 0) >= collateral.amount

    def _fitted(self, step: Step) -> Step | None:
        """The step with this query's bounds, or None if it cannot serve it."""
        slot, extra, least, most, base_fee, fee_ppm, edge = step
        query = self.query
        key = (edge.channel_id, edge.from_node)
        if key in query.excluded_edges:
            return None
        most = min(most, self._ceilings.get(key, most))
        if query.collateral is not None:
            if not self._collateral_fits(edge, query.collateral.amount):
                return None
            # Premium and collateral are locked at the same time, by opposite sides of one pot.
            most = min(most, edge.capacity - query.collateral.amount)
            extra = surcharge(edge, query)
        # The payee receives exactly the amount: nothing raises the last claim to a minimum.
        # Amounts only grow towards the payer, so what cannot carry the last cannot carry any.
        if (
            least > most
            or most < query.amount + extra
            or (edge.to_node == query.destination and least > query.amount)
        ):
            return None
        return slot, extra, least, most, base_fee, fee_ppm, edge

    def _collateral_fits(self, edge: Edge, collateral: int) -> bool:
        """Whether the option can travel back over the channel, from `to_node` to `from_node`."""
        query, back = self.query, edge.back
        back_key = (edge.channel_id, edge.to_node)
        if not back.enabled or not back.min_amount <= collateral <= back.max_amount:
            return False
        if back_key in query.excluded_edges or self._ceilings.get(back_key, collateral) < collateral:
            return False
        # Premium and option share one deadline in each channel, the premium wants it earlier towards the
        # writer and the option earlier towards the buyer: only one deadline for the whole circle will do.
        forth_s = 0 if edge.from_node == query.source else edge.policy.deadline_delta_s
        back_s = 0 if edge.to_node == query.destination else back.deadline_delta_s
        return forth_s == 0 and back_s == 0
