"""find_route: the cheapest route for a query, or the reason why there is none."""

from dataclasses import replace

from routing.cheapest import cheapest
from routing.constrained import cheapest_within
from routing.edge import Edge
from routing.errors import NoRoute, Why
from routing.graph import ChannelGraph
from routing.index import AssetIndex
from routing.route import Query, Route, build_route
from routing.view import View


def find_route(graph: ChannelGraph, query: Query) -> Route:
    """The cheapest route within all of the query's limits; exact, and the same for the same graph.

    Raises NoRoute. What it says is the first limit that, lifted, would let something through.
    """
    index = _expect_ends(graph, query)
    found = cheapest(View(graph, index, query))
    if found is None:
        raise _explained(graph, index, query)
    route = build_route(found[0], query)
    if len(route.hops) > query.max_hops or route.deadline_offset_s > query.deadline_budget_s:
        found = cheapest_within(View(graph, index, query))
        if found is None:
            raise _over_limit(route, query)
        route = build_route(found[0], query)
    edges, total = found
    assert route.amount_sent == total, (route, total)
    _check(route, edges, query)
    return route


def _expect_ends(graph: ChannelGraph, query: Query) -> AssetIndex:
    index = graph.index(query.asset)
    for name, node in (("source", query.source), ("destination", query.destination)):
        if index is None or node not in index.slots:
            raise NoRoute(
                Why.NO_SUCH_NODE,
                f"expected the {name} {node.hex()} to have a channel with both policies in "
                f"{query.asset.address.hex()} on chain {query.asset.chain_id}",
            )
        if node in query.excluded_nodes:
            raise NoRoute(Why.EXCLUDED, f"the {name} {node.hex()} itself is excluded")
    assert index is not None, "both ends have slots"
    return index


def _over_limit(route: Route, query: Query) -> NoRoute:
    """The cheapest route is too long or too slow, and no other is neither."""
    if len(route.hops) > query.max_hops:
        return NoRoute(
            Why.HOP_LIMIT, f"expected at most {query.max_hops} hops, the cheapest has {len(route.hops)}"
        )
    return NoRoute(
        Why.DEADLINE_BUDGET,
        f"expected hubs to ask for at most {query.deadline_budget_s} s, the cheapest route's ask for "
        f"{route.deadline_offset_s} s",
    )


def _explained(graph: ChannelGraph, index: AssetIndex, query: Query) -> NoRoute:
    """Lift one limit after the other until something gets through."""
    unpriced = replace(query, max_fee=None)
    found = cheapest(View(graph, index, unpriced))
    if found is not None:
        fee = found[1] - query.amount
        words = "expected fees of at most {}, the cheapest takes {}"
        return NoRoute(Why.FEE_LIMIT, words, query.max_fee or 0, fee)
    if query.excluded_edges or query.excluded_nodes or query.ceilings:
        bare = replace(unpriced, excluded_edges=frozenset(), excluded_nodes=frozenset(), ceilings=None)
        if cheapest(View(graph, index, bare)) is not None:
            return NoRoute(Why.EXCLUDED, "every route uses what is excluded or has failed before")
    if not _reaches(graph, query):
        return NoRoute(
            Why.DISCONNECTED,
            f"no enabled channels lead from {query.source.hex()} to {query.destination.hex()}",
        )
    wanted, amounts = "{}", [query.amount]
    if query.collateral is not None:
        wanted += " with collateral of {} the other way"
        amounts.append(query.collateral.amount)
    view = View(graph, index, unpriced)
    if not any(view.first_hops(slot) for slot in view.peers):
        return NoRoute(Why.CAPACITY, f"none of the source's own channels can carry {wanted}", *amounts)
    others = any(step[0] != view.source for step in view.steps_to(view.destination))
    if not others and not view.first_hops(view.destination):
        return NoRoute(Why.CAPACITY, f"none of the channels to the destination can carry {wanted}", *amounts)
    return NoRoute(Why.CAPACITY, f"no channels in between can carry {wanted}", *amounts)


def _reaches(graph: ChannelGraph, query: Query) -> bool:
    """Whether enabled edges lead from source to destination, whatever they can carry."""
    seen, frontier = {query.source}, [query.source]
    while frontier:
        for to_node, parallel in graph.nx_graph.succ[frontier.pop()].items():
            if to_node in seen or not any(
                data["edge"].policy.enabled and data["edge"].asset == query.asset
                for data in parallel.values()
            ):
                continue
            if to_node == query.destination:
                return True
            seen.add(to_node)
            frontier.append(to_node)
    return False


def _check(route: Route, edges: list[Edge], query: Query) -> None:
    """What must hold of every route, whatever the search did: a wrong one costs money."""
    assert route.amount_received == query.amount and route.fee >= 0, route
    assert query.max_fee is None or route.fee <= query.max_fee, route
    assert len(route.hops) <= query.max_hops, route
    assert route.deadline_offset_s <= query.deadline_budget_s, route
    assert edges[0].from_node == query.source and edges[-1].to_node == query.destination, route
    visited = {query.source}
    collateral = 0 if query.collateral is None else query.collateral.amount
    for hop, edge in zip(route.hops, edges, strict=True):
        assert edge.asset == query.asset and edge.policy.enabled, edge
        assert edge.policy.min_amount <= hop.amount <= edge.policy.max_amount, (hop, edge)
        assert hop.amount + collateral <= edge.capacity, (hop, edge)
        assert hop.from_node in visited and hop.to_node not in visited, route
        visited.add(hop.to_node)
