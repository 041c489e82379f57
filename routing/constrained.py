"""The cheapest route within the limits on hops and deadlines, when the cheapest of all breaks them.

A node is now reached in several ways worth keeping: a dearer one may have fewer hops or an earlier
deadline. Labels leave the heap by amount, so one is worth keeping only if no earlier one at its node
has both as few hops and as early a deadline. Exact, but slower; needed rarely.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from routing.edge import Edge
from routing.errors import NoRoute, Why
from routing.policy import MAX_AMOUNT, PPM
from routing.view import View

# About a second on one core; searches of the Lightning network under tight limits stay below. Beyond it
# somebody has built a graph to keep us busy.
MAX_LABELS = 250_000


@dataclass(frozen=True, slots=True)
class _Label:
    """A way from the node in `slot` to the payee: `edge` first, then as `onward` says."""

    amount: int
    hops: int
    offset_s: int
    slot: int
    edge: Edge | None
    onward: "_Label | None"


def cheapest_within(view: View) -> tuple[list[Edge], int] | None:
    """The edges of the cheapest route within all limits, payer first, and what the payer pays; or None.

    Raises NoRoute(SEARCH_LIMIT) if the search grew beyond MAX_LABELS.
    """
    query = view.query
    # Per node, hops and deadline offset of the labels kept.
    kept: dict[int, list[tuple[int, int]]] = {}
    # Ties go by hops, deadline and onward channel; the order of entry spares comparing labels.
    heap: list[tuple[int, int, int, bytes, int, _Label]] = []
    closed = set(view.closed)
    if view.destination not in closed:
        start = _Label(query.amount, 0, 0, view.destination, None, None)
        heap.append((query.amount, 0, 0, b"", 0, start))
    entered = 1
    while heap:
        label = heappop(heap)[5]
        if label.slot == view.source:
            return _unwind(label), label.amount
        frontier = kept.setdefault(label.slot, [])
        if any(hops <= label.hops and offset_s <= label.offset_s for hops, offset_s in frontier):
            continue
        frontier.append((label.hops, label.offset_s))
        if label.hops == query.max_hops:
            continue
        for edge, grown in _extended(view, label, closed):
            if entered == MAX_LABELS:
                raise NoRoute(Why.SEARCH_LIMIT, f"expected an answer within {MAX_LABELS} labels")
            key = (grown.amount, grown.hops, grown.offset_s, edge.channel_id, entered, grown)
            heappush(heap, key)
            entered += 1
    return None


def _extended(view: View, label: _Label, closed: set[int]) -> Iterator[tuple[Edge, _Label]]:
    """The label's ways, one edge longer towards the payer, as far as amounts and budget allow."""
    query, hops = view.query, label.hops + 1
    limit = MAX_AMOUNT if query.max_fee is None else min(MAX_AMOUNT, query.amount + query.max_fee)
    for _, extra, least, most, _, _, edge in view.first_hops(label.slot):
        total = max(label.amount + extra, least)
        if total <= most and total <= limit:
            yield edge, _Label(total, hops, label.offset_s, view.source, edge, label)
    for before, extra, least, most, base_fee, fee_ppm, edge in view.steps_to(label.slot):
        claim = max(label.amount + extra, least)
        if claim > most or before in closed:
            continue
        needed = claim + base_fee + (claim * fee_ppm + (PPM - 1)) // PPM
        offset_s = label.offset_s + edge.policy.deadline_delta_s
        if needed <= limit and offset_s <= query.deadline_budget_s:
            yield edge, _Label(needed, hops, offset_s, before, edge, label)


def _unwind(label: _Label) -> list[Edge]:
    edges: list[Edge] = []
    step: _Label | None = label
    while step is not None and step.edge is not None:
        edges.append(step.edge)
        step = step.onward
    return edges
