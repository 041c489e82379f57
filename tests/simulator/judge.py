"""What must hold for every honest node after each step, and what must have become of it in the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from channeld.adapters.signer import verify
from channeld.core.channel import Ack, Channel, Deposits, Phase, Update, is_gone
from channeld.core.claims import State
from channeld.core.draft import open_claims
from channeld.core.effects import Effect, SendClose, SendSigned
from channeld.core.errors import PeerViolation
from channeld.core.messages import CloseOffer
from channeld.core.records import (
    ClaimRef,
    Dispute,
    Forward,
    ForwardStatus,
    Invoice,
    InvoiceStatus,
    Payment,
    Secret,
    Trade,
    TradeRole,
    TradeStatus,
)
from channeld.core.solvency import require_solvent
from channeld.core.world import registered_in_time
from channeld.daemon.views import channel_note
from channeld.wire.eip712 import state_digest
from channeld.wire.records import RECORD_KINDS, decode_record, encode_record
from tests.contracts.model.books import CLOSED
from tests.core.books import due_by_records, fees_earned, worst_case
from tests.core.chain import OnChain
from tests.simulator.chain import DOMAIN, PURSE
from tests.simulator.market import FEED_ID, Prices

if TYPE_CHECKING:
    from tests.simulator.life import Life
    from tests.simulator.node import SimulatedNode

GRACE_S = 3_600
MANY = 2**32
"""Versions that no life comes to; they are finite, and must not be used up by one who leaps."""

EVERY = 16
"""A turn in so many is compared with the whole journal."""


@dataclass
class Court:
    """The chain at its newest block, as the judge of the core reads it."""

    now_s: int = 0
    registered_s: Mapping[bytes, int] = field(default_factory=dict)
    channels: dict[bytes, OnChain] = field(default_factory=dict)


class Judge:
    def __init__(self, life: "Life") -> None:
        self._life = life
        self.court = Court()
        self._contents: dict[tuple[str, bytes, int], object] = {}
        self._read: dict[str, int] = {}
        self._solvent: dict[tuple[str, bytes], tuple[State, State, Deposits]] = {}
        self._writes: dict[str, int] = {}
        self._confirmed_s: dict[str, int] = {}
        self._turns = 0

    # --- before anything leaves -----------------------------------------------------------------------

    def leaves(self, node: "SimulatedNode", effect: Effect) -> None:
        """R11: a crash right now forgets nothing of what is about to be seen."""
        match effect:
            case SendSigned(_, message, state):
                stored = self._stored(node, message.channel_id)
                assert isinstance(message, Update | Ack)
                held = state in (stored.mine, stored.theirs) or stored.mine.version > state.version
                self._require(held, node, f"signs version {state.version}, which a crash would forget")
            case SendClose(_, CloseOffer(channel_id, _, _, until_s)):
                stored = self._stored(node, channel_id)
                self._require(
                    stored.close_until_s >= until_s or stored.phase is Phase.CLOSED,
                    node,
                    "signs a close which a crash would forget",
                )
            case _:
                pass

    def _stored(self, node: "SimulatedNode", channel_id: bytes) -> Channel:
        value = node.journal.get("channel", channel_id)
        assert value is not None
        record = decode_record("channel", value)
        assert isinstance(record, Channel)
        return record

    # --- after each turn ------------------------------------------------------------------------------

    def look(self, node: "SimulatedNode") -> None:
        # Also of one that dies in this turn: what it has made durable it did because of what it had seen.
        self._confirmed_s[node.name] = max(self._confirmed_s.get(node.name, 0), node.tables.confirmed_s)
        if node.doomed or self._writes.get(node.name) == node.journal.writes:
            return  # nothing that it holds has changed
        self._writes[node.name] = node.journal.writes
        self._turns += 1
        if self._turns % EVERY == 0:
            self._nothing_is_in_memory_alone(node)
            self._what_is_owed_is_looked_at(node)
        self._one_content_a_version(node)
        self._enforceable_states_are_solvent(node)
        self._answers_were_final(node)
        self._nobody_can_rob(node)

    def new_block(self) -> None:
        chain = self._life.chain
        self.court.now_s = chain.head.time_s
        self.court.registered_s = chain.books.registries.secrets
        for identity in chain.params:
            channel = chain.books.channels.get(identity)
            if channel is None:
                self.court.channels.pop(identity, None)
                continue
            state = None
            standing = chain.books.disputes.get(identity)
            if standing is not None:
                claims = chain.lists.get(standing.claims, ())
                state = State(standing.version, standing.net, {claim.claim_id: claim for claim in claims})
            self.court.channels[identity] = OnChain(
                Deposits(channel.a, channel.b, channel.counter),
                state,
                channel.expiry_s,
                closed=channel.status == CLOSED,
            )
        if chain.head.transactions or chain.head.number % 8 == 0:
            for node in self._life.honest():
                if node.alive and not node.doomed:
                    self._nobody_can_rob(node)

    def _require(self, holds: bool, node: "SimulatedNode", what: str) -> None:
        if not holds:
            self._life.fail(f"{node.name} {what}")

    def _nothing_is_in_memory_alone(self, node: "SimulatedNode") -> None:
        stored = {(kind, key): value for kind in RECORD_KINDS for key, value in node.journal.load(kind)}
        for table in node.tables.records.values():
            for record in table.values():
                kind, key, value = encode_record(record)
                self._require(stored.pop((kind, key), None) == value, node, f"holds a {kind} in memory alone")
        self._require(not stored, node, f"has records on disk that it has forgotten: {list(stored)[:3]}")

    def _what_is_owed_is_looked_at(self, node: "SimulatedNode") -> None:
        """When its deadline is over, or whoever offered it to us would wait for ever."""
        for channel in node.tables.channels():
            for claim in open_claims(channel) if channel.phase.signs_states else ():
                ref = ClaimRef(channel.channel_id, claim.claim_id)
                owed = claim.payer is channel.me and claim.deadline_s > node.tables.now_s
                if not owed or claim.hashlock is None:
                    continue
                known = registered_in_time(node.tables, claim.hashlock, claim.deadline_s)
                timed = known or ref in node.engine._timers._due
                self._require(timed, node, f"has forgotten to look at claim {claim.claim_id}")

    def _one_content_a_version(self, node: "SimulatedNode") -> None:
        for channel_id, state in node.signed[self._read.get(node.name, 0) :]:
            content = (state.net, tuple(state.claims.values()), state.last_ids)
            known = self._contents.setdefault((node.name, channel_id, state.version), content)
            if known != content and not node.forgetful:
                self._life.fail(f"{node.name} signed two contents of version {state.version}")
        self._read[node.name] = len(node.signed)

    def _enforceable_states_are_solvent(self, node: "SimulatedNode") -> None:
        for channel in node.tables.channels():
            key = (node.name, channel.channel_id)
            now = (channel.mine, channel.theirs, channel.deposits)
            known = self._solvent.get(key)
            if known is not None and all(one is two for one, two in zip(now, known, strict=True)):
                continue
            self._solvent[key] = now
            self._is_signed(node, channel)
            for state in channel.enforceable:
                self._require(state.version < MANY, node, f"lets a version leap to {state.version}")
                try:
                    require_solvent(state, channel.deposits.a, channel.deposits.b)
                except PeerViolation as violation:
                    self._life.fail(f"{node.name}: {violation}")

    def _is_signed(self, node: "SimulatedNode", channel: Channel) -> None:
        """What it takes for agreed it can bring to the chain."""
        state = channel.theirs
        signed = not state.version or verify(
            state_digest(DOMAIN, channel.channel_id, state), channel.their_signature, channel.counterparty
        )
        self._require(signed, node, f"believes in version {state.version}, which its peer has not signed")

    def _answers_were_final(self, node: "SimulatedNode") -> None:
        """R7: not in any state that the peer could still bring to the chain, or certainly over."""
        fresh, node.journal.fresh_history = node.journal.fresh_history, []
        for record in fresh:
            self._is_what_was_asked_for(node, record)
            if not isinstance(record, Forward):
                continue
            self._life.ledger.count("forward", record.status.name.lower())
            if record.status is not ForwardStatus.FAILED or node.forgetful:
                continue
            channel = node.channel(record.outgoing.channel_id)
            in_time = registered_in_time(node.tables, record.hashlock, record.deadline_s)
            over = self._confirmed_s[node.name] > record.deadline_s and not in_time
            signed = any(
                record.outgoing.claim_id in state.claims
                for channel_id, state in node.signed
                if channel_id == channel.channel_id and state.version > channel.theirs.version
            )
            gone = is_gone(channel, record.outgoing.claim_id) and not signed
            self._require(over or gone, node, "lets a claim go backwards before its answer is final")

    def _is_what_was_asked_for(self, node: "SimulatedNode", record: object) -> None:
        """Books that agree with the money are not enough: nobody sells below the price that it has named."""
        match record:
            case Invoice(status=InvoiceStatus.PAID):
                self._require(record.received >= record.amount, node, f"was paid too little: {record}")
            case Trade(role=TradeRole.WRITER, status=TradeStatus.BOUND):
                asked = self._life.market.marks.get(record.leg, 0)
                self._require(record.premium >= asked, node, f"writes for less than {asked}: {record}")
            case _:
                pass

    def prices(self) -> Prices:
        """What is known of each expiry: published, agreed upon, void, or as the oracles say it."""
        market, registry = self._life.market, self._life.chain.books.registries.prices
        agreed = {price for node in self._life.nodes for price in node.settled_at}
        known: dict[int, int | None] = {}
        for expiry_s in market.expiries:
            published_s, price = registry.get((FEED_ID, expiry_s), (0, 0))
            spoken_s = market.spoken_s[expiry_s]
            if price and published_s <= expiry_s + GRACE_S:
                known[expiry_s] = price
            elif self.court.now_s >= expiry_s and market.prices[expiry_s] in agreed:
                known[expiry_s] = market.prices[expiry_s]
            elif self.court.now_s > expiry_s + GRACE_S and (
                spoken_s is None or spoken_s > expiry_s + GRACE_S
            ):
                known[expiry_s] = 0
            elif spoken_s is not None and self._life.now_s >= spoken_s:
                known[expiry_s] = market.prices[expiry_s]
            else:
                known[expiry_s] = None
        return Prices(market, known)

    def _assets(self) -> tuple[bytes, ...]:
        return (bytes(20), *self._life.chain.tokens)[: self._life.plan.assets]

    def _outside(self, node: "SimulatedNode", asset: bytes) -> int:
        """What it has on the chain outside of the channels that it knows, less what it began with."""
        books = self._life.chain.books
        has = books.balance(asset, node.address) + books.credits.get((asset, node.address), 0) - PURSE
        known = node.tables.records[Channel]
        for identity, entry in self.court.channels.items():
            params = self._life.chain.params[identity]
            if identity in known or params.asset != asset or entry.closed:
                continue
            if node.address == params.a:
                has += entry.deposits.a
            elif node.address == params.b:
                has += entry.deposits.b
        return has

    def _nobody_can_rob(self, node: "SimulatedNode") -> None:
        if node.forgetful:
            return
        prices = self.prices()
        for asset in (bytes(20), *self._life.chain.tokens):
            due = due_by_records(node, prices, slept=node.slept, asset=asset)
            least = worst_case(self.court, node, prices, asset=asset) + self._outside(node, asset)
            if least < due:
                self._life.fail(f"{node.name} can be left with {least}, and its books say {due}")

    # --- in the end -----------------------------------------------------------------------------------

    def unresolved(self) -> list[str]:
        """What still waits for something, in the words that an operator reads."""
        found: list[str] = []
        for node in self._life.honest():
            if node.forgetful:
                continue
            for table in (Payment, Forward, Trade):
                found += [f"{node.name}: {record}" for record in node.tables.records[table].values()]
            found += [f"{node.name}: {node.tables.held}"] if node.tables.held else []
            refs, secrets = node.tables.refs_of_hash, node.tables.records[Secret]
            found += [f"{node.name} remembers the claims {refs}"] if refs else []
            found += [f"{node.name} remembers secrets that nothing waits for"] if secrets else []
            for channel in node.tables.channels():
                if channel.phase is Phase.CLOSED or is_at_rest(channel):
                    continue
                note = self._note(node, channel)
                what = f"{channel.phase.name} {channel.channel_id.hex()[:8]}"
                self._require(bool(note) or channel.phase is Phase.OPEN, node, f"does not say why {what}")
                found.append(f"{node.name} {what}: {note}; {channel}")
        return found

    def _note(self, node: "SimulatedNode", channel: Channel) -> str:
        dispute = node.tables.records[Dispute].get(channel.channel_id)
        online = channel.channel_id in node.tables.online
        assert dispute is None or isinstance(dispute, Dispute)
        return channel_note(channel, online, dispute, node.tables.now_s)

    def last_look(self) -> None:
        self.new_block()
        prices = self.prices()
        life = self._life
        simple = all(node.honest and not node.slept and not node.forgetful for node in life.nodes)
        for node in life.honest():
            if node.forgetful:
                continue
            gain = due = 0
            for asset in (bytes(20), *life.chain.tokens):
                shares = [self._share(each) for each in node.tables.channels() if each.params.asset == asset]
                got = self._outside(node, asset) + sum(shares)
                owed = due_by_records(node, prices, slept=node.slept, asset=asset)
                self._require(got >= owed, node, f"ends with {got}, and its books say {owed}")
                gain, due = gain + got, due + owed
            if simple:
                earned = fees_earned(node)
                self._require(gain == due + earned, node, f"ends with {gain}, not {due} + {earned}")
        if simple:
            life.ledger.count("end", "books agreed to the unit")
        life.ledger.count("end", "all is resolved")
        self._neighbours_have_seen_the_same_deposits()
        self._nothing_was_made_or_lost()

    def _neighbours_have_seen_the_same_deposits(self) -> None:
        """Or what was paid in could not be spent."""
        for node in self._life.honest():
            for channel in node.tables.channels():
                peer = self._life.by_id.get(channel.peer)
                if channel.channel_id in node.tables.online and peer is not None and peer.honest:
                    stale = (channel.announced.a, channel.announced.b) != (
                        channel.deposits.a,
                        channel.deposits.b,
                    )
                    self._require(
                        channel.phase is not Phase.OPEN or not stale, node, "counts on old deposits"
                    )

    def _share(self, channel: Channel) -> int:
        entry = self.court.channels[channel.channel_id]
        if entry.closed:
            return 0
        net = channel.theirs.net
        return (entry.deposits.a - net, entry.deposits.b + net)[channel.me]

    def _nothing_was_made_or_lost(self) -> None:
        books = self._life.chain.books
        for asset in (bytes(20), *self._life.chain.tokens):
            total = sum(amount for (of, _), amount in books.balances.items() if of == asset)
            if total != PURSE * len(self._life.nodes):
                self._life.fail(f"there are {total} of {asset.hex()} in the world")
            pots = sum(
                entry.deposits.a + entry.deposits.b
                for identity, entry in self.court.channels.items()
                if self._life.chain.params[identity].asset == asset and not entry.closed
            )
            owed = sum(amount for (of, _), amount in books.credits.items() if of == asset)
            if books.balance(asset, books.court) != pots + owed:
                self._life.fail("the adjudicator has not what it owes")


def is_at_rest(channel: Channel) -> bool:
    """Open, agreed upon, and nothing in it."""
    quiet = channel.answered and not channel.waiting and channel.phase is Phase.OPEN
    return quiet and not channel.mine.claims and not channel.theirs.claims
