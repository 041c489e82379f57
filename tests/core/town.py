"""Alice, bob and carol with a chain between them: what they can do, and time that passes."""

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise

from channeld.core.channel import Channel, Deposits
from channeld.core.claims import Claim, OptionTerms, PayoffKind
from channeld.core.draft import HubPolicy
from channeld.core.errors import Rejected
from channeld.core.events import (
    CloseRequested,
    Event,
    InvoiceCreated,
    OptionRequested,
    PaymentRequested,
    PriceLearnt,
    QuoteGiven,
)
from channeld.core.messages import Deliver, ForwardTo, Instruction, WriteOption
from channeld.core.payoff import group_payout
from channeld.core.records import Invoice, OptionLeg, Quote, SignedPriceRecord
from channeld.wire.packet import encode_instruction
from tests.core.chain import Chain
from tests.core.network import T0_S, Network, Node

ETH = bytes(20)
GRACE_S = 3_600
FEED = bytes(31) + b"\x01"
EXPIRY_S = T0_S + 7_200
PRICE = 4_200 * 10**8
STALLED_S = 60
"""Transports ping: a connection that carries nothing for so long is dropped."""

LIFE_S = 600
"""From offering a claim to its deadline."""


def terms(kind: PayoffKind, strike: int, bound: int) -> OptionTerms:
    return OptionTerms(kind, FEED, EXPIRY_S, strike * 10**8, bound * 10**8)


LEGS = (
    OptionLeg(terms(PayoffKind.CALL, 4_000, 4_300), 2),
    OptionLeg(terms(PayoffKind.PUT, 4_500, 4_100), 1),
    OptionLeg(terms(PayoffKind.DIGITAL_CALL, 4_200, 0), 150),
    OptionLeg(terms(PayoffKind.DIGITAL_PUT, 4_200, 0), 150),
)
"""Options that are worth whole units at whole prices: 400, 300, 150 and 0 at the price above."""

MARKS = (70, 45, 80, 60)
"""What each costs, and for what it stands in the judge's books until there is a price."""


def worth(leg: OptionLeg, price: int) -> int:
    """What the holder of an option gets at a price, in the asset's smallest unit."""
    return group_payout([Claim(1, leg.size, None, 0, leg.terms)], price)


