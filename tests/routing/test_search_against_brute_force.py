"""The search against an enumeration of every simple path, and its arrays against a graph built anew."""

import math
import random
from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, product

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from towns import ETHER, FREE, TOKEN, Town, address_of, channel_id, node

from routing.edge import Edge
from routing.errors import NoRoute
from routing.graph import ChannelGraph
from routing.policy import Policy
from routing.route import Collateral, Query, Route
from routing.search import find_route

PEOPLE = sorted(node(f"villager {n}") for n in range(5))

policies = st.builds(
    Policy,
    base_fee=st.integers(0, 30),
    fee_ppm=st.sampled_from([0, 1, 999, 50_000, 600_000]),
    collateral_fee_ppm_per_day=st.sampled_from([0, 1, 5_000]),
    min_amount=st.sampled_from([0, 0, 0, 40, 120]),
    max_amount=st.sampled_from([400, 10_000, 10_000]),
    deadline_delta_s=st.sampled_from([0, 0, 0, 0, 5, 50]),
    enabled=st.sampled_from([True] * 9 + [False]),
    timestamp_s=st.just(1),
)
links = st.tuples(
    st.sampled_from(PEOPLE),
    st.sampled_from(PEOPLE),
    policies,
    policies,
    st.sampled_from([200, 1000, 20_000, 20_000]),
    st.sampled_from([ETHER] * 7 + [TOKEN]),
)
towns = st.lists(links.filter(lambda link: link[0] != link[1]), min_size=5, max_size=12)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a path would take: amount sent, hops, deadline offset."""

    amount: int
    hops: int
    offset_s: int


@st.composite
def queries(draw: st.DrawFn) -> Query:
    numbers = st.integers(1, 12).map(channel_id)
    keys = st.tuples(numbers, st.sampled_from(PEOPLE))
    sums = st.sampled_from([0, 80, 500, 900, 900])
    balances = st.none() | st.lists(sums, min_size=12, max_size=12).map(
        lambda each: {channel_id(number): balance for number, balance in enumerate(each, 1)}
    )
    collateral = st.builds(
        Collateral,
        amount=st.sampled_from([30, 300]),
        duration_s=st.sampled_from([1, 86_400]),
        remote_liquidity=balances,
    )
    return Query(
        source=PEOPLE[0],
        destination=PEOPLE[-1],
        asset=ETHER,
        amount=draw(st.sampled_from([1, 40, 100, 150])),
        deadline_budget_s=draw(st.sampled_from([5, 60, 1000, 1000])),
        max_fee=draw(st.sampled_from([None, None, 60, 300])),
        max_hops=draw(st.sampled_from([2, 3, 20, 20])),
        local_liquidity=draw(balances),
        excluded_edges=draw(st.frozensets(keys, max_size=3)),
        excluded_nodes=draw(
            st.frozensets(st.sampled_from(PEOPLE[1:-1] * 3 + [node("nobody")] * 9), max_size=1)
        ),
        ceilings=draw(st.none() | st.dictionaries(keys, st.sampled_from([0, 50, 150]), max_size=3)),
        collateral=draw(st.none() | collateral),
    )


def settle(links: list[tuple[bytes, bytes, Policy, Policy, int, object]]) -> ChannelGraph:
    town = Town()
    for one, other, forth, back, capacity, asset in links:
        town.open(one, other, forth, back, capacity, asset)  # type: ignore[arg-type]
    return town.graph


def cost_of(edges: list[Edge], query: Query) -> Cost | None:
    """The rules of a route written down a second time, with fractions, from the payee to the payer."""
    needed, offset_s = query.amount, 0
    ceilings = query.ceilings or {}
    for edge in reversed(edges):
        there, back = (edge.channel_id, edge.from_node), (edge.channel_id, edge.to_node)
        own, last = edge.from_node == query.source, edge.to_node == query.destination
        pot = edge.capacity
        amount = needed
        if query.collateral is not None:
            locked = query.collateral
            pot -= locked.amount
            days = Fraction(locked.duration_s, 86_400)
            rate = Fraction(edge.back.collateral_fee_ppm_per_day, 10**6)
            amount += 0 if last else math.ceil(locked.amount * rate * days)
            refusals = (
                not edge.back.enabled,
                not edge.back.min_amount <= locked.amount <= edge.back.max_amount,
                back in query.excluded_edges,
                locked.amount > ceilings.get(back, locked.amount),
                not own and edge.policy.deadline_delta_s > 0,
                not last and edge.back.deadline_delta_s > 0,
                own
                and locked.remote_liquidity is not None
                and locked.remote_liquidity.get(edge.channel_id, 0) < locked.amount,
            )
            if any(refusals):
                return None
        if not last:
            amount = max(amount, edge.policy.min_amount)
        bounds = [pot, edge.policy.max_amount, ceilings.get(there, amount)]
        if own and query.local_liquidity is not None:
            bounds.append(query.local_liquidity.get(edge.channel_id, 0))
        if amount > min(bounds) or amount < edge.policy.min_amount:
            return None
        if not edge.policy.enabled or there in query.excluded_edges or edge.asset != query.asset:
            return None
        needed = amount
        if not own:
            needed += edge.policy.base_fee + math.ceil(Fraction(amount * edge.policy.fee_ppm, 10**6))
            offset_s += edge.policy.deadline_delta_s
    over_fee = query.max_fee is not None and needed - query.amount > query.max_fee
    if over_fee or len(edges) > query.max_hops or offset_s > query.deadline_budget_s:
        return None
    return Cost(needed, len(edges), offset_s)


def every_cost(graph: ChannelGraph, query: Query) -> list[Cost]:
    if query.source not in graph.nx_graph or query.destination not in graph.nx_graph:
        return []
    costs = []
    for path in nx.all_simple_edge_paths(graph.nx_graph, query.source, query.destination):
        edges = [graph.nx_graph.edges[step]["edge"] for step in path]
        inner = {edge.to_node for edge in edges[:-1]}
        cost = None if inner & query.excluded_nodes else cost_of(edges, query)
        if cost is not None:
            costs.append(cost)
    return costs


def found(graph: ChannelGraph, query: Query) -> Route | None:
    try:
        return find_route(graph, query)
    except NoRoute:
        return None


def check(graph: ChannelGraph, query: Query) -> str:
    """Compare, and name what kind of case it was."""
    costs = every_cost(graph, query)
    route = found(graph, query)
    if route is None:
        assert costs == []
        return "none"
    edges = [graph.edge(hop.channel_id, hop.from_node) for hop in route.hops]
    assert None not in edges
    cost = cost_of([edge for edge in edges if edge is not None], query)
    assert cost == Cost(route.amount_sent, len(route.hops), route.deadline_offset_s)
    best = min(costs, key=lambda each: (each.amount, each.hops))
    assert (cost.amount, cost.hops) == (best.amount, best.hops)
    return "trade" if query.collateral is not None else "payment"


def test_the_search_finds_the_cheapest_of_all_simple_paths() -> None:
    cases: Counter[str] = Counter()

    @settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(towns, queries())
    def compare(links: list[tuple[bytes, bytes, Policy, Policy, int, object]], query: Query) -> None:
        cases[check(settle(links), query)] += 1

    compare()
    assert cases["none"] >= 50 and cases["payment"] >= 50 and cases["trade"] >= 20, cases


def dense(seed: int) -> tuple[ChannelGraph, Query]:
    """Well connected, no other hindrance than the two limits that need the constrained search."""
    draw = random.Random(seed)
    town = Town()
    for one, other in product(PEOPLE, PEOPLE):
        # The payer has one channel: its own cost nothing, so with more a short route would always win.
        if one < other and (one != PEOPLE[0] or other == PEOPLE[2]):
            forth, back = (
                Policy(draw.randrange(20), 0, 0, 0, 10**6, draw.choice([0, 0, 4, 9]), True, 1) for _ in "ab"
            )
            town.open(one, other, forth, back)
    budget_s, hops = draw.choice([0, 4, 9, 100]), draw.randint(2, 3)
    out = frozenset(draw.choice([[], PEOPLE[1:2]]))
    asked = Query(PEOPLE[0], PEOPLE[-1], ETHER, 100, budget_s, max_hops=hops, excluded_nodes=out)
    return town.graph, asked


def test_hop_and_deadline_limits_are_met_by_the_cheapest_path_that_meets_them() -> None:
    # What the limits did: nothing, cost a dearer route, or left none.
    decided: Counter[str] = Counter()
    for seed in range(400):
        graph, query = dense(seed)
        check(graph, query)
        free = found(graph, replace(query, deadline_budget_s=10**6, max_hops=20))
        bound = found(graph, query)
        assert free is not None
        decided["none" if bound is None else "dearer" if bound.fee > free.fee else "free"] += 1
    assert min(decided[case] for case in ("none", "dearer", "free")) >= 20, decided


class LivingGraph(RuleBasedStateMachine):
    """Events in any order: after each, the same routes as in a graph that is built anew."""

    fired: Counter[str] = Counter()

    @initialize()
    def begin(self) -> None:
        self.graph = ChannelGraph(address_of)
        self.signers: dict[bytes, tuple[bytes, bytes]] = {}
        self.now_s = 1
        # A ring to start with, so that there is something to change.
        for number, (one, other) in enumerate(pairwise([*PEOPLE, PEOPLE[0]]), 20):
            self.signers[channel_id(number)] = (one, other)
            ends = (address_of(one), address_of(other))
            self.graph.channel_opened(channel_id(number), *ends, ETHER.address, 1000, ETHER.chain_id)
            self.graph.policy_set(channel_id(number), one, FREE)
            self.graph.policy_set(channel_id(number), other, FREE)

    @rule(
        number=st.integers(1, 12),
        one=st.sampled_from(PEOPLE),
        other=st.sampled_from(PEOPLE),
        capacity=st.sampled_from([100, 1000]),
        asset=st.sampled_from([ETHER, ETHER, TOKEN]),
        forth=policies,
        back=policies,
    )
    def open(
        self, number: int, one: bytes, other: bytes, capacity: int, asset: object, forth: Policy, back: Policy
    ) -> None:
        key = channel_id(number)
        if key in self.signers or one == other:
            return
        self.signers[key] = (one, other)
        ends = (address_of(one), address_of(other))
        self.graph.channel_opened(key, *ends, asset.address, capacity, asset.chain_id)  # type: ignore[attr-defined]
        self.graph.policy_set(key, one, forth)
        self.graph.policy_set(key, other, back)
        self.fired["open"] += 1

    @rule(data=st.data(), policy=policies, second=st.booleans())
    def sign(self, data: st.DataObject, policy: Policy, second: bool) -> None:
        if not self.signers:
            return
        key = data.draw(st.sampled_from(sorted(self.signers)))
        self.now_s += 1
        fields = {name: getattr(policy, name) for name in Policy.__slots__}
        newer = Policy(**{**fields, "timestamp_s": self.now_s})
        assert self.graph.policy_set(key, self.signers[key][second], newer)
        self.fired["sign"] += 1

    @rule(data=st.data(), capacity=st.sampled_from([0, 100, 5000]))
    def deposit(self, data: st.DataObject, capacity: int) -> None:
        if self.signers:
            self.graph.capacity_changed(data.draw(st.sampled_from(sorted(self.signers))), capacity)
            self.fired["deposit"] += 1

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        if self.signers:
            key = data.draw(st.sampled_from(sorted(self.signers)))
            del self.signers[key]
            self.graph.channel_closed(key)
            self.fired["close"] += 1

    @invariant()
    def same_as_built_anew(self) -> None:
        anew = ChannelGraph(address_of)
        for known in reversed(list(self.graph.channels())):
            asset, ends = known.asset, (known.a.address, known.b.address)
            anew.channel_opened(known.channel_id, *ends, asset.address, known.capacity, asset.chain_id)
            for side in (known.b, known.a):
                if side.node is not None and side.policy is not None:
                    anew.policy_set(known.channel_id, side.node, side.policy)
        assert set(self.graph.nx_graph.edges(keys=True)) == set(anew.nx_graph.edges(keys=True))
        for asset, source, destination in product((ETHER, TOKEN), PEOPLE, PEOPLE):
            if source == destination:
                continue
            asked = Query(source, destination, asset, 50, 1000)
            route = found(self.graph, asked)
            assert route == found(anew, asked)
            self.fired["route" if route is not None else "no route"] += 1


def test_incremental_arrays_never_differ_from_a_graph_built_anew() -> None:
    LivingGraph.fired.clear()
    case = LivingGraph.TestCase
    case.settings = settings(
        max_examples=60,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").runTest()
    for name in ("open", "sign", "deposit", "close", "route", "no route"):
        assert LivingGraph.fired[name] >= 20, LivingGraph.fired


@pytest.mark.parametrize("seed", range(3))
def test_routes_do_not_depend_on_the_order_of_the_channels(seed: int) -> None:
    links = [
        (one, other, number)
        for number, (one, other) in enumerate(product(PEOPLE, PEOPLE))
        if one < other and (one, other) != (PEOPLE[0], PEOPLE[-1])
    ]
    routes = set()
    for turn in range(4):
        town = Town()
        for one, other, number in links[turn + seed :] + links[: turn + seed]:
            town.open(one, other, number=number)
        routes.add(find_route(town.graph, Query(PEOPLE[0], PEOPLE[-1], ETHER, 5 + seed, 1000)))
    assert len(routes) == 1
