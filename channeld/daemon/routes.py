"""Which way a payment goes: the search of `routing` over what this node knows, and what it found lately.

The cost of a payment must not depend on how many channels lie idle: what an own channel can carry is
worked out where the search looks, and a way that was found is taken again while nothing speaks against it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from operator import is_

from channeld.config.settings import Config
from channeld.core.channel import Channel
from channeld.core.claims import Claim
from channeld.core.draft import Tables
from channeld.core.errors import Rejected
from channeld.core.forwarding import paid_time_s
from channeld.core.payoff import most
from channeld.core.records import OptionLeg
from channeld.daemon.views import Catalogue, spendable_now
from routing.edge import Asset
from routing.errors import NoRoute, RoutingError, Why
from routing.graph import ChannelGraph
from routing.route import Collateral, EdgeKey, Query, Route
from routing.search import find_route

REMEMBER_S = 10
"""For how long a route is taken again without another search. The graph's changes end it at once; until
then only a way over another channel of ours, which could not carry the amount before, may be cheaper."""

MAX_REMEMBERED = 1_000
"""Routes of some kilobytes each, and own channels with two states: more than are paid over at a time."""


class _Spendable:
    """`spendable_now` of our side, worked out once for the states that a channel has: a hundred payments
    may start from them."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[tuple[object, ...], int]] = {}

    def of(self, channel: Channel) -> int:
        basis = (channel.theirs, channel.mine, channel.phase, channel.deposits, channel.announced)
        known = self._known.get(channel.channel_id)
        if known is not None and all(map(is_, known[0], basis)):
            return known[1]
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        amount = spendable_now(channel, channel.me)
        self._known[channel.channel_id] = (basis, amount)
        return amount


class Liquidity(Mapping[bytes, int]):
    """What can be sent over each of our channels now, on demand: `amount_of` a channel whose peer is there.

    In smallest units; a channel whose peer is away has nothing, unless `away` asks what it would have.
    `only`: no other channel has anything.
    """

    def __init__(
        self,
        tables: Tables,
        amount_of: Callable[[Channel], int],
        *,
        only: bytes | None = None,
        away: bool = False,
    ) -> None:
        self._tables = tables
        self._amount_of = amount_of
        self._only = only
        self._away = away

    def with_those_away(self) -> "Liquidity":
        """The same if everybody were connected."""
        return Liquidity(self._tables, self._amount_of, only=self._only, away=True)

    def __getitem__(self, channel_id: bytes) -> int:
        channel = self._tables.records[Channel].get(channel_id)
        if (
            not isinstance(channel, Channel)
            or not (self._away or channel_id in self._tables.online)
            or (self._only is not None and channel_id != self._only)
        ):
            raise KeyError(channel_id)
        return self._amount_of(channel)

    def __iter__(self) -> Iterator[bytes]:
        return (channel_id for channel_id in self._tables.online if channel_id in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Routes:
    """Routes from this node (33-byte `own_id`)."""

    def __init__(self, config: Config, tables: Tables, graph: ChannelGraph, own_id: bytes) -> None:
        self._config = config
        self._tables = tables
        self._graph = graph
        self._own_id = own_id
        self._found: dict[tuple[bytes, bytes, int, int | None, bytes | None], Route] = {}
        self._spendable = _Spendable()
        self._changes = 0
        self._until_s = 0

    def to_payee(
        self,
        destination: bytes,
        asset: bytes,
        amount: int,
        max_fee: int | None,
        excluded: frozenset[EdgeKey] = frozenset(),
        channel_id: bytes | None = None,
    ) -> Route:
        """The cheapest route over channels that are up, or one found lately that still carries the amount.

        With a `channel_id` it begins there; without `max_fee` the configured share is the limit. Raises
        Rejected, saying why there is none.
        """
        if excluded:
            # What has failed a moment ago is not to be taken again by the next payment either.
            self._found.clear()
        now_s = self._tables.now_s
        if self._changes != self._graph.changes or now_s >= self._until_s:
            self._found.clear()
            self._changes, self._until_s = self._graph.changes, now_s + REMEMBER_S
        key = (destination, asset, amount, max_fee, channel_id)
        liquidity = Liquidity(self._tables, self._spendable.of, only=channel_id)
        known = self._found.get(key)
        if known is not None and liquidity.get(known.hops[0].channel_id, 0) >= known.amount_sent:
            return known
        limit = self._fee_limit(amount) if max_fee is None else max_fee
        route = self._search(destination, asset, amount, limit, liquidity, excluded, None)
        if not excluded and len(self._found) < MAX_REMEMBERED:
            self._found[key] = route
        return route

    def to_writer(
        self,
        destination: bytes,
        asset: bytes,
        premium: int,
        leg: OptionLeg,
        excluded: frozenset[EdgeKey] = frozenset(),
    ) -> Route:
        """The cheapest route on which the option can come back. Raises Rejected, saying why not."""
        locked = most(Claim(0, leg.size, None, 0, leg.terms))
        duration_s = paid_time_s(leg.terms.expiry_s, self._tables.now_s)
        liquidity = Liquidity(self._tables, self._spendable.of)
        collateral = Collateral(locked, duration_s, Liquidity(self._tables, _receivable))
        return self._search(destination, asset, premium, None, liquidity, excluded, collateral)

    def _search(
        self,
        destination: bytes,
        asset: bytes,
        amount: int,
        max_fee: int | None,
        liquidity: Liquidity,
        excluded: frozenset[EdgeKey],
        collateral: Collateral | None,
    ) -> Route:
        try:
            query = Query(
                self._own_id,
                destination,
                Asset(self._config.chain.chain_id, asset),
                amount,
                deadline_budget_s=0,
                max_fee=max_fee,
                local_liquidity=liquidity,
                excluded_edges=excluded,
                collateral=collateral,
            )
            return find_route(self._graph, query)
        except NoRoute as error:
            why = self._away(error, query, liquidity) or error.told(
                lambda units: Catalogue(self._config.asset).amount(asset, units)
            )
            raise Rejected(f"no route to {destination.hex()[:16]}: {why}") from error
        except RoutingError as error:
            raise Rejected(str(error)) from error

    def _away(self, error: NoRoute, query: Query, liquidity: Liquidity) -> str:
        """Whose absence is all that is in the way, for people; empty if nobody's is."""
        if error.why is not Why.CAPACITY:
            return ""
        collateral = query.collateral
        if collateral is not None:
            collateral = replace(collateral, remote_liquidity=Liquidity(self._tables, _receivable, away=True))
        try:
            route = find_route(
                self._graph,
                replace(query, local_liquidity=liquidity.with_those_away(), collateral=collateral),
            )
        except NoRoute:
            return ""
        first = route.hops[0]
        return f"{first.to_node.hex()[:16]}, the peer of channel 0x{first.channel_id.hex()}, is not connected"

    def _fee_limit(self, amount: int) -> int:
        base = max((asset.fee_base_units for asset in self._config.asset), default=0)
        return amount * self._config.payment.max_fee_ppm // 1_000_000 + 10 * base


def _receivable(channel: Channel) -> int:
    return spendable_now(channel, channel.me.other)