@dataclass
class Town:
    """`path` is a row of neighbours; every two of them share a channel. Fees are base fees only."""

    path: tuple[str, ...]
    deposit: int = 3_000
    fees: dict[str, int] = field(default_factory=dict)
    skew_s: dict[str, int] = field(default_factory=dict)
    lag_s: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        policies = {name: HubPolicy(base_fee=fee) for name, fee in self.fees.items()}
        self.network = Network(*self.path, **policies)
        self.chain = Chain(self.network, T0_S, self.lag_s)
        self.links: dict[frozenset[str], bytes] = {}
        for one, other in pairwise(self.path):
            channel_id = self.network.open(one, other, self.deposit, self.deposit)
            self.links[frozenset((one, other))] = channel_id
            self.chain.opened(channel_id, Deposits(self.deposit, self.deposit))
        for name, node in self.network.nodes.items():
            node.tables.now_s = T0_S + self.skew_s.get(name, 0)

    def __getitem__(self, name: str) -> Node:
        return self.network[name]

    def channel_id(self, one: str, other: str) -> bytes:
        return self.links[frozenset((one, other))]

    def awake(self) -> list[Node]:
        return [node for node in self.network.nodes.values() if node.name not in self.chain.asleep]

    def ask(self, name: str, event: Event) -> bool:
        """What a caller wants of its own node; False if the node says no."""
        try:
            self[name].happen(event)
        except Rejected:
            return False
        return True

    # --- payments and trades ------------------------------------------------------------------------

    def route(self, source: str, target: str) -> list[str]:
        start, end = self.path.index(source), self.path.index(target)
        step = 1 if end > start else -1
        return [self.path[at] for at in range(start, end + step, step)]

    def pay(self, source: str, target: str, amount: int, *, spoil: str = "") -> bool:
        """An invoice and its payment. `spoil`: "hash", "secret" or "fee" makes somebody refuse it."""
        self.count += 1
        preimage = sha256(f"invoice {self.count}".encode()).digest()
        hashlock = sha256(preimage).digest()
        payment_secret = bytes([7]) * 32
        now_s = self[target].tables.now_s
        if spoil != "hash":
            bill = Invoice(hashlock, preimage, payment_secret, ETH, amount, "", now_s, now_s + 3_600)
            self[target].happen(InvoiceCreated(bill))
        last = Deliver(bytes(32) if spoil == "secret" else payment_secret, amount)
        packet, fee, first = self._packet(source, target, amount, last, None)
        fee = 0 if spoil == "fee" else fee
        deadline_s = self[source].tables.now_s + LIFE_S
        request = PaymentRequested(
            hashlock, self[target].node_id, ETH, amount, fee, first, deadline_s, packet, "", now_s
        )
        return self.ask(source, request)

    def buy(self, source: str, target: str, number: int) -> bool:
        """A quote for one of LEGS, and the trade."""
        self.count += 1
        leg, premium = LEGS[number], MARKS[number]
        now_s = self[target].tables.now_s
        quote = Quote(self.count.to_bytes(16, "big"), leg, ETH, premium, now_s + 60, self[source].node_id)
        self[target].happen(QuoteGiven(quote))
        preimage = sha256(f"trade {self.count}".encode()).digest()
        packet, fee, first = self._packet(source, target, premium, WriteOption(quote.quote_id), leg)
        deadline_s = self[source].tables.now_s + LIFE_S
        request = OptionRequested(
            preimage,
            sha256(preimage).digest(),
            leg,
            ETH,
            premium,
            fee,
            self[target].node_id,
            first,
            deadline_s,
            packet,
            now_s,
        )
        return self.ask(source, request)

    def _packet(
        self, source: str, target: str, amount: int, last: Instruction, leg: OptionLeg | None
    ) -> tuple[bytes, int, bytes]:
        """The packet for the first hop, the fees of all, and the first channel."""
        route = self.route(source, target)
        deadline_s = self[source].tables.now_s + LIFE_S
        packet, owed = encode_instruction(last), amount
        for hub, onward in reversed(list(pairwise(route[1:]))):
            order = ForwardTo(self.channel_id(hub, onward), owed, deadline_s, packet, leg)
            packet = encode_instruction(order)
            owed += self.fees.get(hub, 0)
        return packet, owed - amount, self.channel_id(route[0], route[1])

    # --- links, crashes, time -----------------------------------------------------------------------

    def drop(self, one: str, other: str) -> None:
        self.network.disconnect(one, other)

    def reconnect(self, one: str, other: str) -> None:
        self.network.up.add(frozenset((one, other)))
        self.network.hello(one, other)

    def crash(self, name: str) -> None:
        """The process dies; its peers notice, it does not."""
        self.chain.crashed(self[name])
        for link in [link for link in self.network.up if name in link]:
            (peer,) = link - {name}
            self.network.up.discard(link)
            for node in (self[name], self[peer]):
                node.outbox.clear() if node.name == name else node.forget(self[name].node_id)
            self[peer].lost(self[name])

    def revive(self, name: str) -> None:
        """It starts again with what is durable, and hears what the chain has confirmed meanwhile."""
        self.chain.asleep.discard(name)
        self[name].tables.now_s = self.chain.now_s + self.skew_s.get(name, 0)
        self[name].restart()

    def learn_price(self, name: str, price: int = PRICE) -> None:
        self[name].happen(PriceLearnt(SignedPriceRecord(FEED, EXPIRY_S, price, ())))

    def pass_time(self, seconds: int) -> None:
        """Second by second, as far as anybody would notice: no timer rings late, and a link on which
        something is stuck for a minute is given up."""
        if seconds >= STALLED_S:
            for link in [link for link in self.network.up if self._is_stuck(link)]:
                self.drop(*sorted(link))
        end_s = self.chain.now_s + seconds
        while self.chain.now_s < end_s:
            due_s = [at_s - self.skew_s.get(node.name, 0) for node in self.awake() for at_s, _ in node.timers]
            self.chain.now_s = min([end_s, *(at_s for at_s in due_s if at_s > self.chain.now_s)])
            for node in self.awake():
                node.tables.now_s = self.chain.now_s + self.skew_s.get(node.name, 0)
            self.catch_up()

    def _is_stuck(self, link: frozenset[str]) -> bool:
        ids = {self[name].node_id for name in link}
        return any(peer_id in ids for name in link for peer_id, _ in self[name].outbox)

    def catch_up(self) -> None:
        """The chain serves everybody and every timer that is due rings, until all is quiet."""
        for _ in range(200):
            self.chain.work()
            if sum(node.ring() for node in self.awake()) == 0:
                return
        raise AssertionError("timers never come to rest")

    def leave(self, name: str, link: frozenset[str], *, unilateral: bool) -> bool:
        """Ask to close a channel; whoever wants to leave together waits for the other one."""
        if not unilateral and not self.chain.asleep & link:
            if link not in self.network.up:
                self.reconnect(*sorted(link))
            self.deliver_all()
        return self.ask(name, CloseRequested(self.links[link], unilateral))

    def deliver_all(self) -> None:
        self.network.run()
        self.catch_up()

    def wealth(self, name: str) -> int:
        """What a node has in all channels, on chain and off, if every open claim died."""
        total = 0
        for link, channel_id in self.links.items():
            if name not in link:
                continue
            record = self[name].tables.records[Channel][channel_id]
            assert isinstance(record, Channel)
            entry = self.chain.channels[channel_id]
            total += entry.paid[record.me]
            if not entry.closed:
                net = record.theirs.net if entry.state is None else entry.state.net
                total += (entry.deposits.a - net, entry.deposits.b + net)[record.me]
        return total
