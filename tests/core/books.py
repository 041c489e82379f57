"""What a node should have: by its records, and at worst by the states that others can bring to the chain.

The judge is the one of the executable model, over real states: for every combination of final states that
the peers can force and every time at which they may register a secret, the node's money.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

from channeld.core.channel import Channel
from channeld.core.claims import Claim, State
from channeld.core.draft import Tables
from channeld.core.messages import CloseOffer
from channeld.core.records import (
    Forward,
    ForwardStatus,
    Invoice,
    InvoiceStatus,
    OptionLeg,
    Payment,
    PaymentStatus,
    Secret,
    Trade,
    TradeRole,
    TradeStatus,
)
from channeld.core.world import PublishedPrice
from tests.core.chain import OnChain
from tests.core.pushes import pushed_net
from tests.core.town import EXPIRY_S, FEED, GRACE_S, LEGS, MARKS, Town, worth


class Defendant(Protocol):
    """What the judge knows of a node: what it holds, and everything that it ever put its name to."""

    @property
    def tables(self) -> Tables: ...
    @property
    def history(self) -> Mapping[Any, Any]: ...
    @property
    def signed(self) -> Sequence[tuple[bytes, State]]: ...
    @property
    def closes(self) -> Sequence[CloseOffer]: ...


class Court(Protocol):
    """What the judge knows of the chain."""

    @property
    def now_s(self) -> int: ...
    @property
    def registered_s(self) -> Mapping[bytes, int]: ...
    @property
    def channels(self) -> Mapping[bytes, OnChain]: ...


@dataclass(frozen=True)
class Prices:
    """What options count for: their premium until there is a price, then what they pay."""

    price: int | None

    def of(self, leg: OptionLeg) -> int:
        if self.price is None:
            return MARKS[LEGS.index(leg)] if leg in LEGS else 0
        return worth(leg, self.price) if self.price else 0

    def of_claim(self, claim: Claim) -> int:
        if claim.terms is None:
            return claim.amount
        return self.of(OptionLeg(claim.terms, claim.amount))


def prices_now(town: Town, signed: int | None) -> Prices:
    """0 once the options are void; the signed price as soon as anybody has it."""
    on_chain: PublishedPrice | None = town.chain.published.get((FEED, EXPIRY_S))
    if on_chain is not None:
        return Prices(on_chain.price)
    agreed = set().union(*(node.settled_at for node in town.network.nodes.values())) - {0}
    void = town.chain.now_s > EXPIRY_S + GRACE_S and not agreed
    return Prices(0 if void else signed)


def records_of(node: Defendant, table: type) -> list[Any]:
    """Live ones and history."""
    past = [record for (kind, _), record in node.history.items() if kind is table]
    return [*node.tables.records[table].values(), *past]


def due_by_records(
    node: Defendant, prices: Prices, *, slept: bool = False, asset: bytes | None = None
) -> int:
    """What a node's records say that it has gained since the start (in one asset), options at their prices.

    A payment under way counts as paid: its payee may take it at any time. Whoever `slept` over a deadline
    may have lost what was its own to collect, but never more than that.
    """
    gains = [
        _gain(record, prices)
        for table in (Invoice, Payment, Trade)
        for record in records_of(node, table)
        if asset is None or record.asset == asset
    ]
    return sum(min(0, gain) if slept else gain for gain in gains) + pushed_net(node, slept=slept, asset=asset)


def _gain(record: object, prices: Prices) -> int:
    match record:
        case Invoice(status=InvoiceStatus.PAID):
            return record.received
        case Payment(status=PaymentStatus.SUCCEEDED | PaymentStatus.PENDING):
            return -record.amount - record.fee
        case Trade(status=TradeStatus.BOUND, role=TradeRole.BUYER):
            return prices.of(record.leg) - record.premium - record.fee
        case Trade(status=TradeStatus.BOUND):
            return record.premium - prices.of(record.leg)
        case _:
            return 0


def fees_earned(node: Defendant) -> int:
    """What forwarding has brought, by the records."""
    return sum(
        record.fee
        for record in records_of(node, Forward)
        if isinstance(record, Forward) and record.status is ForwardStatus.FULFILLED
    )


def final_states(node: Defendant, channel: Channel) -> list[State]:
    """Every state that this channel may end in: the node answers what is older than `theirs`."""
    signed = {
        state.version: state
        for channel_id, state in node.signed
        if channel_id == channel.channel_id and state.version > channel.theirs.version
    }
    return [channel.theirs, *signed.values()]


def worst_case(court: Court, node: Defendant, prices: Prices, *, asset: bytes | None = None) -> int:
    """The least that a node can end with (in one asset), over what its peers can force from here."""
    settled = 0
    outcomes: list[list[tuple[int, list[Claim]]]] = []
    channels: list[Channel] = []
    for record in node.tables.channels():
        entry = court.channels[record.channel_id]
        if asset is not None and record.params.asset != asset:
            continue
        settled += entry.paid[record.me]
        if entry.closed:
            continue
        channels.append(record)
        over = entry.state is not None and court.now_s >= entry.expires_s
        states = [entry.state] if over and entry.state is not None else final_states(node, record)
        closes = {
            offer.net
            for offer in node.closes
            if offer.channel_id == record.channel_id
            and offer.counter == entry.deposits.counter
            and offer.until_s >= court.now_s
        }
        states += [State(0, net) for net in closes]
        outcomes.append([_split(record, state, entry.deposits.a, entry.deposits.b) for state in states])
    worst: int | None = None
    for combination in product(*outcomes):
        sure = settled
        locked: dict[bytes, list[tuple[int, int]]] = {}
        for channel, (money, claims) in zip(channels, combination, strict=True):
            sure += money
            for claim in claims:
                value = prices.of_claim(claim) * (1 if claim.payee is channel.me else -1)
                if claim.hashlock is None:
                    sure += value
                else:
                    locked.setdefault(claim.hashlock, []).append((claim.deadline_s, value))
        total = sure + sum(_least(court, node, hashlock, claims) for hashlock, claims in locked.items())
        worst = total if worst is None else min(worst, total)
    return settled if worst is None else worst


def _split(channel: Channel, state: State, deposit_a: int, deposit_b: int) -> tuple[int, list[Claim]]:
    own = (deposit_a - state.net, deposit_b + state.net)[channel.me]
    return own, list(state.claims.values())


def _least(court: Court, node: Defendant, hashlock: bytes, claims: Iterable[tuple[int, int]]) -> int:
    """The least that claims (deadline, value) under one hash can bring, over the times of registration."""
    claims = list(claims)
    seen_s = court.registered_s.get(hashlock)
    now_s = court.now_s
    if seen_s is not None:
        times = [seen_s]
    elif hashlock in node.tables.records[Secret]:
        times = [now_s]  # it registers at once, whatever the others do
    elif _is_private(node, hashlock):
        return 0
    else:
        times = [deadline_s for deadline_s, _ in claims if deadline_s >= now_s]
    values = [sum(value for deadline_s, value in claims if at_s <= deadline_s) for at_s in times]
    unregistered = seen_s is None and hashlock not in node.tables.records[Secret]
    return min([*values, 0]) if unregistered else min(values)


def _is_private(node: Defendant, hashlock: bytes) -> bool:
    """Whether nobody but this node can know the secret: it made it and has not released it."""
    invoice = node.tables.records[Invoice].get(hashlock)
    trade = node.tables.records[Trade].get(hashlock)
    buys = isinstance(trade, Trade) and trade.role is TradeRole.BUYER
    return invoice is not None or buys
