"""The cheapest route if hops and deadlines do not matter: Dijkstra from the payee, on exact integers.

What has to arrive at a node grows along every edge and is all that the edges before it depend on, so
the first time a node leaves the heap its amount is final. Among equally dear routes the one with fewer
hops wins, then at each node the onward channel with the smaller id: the answer does not depend on the
order in which the graph was learnt.
"""

from heapq import heappop, heappush

from routing.edge import Edge
from routing.policy import MAX_AMOUNT, PPM
from routing.view import View


def cheapest(view: View) -> tuple[list[Edge], int] | None:
    """The edges of the cheapest route, payer first, and what the payer pays; None if none fits the amounts.

    A heap key is one integer, amount · hops · slot from the highest bits down: integers compare faster
    than tuples. A label is the key without the slot.
    """
    query = view.query
    direct = _direct(view)
    if direct is not None:
        return [direct], query.amount
    incoming, peers = view.incoming, view.peers
    bits = (len(incoming) + 1).bit_length()
    mask = (1 << bits) - 1
    # What the payer may pay; falls to the best total found.
    limit = MAX_AMOUNT if query.max_fee is None else min(MAX_AMOUNT, query.amount + query.max_fee)
    beyond = (MAX_AMOUNT + 1) << bits
    labels = [beyond] * len(incoming)
    via: list[Edge | None] = [None] * len(incoming)
    # No label is below 0, so nothing ever improves on a closed node.
    for slot in view.closed:
        labels[slot] = -1
    best, best_edge = beyond, None
    heap: list[int] = []
    if labels[view.destination] == beyond:
        labels[view.destination] = query.amount << bits
        heap.append(query.amount << 2 * bits | view.destination)

    while heap:
        key = heappop(heap)
        slot, label = key & mask, key >> bits
        if label >= best:
            break
        if label != labels[slot]:
            continue
        amount, hops = label >> bits, (label & mask) + 1
        if slot in peers:
            for _, extra, least, most, _, _, edge in view.first_hops(slot):
                total = max(amount + extra, least)
                if total > most or total > limit:
                    continue
                found = total << bits | hops
                if found < best or (
                    found == best and best_edge is not None and edge.channel_id < best_edge.channel_id
                ):
                    best, best_edge, limit = found, edge, total
        steps = incoming[slot]
        if steps is None:
            steps = view.steps_to(slot)
        for before, extra, least, most, base_fee, fee_ppm, edge in steps:
            known = labels[before]
            if known <= label:
                continue
            claim = amount + extra
            if claim < least:
                claim = least
            elif claim > most:
                continue
            claim += base_fee + (claim * fee_ppm + (PPM - 1)) // PPM
            if claim > limit:
                continue
            found = claim << bits | hops
            if found < known:
                labels[before] = found
                via[before] = edge
                heappush(heap, found << bits | before)
            elif found == known and edge.channel_id < via[before].channel_id:  # type: ignore[union-attr]
                via[before] = edge
    return None if best_edge is None else (_unwind(view, best_edge, via), best >> bits)


def _direct(view: View) -> Edge | None:
    """Source's own edge to the payee: one hop without a fee, which nothing can undercut."""
    query = view.query
    if view.destination in view.closed:
        return None
    fits = [
        edge
        for _, extra, least, most, _, _, edge in view.first_hops(view.destination)
        if extra == 0 and least <= query.amount <= most
    ]
    return min(fits, key=lambda edge: edge.channel_id, default=None)


def _unwind(view: View, first: Edge, via: list[Edge | None]) -> list[Edge]:
    edges = [first]
    while edges[-1].to_node != view.query.destination:
        onward = via[view.slot_of(edges[-1].to_node)]
        assert onward is not None, "a settled node has an onward edge"
        edges.append(onward)
    return edges
