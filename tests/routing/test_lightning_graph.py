"""The search on the public Lightning network, judged by networkx's own Dijkstra on the same rows."""

import random
from itertools import pairwise
from typing import Any

import networkx as nx
import pytest

from bench.lightning import BITCOIN, CHANNELS, Direction, address_of, directions, fill
from routing.errors import NoRoute
from routing.graph import ChannelGraph
from routing.policy import Policy
from routing.route import Query
from routing.search import find_route

pytestmark = pytest.mark.skipif(not CHANNELS.exists(), reason="the shared Lightning data is absent")

# No budget and no hop limit bite: networkx knows neither.
AMPLE_S = 10**7


@pytest.fixture(scope="module")
def rows() -> list[Direction]:
    return list(directions())


@pytest.fixture(scope="module")
def graph(rows: list[Direction]) -> ChannelGraph:
    graph = ChannelGraph(address_of)
    fill(graph, rows)
    return graph


@pytest.fixture(scope="module")
def backwards(rows: list[Direction]) -> "nx.MultiDiGraph[bytes]":
    """From payee to payer, straight from the rows, without our graph."""
    graph: nx.MultiDiGraph[bytes] = nx.MultiDiGraph()
    for row in rows:
        if row.policy.enabled:
            graph.add_edge(row.to_node, row.from_node, row=row)
    return graph


def reachable(rows: list[Direction]) -> list[bytes]:
    """Nodes with an enabled edge in and one out: in this snapshot three of five have none."""
    sending = {row.from_node for row in rows if row.policy.enabled}
    return sorted(sending & {row.to_node for row in rows if row.policy.enabled})


def least_sent(
    backwards: "nx.MultiDiGraph[bytes]", source: bytes, destination: bytes, amount_msat: int
) -> int | None:
    """What networkx finds the payer must send, in msat.

    networkx asks for the weights of a node's edges when the node's distance is final, so the weight
    function can follow how the amount grows.
    """
    needed = {destination: amount_msat}

    def weight(near: bytes, far: bytes, parallel: dict[Any, Any]) -> int | None:
        best = None
        for data in parallel.values():
            row: Direction = data["row"]
            policy = row.policy
            claim = needed[near] if near == destination else max(needed[near], policy.min_amount)
            if not policy.min_amount <= claim <= min(policy.max_amount, row.capacity_msat):
                continue
            fee = 0 if far == source else policy.base_fee - (-claim * policy.fee_ppm // 10**6)
            if best is None or claim + fee < best:
                best = claim + fee
        if best is None:
            return None
        needed[far] = min(needed.get(far, best), best)
        return best - needed[near]

    try:
        return amount_msat + int(nx.dijkstra_path_length(backwards, destination, source, weight=weight))
    except nx.NetworkXNoPath:
        return None


@pytest.mark.parametrize("amount_msat", [1_000, 10_000_000, 1_000_000_000])
def test_routes_are_as_cheap_as_networkx_finds_them(
    graph: ChannelGraph, backwards: "nx.MultiDiGraph[bytes]", rows: list[Direction], amount_msat: int
) -> None:
    draw = random.Random(amount_msat)
    nodes = reachable(rows)
    routed = 0
    for _ in range(20):
        source, destination = draw.sample(nodes, 2)
        expected = least_sent(backwards, source, destination, amount_msat)
        try:
            route = find_route(graph, Query(source, destination, BITCOIN, amount_msat, AMPLE_S))
        except NoRoute:
            assert expected is None
            continue
        assert route.amount_sent == expected
        routed += 1
    assert routed >= 3


def test_routes_keep_every_rule_of_every_channel(graph: ChannelGraph, rows: list[Direction]) -> None:
    known = {(row.channel_id, row.from_node): row for row in rows}
    draw = random.Random(7)
    nodes = reachable(rows)
    found = 0
    for _ in range(60):
        source, destination = draw.sample(nodes, 2)
        budget_s = draw.choice([50_000, 100_000, 1_209_600])
        asked = Query(source, destination, BITCOIN, 5_000_000, budget_s, max_hops=draw.choice([3, 6, 20]))
        try:
            route = find_route(graph, asked)
        except NoRoute:
            continue
        found += 1
        assert route.hops[0].from_node == source and route.hops[-1].to_node == destination
        assert route.amount_received == 5_000_000 and len(route.hops) <= asked.max_hops
        assert len({hop.from_node for hop in route.hops} | {destination}) == len(route.hops) + 1
        for hop in route.hops:
            row = known[hop.channel_id, hop.from_node]
            assert row.to_node == hop.to_node and row.policy.enabled
            assert row.policy.min_amount <= hop.amount <= min(row.policy.max_amount, row.capacity_msat)
        for before, hop in pairwise(route.hops):
            policy = known[hop.channel_id, hop.from_node].policy
            assert hop.fee == before.amount - hop.amount
            assert hop.fee >= policy.base_fee - (-hop.amount * policy.fee_ppm // 10**6)
            assert before.deadline_offset_s - hop.deadline_offset_s == policy.deadline_delta_s
        assert route.deadline_offset_s <= budget_s
    assert found >= 20


def test_a_new_policy_counts_at_once_and_costs_only_its_neighbourhood(graph: ChannelGraph) -> None:
    index = graph.index(BITCOIN)
    assert index is not None
    for slot in index.slots.values():
        index.steps_to(slot)
    edge = next(iter(graph.nx_graph.edges(data=True)))[2]["edge"]
    old: Policy = edge.policy
    newer = Policy(
        old.base_fee + 1, old.fee_ppm, 0, old.min_amount, old.max_amount, old.deadline_delta_s, True, 2
    )
    assert graph.policy_set(edge.channel_id, edge.from_node, newer)
    assert sum(index.incoming[slot] is None for slot in index.slots.values()) == 2
    assert any(
        step[6].channel_id == edge.channel_id and step[4] == newer.base_fee
        for step in index.steps_to(index.slots[edge.to_node])
    )
