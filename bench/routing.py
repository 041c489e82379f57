"""Time of one route search on the public Lightning network, beside networkx in the same run.

`python -m bench routing [--pairs=N] [--amount-msat=N] [--profile]`
"""

import cProfile
import os
import platform
import pstats
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import networkx as nx

from bench.lightning import BITCOIN, Direction, address_of, directions, fill
from routing.edge import Edge
from routing.errors import NoRoute
from routing.graph import ChannelGraph
from routing.route import Collateral, Query
from routing.search import find_route

SEED = 20260203
PAIRS = 200
AMOUNT_MSAT = 100_000_000
# Two weeks, Lightning's usual bound on the sum of its time-locks.
DEADLINE_BUDGET_S = 2016 * 600
Pair = tuple[bytes, bytes]
TRADE = Collateral(amount=1_000_000_000, duration_s=30 * 86_400)


def run(options: list[str]) -> dict[str, object]:
    """Median and 95th percentile in ms over random routable pairs; figure to beat: 12 ms (networkx 76)."""
    given = dict(option.lstrip("-").partition("=")[::2] for option in options)
    count = int(given.get("pairs", PAIRS))
    amount_msat = int(given.get("amount-msat", AMOUNT_MSAT))
    rows = list(directions())
    graph = ChannelGraph(address_of)
    loading_s = _timed_s(lambda: fill(graph, rows))
    pairs = _routable_pairs(graph, count, amount_msat)
    if "profile" in given:
        _profile(graph, pairs, amount_msat)
    ours = [_timed_s(partial(find_route, graph, _query(pair, amount_msat))) for pair in pairs]
    theirs = _networkx_s(graph, pairs, amount_msat)
    trades = [_timed_s(partial(_attempt, graph, _trade(pair))) for pair in pairs]
    updates_us = _update_us(graph, rows)
    figures: dict[str, object] = {
        "channels": len(graph),
        "pairs": count,
        "amount_msat": amount_msat,
        "seed": SEED,
        "load_s": round(loading_s, 2),
        "channeld_ms": _spread(ours),
        "channeld_trade_ms": _spread(trades),
        "networkx_ms": _spread(theirs),
        "policy_update_median_us": round(updates_us, 1),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "networkx": nx.__version__,
    }
    for name, value in figures.items():
        print(f"{name:24} {value}")
    return figures


def _query(pair: Pair, amount_msat: int) -> Query:
    return Query(pair[0], pair[1], BITCOIN, amount_msat, DEADLINE_BUDGET_S)


def _trade(pair: Pair) -> Query:
    return Query(pair[0], pair[1], BITCOIN, AMOUNT_MSAT, DEADLINE_BUDGET_S, collateral=TRADE)


def _attempt(graph: ChannelGraph, query: Query) -> bool:
    try:
        find_route(graph, query)
    except NoRoute:
        return False
    return True


def _routable_pairs(graph: ChannelGraph, count: int, amount_msat: int) -> list[Pair]:
    draw = random.Random(SEED)
    nodes = sorted(graph.nx_graph)
    pairs: list[Pair] = []
    while len(pairs) < count:
        source, destination = draw.sample(nodes, 2)
        if _attempt(graph, _query((source, destination), amount_msat)):
            pairs.append((source, destination))
    return pairs


def _networkx_s(graph: ChannelGraph, pairs: list[Pair], amount_msat: int) -> list[float]:
    """networkx's Dijkstra with a weight function: from the payee, fees of the final amount.

    It has it easier than ours: no growing amounts, no own balances, and disabled edges left out.
    """
    backwards: nx.MultiDiGraph[bytes] = nx.MultiDiGraph()
    for from_node, to_node, channel_id, data in graph.nx_graph.edges(keys=True, data=True):
        edge: Edge = data["edge"]
        if edge.policy.enabled:
            policy, most = edge.policy, min(edge.policy.max_amount, edge.capacity)
            terms = (policy.min_amount, most, policy.base_fee, policy.fee_ppm)
            backwards.add_edge(to_node, from_node, key=channel_id, terms=terms)

    def fee(_: bytes, __: bytes, parallel: dict[Any, Any]) -> int | None:
        cheapest = None
        for data in parallel.values():
            least, most, base, ppm = data["terms"]
            if least <= amount_msat <= most:
                cost = base + (amount_msat * ppm + 999_999) // 1_000_000
                if cheapest is None or cost < cheapest:
                    cheapest = cost
        return cheapest

    return [
        _timed_s(partial(nx.dijkstra_path, backwards, destination, source, weight=fee))
        for source, destination in pairs
    ]


def _update_us(graph: ChannelGraph, rows: list[Direction]) -> float:
    """Median time of one event on a usable channel; the next search rebuilds the lists of its ends."""
    drawn = random.Random(SEED).sample(rows, 1000)
    return statistics.median(
        _timed_s(partial(graph.capacity_changed, row.channel_id, row.capacity_msat)) * 1e6 for row in drawn
    )


def _profile(graph: ChannelGraph, pairs: list[Pair], amount_msat: int) -> None:
    profile = cProfile.Profile()
    for pair in pairs:
        profile.runcall(find_route, graph, _query(pair, amount_msat))
    pstats.Stats(profile).sort_stats("tottime").print_stats(12)


def _timed_s(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _spread(samples_s: list[float]) -> dict[str, float]:
    ordered = sorted(samples_s)
    return {
        "median": round(statistics.median(ordered) * 1e3, 2),
        "p95": round(ordered[int(len(ordered) * 0.95)] * 1e3, 2),
    }
