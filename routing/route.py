"""What is asked of the search, and what it answers.

Amounts are integers in the asset's smallest unit. The search walks from the payee backwards, because
what has to arrive is given and each hub adds its fee to it:

- on an edge u -> v travels `x`: what v needs to receive (v's onward claim and v's fees), raised to the
  edge's `min_amount` if it is below. The surplus is v's to keep. Raising is never dearer than a route
  that reaches the minimum by paying other hubs more, and it makes the amount at a node the only thing
  that matters, so that the cheapest route is exactly the cheapest. The last edge is never raised: the
  payee receives precisely what was asked.
- u, unless it is the payer, needs `x + base_fee + ceil(x * fee_ppm / 1e6)` by its own policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from routing.edge import Asset, Edge
from routing.errors import BadInput
from routing.policy import MAX_AMOUNT, collateral_fee, forwarding_fee

# An onion has room for 20 hops ([BOLT-4], fixed-size hop payloads), and the transport of this network
# promises no more.
MAX_HOPS = 20
# An option further out than ten years is a mistake, and bounds the product in the collateral fee.
MAX_DURATION_S = 10 * 365 * 86_400

# One direction of a channel: (channel id, node id of the end that sends).
EdgeKey = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Collateral:
    """The option of a circular trade: it travels from the writer back over the same channels.

    `amount` is the most the option can pay: each `to_node` of the route locks it towards `from_node` for
    `duration_s`, and each hub charges its collateral fee for that, on the channel over which the premium
    reaches it. `remote_liquidity` (channel id -> amount) is what the peers of our own channels can lock
    towards us; None if unknown, and a channel missing from it has none.
    """

    amount: int
    duration_s: int
    remote_liquidity: Mapping[bytes, int] | None = None

    def __post_init__(self) -> None:
        _expect_range("collateral amount", self.amount, 1, MAX_AMOUNT)
        _expect_range("duration_s", self.duration_s, 1, MAX_DURATION_S)


@dataclass(frozen=True, slots=True)
class Query:
    """A route from `source` to `destination` on which exactly `amount` is received.

    `max_fee` bounds all fees together (None: no bound). `deadline_budget_s` bounds by how much the first
    hop's deadline may lie after the last one's. `local_liquidity` (channel id -> amount) is what source
    can send over its own channels; None if unknown (the capacity counts), and a channel missing from it
    has none. `excluded_*` are not used at all; `ceilings` bounds the amount over single edges, as learnt
    from failures. With `collateral`, `amount` is the premium the writer receives.

    Raises BadInput.
    """

    source: bytes
    destination: bytes
    asset: Asset
    amount: int
    deadline_budget_s: int
    max_fee: int | None = None
    max_hops: int = MAX_HOPS
    local_liquidity: Mapping[bytes, int] | None = None
    excluded_edges: frozenset[EdgeKey] = frozenset()
    excluded_nodes: frozenset[bytes] = frozenset()
    ceilings: Mapping[EdgeKey, int] | None = None
    collateral: Collateral | None = None

    def __post_init__(self) -> None:
        if self.source == self.destination:
            raise BadInput(f"expected a destination other than the source, got {self.source.hex()} twice")
        _expect_range("amount", self.amount, 1, MAX_AMOUNT)
        _expect_range("deadline_budget_s", self.deadline_budget_s, 0, 2**40)
        _expect_range("max_hops", self.max_hops, 1, MAX_HOPS)
        if self.max_fee is not None:
            _expect_range("max_fee", self.max_fee, 0, MAX_AMOUNT)


@dataclass(frozen=True, slots=True)
class Hop:
    """One claim of the route: `amount` travels over the channel.

    `fee` is what `from_node` keeps of what reached it (0 for the payer). The claim's deadline is the
    final deadline + `deadline_offset_s`.
    """

    channel_id: bytes
    from_node: bytes
    to_node: bytes
    amount: int
    fee: int
    deadline_offset_s: int


@dataclass(frozen=True, slots=True)
class Route:
    """Hops from the payer to the payee."""

    hops: tuple[Hop, ...]

    @property
    def amount_sent(self) -> int:
        """What the payer pays in all, fees included."""
        return self.hops[0].amount

    @property
    def amount_received(self) -> int:
        """What the payee receives."""
        return self.hops[-1].amount

    @property
    def fee(self) -> int:
        """What the hubs keep in all."""
        return self.amount_sent - self.amount_received

    @property
    def deadline_offset_s(self) -> int:
        """By how much the first claim's deadline lies after the last one's."""
        return self.hops[0].deadline_offset_s


def surcharge(edge: Edge, query: Query) -> int:
    """What `edge.to_node` adds to what it needs to receive over `edge`: a hub's fee for collateral."""
    if query.collateral is None or edge.to_node == query.destination:
        return 0
    return collateral_fee(edge.back, query.collateral.amount, query.collateral.duration_s)


def build_route(edges: list[Edge], query: Query) -> Route:
    """The route over `edges` (payer first), every amount computed afresh from the policies."""
    hops: list[Hop] = []
    needed, offset_s = query.amount, 0
    for edge in reversed(edges):
        amount = needed + surcharge(edge, query)
        if edge.to_node != query.destination:
            amount = max(amount, edge.policy.min_amount)
        needed, later_s = amount, offset_s
        if edge.from_node != query.source:
            needed += forwarding_fee(edge.policy, amount)
            offset_s += edge.policy.deadline_delta_s
        hops.append(Hop(edge.channel_id, edge.from_node, edge.to_node, amount, 0, later_s))
    hops.reverse()
    kept = [0] + [before.amount - after.amount for before, after in pairwise(hops)]
    return Route(tuple(replace(hop, fee=fee) for hop, fee in zip(hops, kept, strict=True)))


def _expect_range(name: str, value: int, least: int, most: int) -> None:
    # A float would pass the comparison and then decide an amount.
    if type(value) is not int or not least <= value <= most:
        raise BadInput(f"{name}: expected an integer from {least} to {most}, got {value!r}")
