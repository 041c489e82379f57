"""A chain in a few lines: registries that confirm late, and the adjudicator's arithmetic written anew."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256

from channeld.core.channel import Channel, Deposits
from channeld.core.claims import Claim, GroupKey, Side, State
from channeld.core.effects import (
    Effect,
    PublishPrice,
    RegisterSecret,
    SubmitChallenge,
    SubmitClose,
    SubmitResponse,
    SubmitSettlement,
)
from channeld.core.events import ChallengeSeen, CloseSeen, Event, PartialSettlementSeen, SecretSeen
from channeld.core.payoff import group_payout
from channeld.core.solvency import worst_case
from channeld.core.world import PublishedPrice
from channeld.wire.eip712 import claims_hash, state_digest
from tests.core.network import Network, Node, signature

PERIOD_S = 3_600


@dataclass
class OnChain:
    """What the adjudicator holds of one channel; `state` is None until somebody challenges."""

    deposits: Deposits
    state: State | None = None
    expires_s: int = 0
    paid: tuple[int, int] = (0, 0)
    closed: bool = False

    def pay(self, to_a: int, to_b: int) -> None:
        self.paid = (self.paid[0] + to_a, self.paid[1] + to_b)


@dataclass
class Chain:
    """Mines what the nodes ask for at once; each node hears of it its own `lag_s` later, unless asleep."""

    network: Network
    now_s: int
    lag_s: dict[str, int] = field(default_factory=dict)
    asleep: set[str] = field(default_factory=set)
    channels: dict[bytes, OnChain] = field(default_factory=dict)
    registered_s: dict[bytes, int] = field(default_factory=dict)
    published: dict[tuple[bytes, int], PublishedPrice] = field(default_factory=dict)
    _log: list[tuple[int, object]] = field(default_factory=list)
    _heard: dict[str, int] = field(default_factory=dict)
    _served: dict[str, int] = field(default_factory=dict)

    def opened(self, channel_id: bytes, deposits: Deposits) -> None:
        self.channels[channel_id] = OnChain(deposits)

    def work(self) -> None:
        """Do what the nodes asked for, and let them hear what is confirmed, until nothing is new."""
        busy = True
        while busy:
            busy = False
            for node in self.network.nodes.values():
                start = self._served.get(node.name, 0)
                self._served[node.name] = len(node.effects)
                for effect in node.effects[start:]:
                    self.submit(node, effect)
                busy |= self._tell(node)

    def crashed(self, node: Node) -> None:
        """A node dies; what it asked for and was not mined yet is lost."""
        self.asleep.add(node.name)
        self._served[node.name] = len(node.effects)

    def submit(self, node: Node, effect: Effect) -> None:
        """One transaction; what the contract would refuse is refused silently."""
        match effect:
            case RegisterSecret(preimage, _):
                self.register(preimage)
            case PublishPrice(price):
                self.publish(price.feed, price.expiry_s, price.price)
            case SubmitChallenge(channel_id, state, theirs):
                self._require_signed(node, channel_id, state, theirs)
                self.challenge(channel_id, state)
            case SubmitResponse(channel_id, state, theirs):
                self._require_signed(node, channel_id, state, theirs)
                self.respond(channel_id, state)
            case SubmitSettlement(channel_id, state, _):
                self.settle(channel_id, state)
            case SubmitClose(channel_id, net, until_s, _):
                self.close(channel_id, net, until_s)
            case _:
                pass

    def _require_signed(self, node: Node, channel_id: bytes, state: State, theirs: bytes) -> None:
        peer = node.channel(channel_id).counterparty
        signed = theirs == signature(peer, state_digest(bytes(32), channel_id, state))
        assert signed or state.version == 0, "no contract would take this signature"

    def register(self, preimage: bytes) -> None:
        hashlock = sha256(preimage).digest()
        if hashlock not in self.registered_s:
            self.registered_s[hashlock] = self.now_s
            self._log.append((self.now_s, preimage))

    def publish(self, feed: bytes, expiry_s: int, price: int) -> None:
        if (feed, expiry_s) not in self.published and self.now_s >= expiry_s and feed[31]:
            self.published[feed, expiry_s] = PublishedPrice(price, self.now_s)
            self._log.append((self.now_s, (feed, expiry_s)))

    def challenge(self, channel_id: bytes, state: State) -> None:
        entry = self.channels[channel_id]
        if entry.closed or entry.state is not None:
            return
        entry.expires_s = self.now_s + PERIOD_S
        self._stand(channel_id, entry, state)

    def respond(self, channel_id: bytes, state: State) -> None:
        entry = self.channels[channel_id]
        if entry.closed or entry.state is None or self.now_s >= entry.expires_s:
            return
        if state.version > entry.state.version:
            self._stand(channel_id, entry, state)

    def _stand(self, channel_id: bytes, entry: OnChain, state: State) -> None:
        entry.state = state
        hashed = claims_hash(state.claims.values())
        seen = ChallengeSeen(channel_id, state.version, state.net, hashed, bytes(32), entry.expires_s)
        self._log.append((self.now_s, seen))

    def close(self, channel_id: bytes, net: int, until_s: int) -> None:
        entry = self.channels[channel_id]
        if entry.closed or self.now_s > until_s:
            return
        pot = entry.deposits.a + entry.deposits.b
        to_a = max(0, min(entry.deposits.a - net, pot))
        entry.pay(to_a, pot - to_a)
        self._bury(channel_id, entry)

    def settle(self, channel_id: bytes, shown: State) -> None:
        """As `settle_claims` of the contract; what is shown must be what stands there."""
        entry = self.channels[channel_id]
        state = entry.state
        if entry.closed or state is None or self.now_s < entry.expires_s:
            return
        if (shown.net, claims_hash(shown.claims.values())) != (state.net, claims_hash(state.claims.values())):
            return
        pending = [claim for claim in state.claims.values() if self._is_pending(claim)]
        waiting = {claim.claim_id for claim in pending}
        due = [claim for claim in state.claims.values() if claim.claim_id not in waiting]
        base = entry.deposits.a - state.net + self._worth_to_a(due)
        pot = entry.deposits.a + entry.deposits.b
        if not pending:
            to_a = max(0, min(base, pot))
            entry.pay(to_a, pot - to_a)
            self._bury(channel_id, entry)
            return
        need_a, need_b = worst_case(pending)
        to_a = max(0, min(base - need_a, pot))
        to_b = max(0, min(pot - base - need_b, pot))
        if not due and to_a + to_b == 0:
            return
        left = pot - to_a - to_b
        entry.pay(to_a, to_b)
        entry.deposits = Deposits(left, 0, entry.deposits.counter + 1)
        rest = {claim.claim_id: claim for claim in pending}
        entry.state = replace(state, net=left + to_a - base, claims=rest)
        seen = PartialSettlementSeen(channel_id, entry.state.net, claims_hash(pending), self.now_s)
        self._log.append((self.now_s, seen))

    def _bury(self, channel_id: bytes, entry: OnChain) -> None:
        entry.closed = True
        self._log.append((self.now_s, CloseSeen(channel_id)))

    def _is_pending(self, claim: Claim) -> bool:
        if claim.hashlock is not None and claim.hashlock not in self.registered_s:
            if self.now_s > claim.deadline_s:
                return False
            return claim.terms is None or claim.deadline_s <= claim.terms.expiry_s
        if claim.hashlock is not None and self.registered_s[claim.hashlock] > claim.deadline_s:
            return False
        if claim.terms is None:
            return False
        priced = (claim.terms.feed, claim.terms.expiry_s) in self.published
        last_s = claim.terms.expiry_s + claim.terms.grace_s
        return self.now_s <= last_s and not (priced and self.now_s > claim.terms.expiry_s)

    def _worth_to_a(self, due: Iterable[Claim]) -> int:
        total = 0
        groups: dict[GroupKey, list[Claim]] = {}
        for claim in due:
            if claim.hashlock is not None:
                seen_s = self.registered_s.get(claim.hashlock)
                if seen_s is None or seen_s > claim.deadline_s:
                    continue
            if claim.terms is None:
                total += -claim.amount if claim.payer is Side.A else claim.amount
            else:
                groups.setdefault(claim.terms.group, []).append(claim.unlocked())
        for key, claims in groups.items():
            entry = self.published.get((key.feed, key.expiry_s))
            grace_s = key.feed[31] * 3600
            if entry is not None and entry.published_s <= key.expiry_s + grace_s:
                total += group_payout(claims, entry.price)
        return total

    def _tell(self, node: Node) -> bool:
        if node.name in self.asleep:
            return False
        confirmed_s = self.now_s - self.lag_s.get(node.name, 0)
        at = self._heard.get(node.name, 0)
        heard = at
        while at < len(self._log) and self._log[at][0] <= confirmed_s:
            self._hear(node, *self._log[at])
            at += 1
        self._heard[node.name] = at
        node.tables.confirmed_s = max(node.tables.confirmed_s, confirmed_s)
        return at > heard

    def _hear(self, node: Node, at_s: int, entry: object) -> None:
        assert isinstance(node.tables.registered_s, dict) and isinstance(node.tables.published, dict)
        if isinstance(entry, bytes):
            hashlock = sha256(entry).digest()
            node.tables.registered_s[hashlock] = at_s
            if node.tables.refs_of_hash.get(hashlock):
                node.happen(SecretSeen(entry))
        elif isinstance(entry, tuple):
            node.tables.published[entry] = self.published[entry]
        else:
            assert isinstance(entry, ChallengeSeen | CloseSeen | PartialSettlementSeen)
            event: Event = entry
            if entry.channel_id in node.tables.records[Channel]:
                node.happen(event)
