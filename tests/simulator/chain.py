"""A chain with blocks, a mempool and reorganisations, under the adjudicator's executable model.

Transactions of one sender are mined in the order of their nonces, those of different senders in any.
A reorganisation takes the last blocks back and mines others in their slots: its transactions move, some
of them by blocks.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from channeld.adapters.chain import events as chain_events
from channeld.adapters.chain.events import AdjudicatorEvent
from channeld.adapters.chain.slots import ChannelSlot, ChannelStatus
from channeld.core.claims import Claim
from channeld.core.identity import ChannelParams
from channeld.wire.eip712 import claim_words, domain_separator, keccak
from tests.contracts.model.books import CLOSED, NONE, Books, Habits, Params, Refused
from tests.contracts.model.calls import Call
from tests.contracts.model.law import execute
from tests.contracts.model.registries import feed_id
from tests.contracts.valuation import read_list
from tests.dice import Dice

CHAIN_ID = 31_337
COURT = keccak(b"the adjudicator")[:20]
DOMAIN = domain_separator(CHAIN_ID, COURT)
SLOT_S = 12
PURSE = 10**9
"""What everybody begins with of each asset."""


@dataclass(eq=False)
class Transaction:
    """`ready_ms`: from when on what it pays is enough for the price of gas."""

    sender: bytes
    nonce: int
    call: Call
    sent_ms: int
    ready_ms: int
    block: "Block | None" = None
    outcome: Refused | None = None


@dataclass(eq=False)
class Block:
    number: int
    hash: bytes
    time_s: int
    before: Any
    transactions: list[Transaction] = field(default_factory=list)
    events: list[AdjudicatorEvent] = field(default_factory=list)


@dataclass
class Chain:
    """`fired` counts what happened here; `lists` are the claims behind every hash that was signed."""

    dice: Dice
    start_s: int
    tokens: tuple[bytes, ...]
    fired: Counter[str]
    blocks: list[Block] = field(default_factory=list)
    mempool: list[Transaction] = field(default_factory=list)
    lists: dict[bytes, tuple[Claim, ...]] = field(default_factory=dict)
    params: dict[bytes, Params] = field(default_factory=dict)
    spike_until_ms: int = 0
    forks: int = 0

    def __post_init__(self) -> None:
        self.books = Books(COURT, DOMAIN, self.start_s)
        self.books.execute = execute
        for token in self.tokens:
            self.books.habits[token] = Habits("plain")
        self.blocks.append(Block(0, keccak(b"genesis"), self.start_s, self.books.save()))

    @property
    def head(self) -> Block:
        return self.blocks[-1]

    def endow(self, owner: bytes) -> None:
        for asset in (bytes(20), *self.tokens):
            self.books.balances[asset, owner] = PURSE

    def submit(self, transaction: Transaction) -> None:
        transaction.ready_ms = max(transaction.ready_ms, self.spike_until_ms)
        self.mempool.append(transaction)

    def refusal(self, sender: bytes, call: Call) -> Refused | None:
        """What an estimate on the newest block says."""
        books, fired = self.books, self.books.fired
        saved, books.fired = books.save(), Counter()
        books.now_s, books.salt = self.head.time_s, self.head.hash
        try:
            execute(books, sender, call)
        except Refused as refused:
            return refused
        finally:
            books.restore(saved)
            books.fired = fired
        return None

    def mine(self, time_s: int, now_ms: int) -> Block:
        """The next block, with what is ready for it."""
        parent = self.head
        self.forks += 1
        block = Block(parent.number + 1, keccak(b"%d %d" % (self.forks, time_s)), time_s, self.books.save())
        self.books.now_s, self.books.salt = time_s, parent.hash
        waiting: dict[bytes, list[Transaction]] = {}
        for transaction in sorted(self.mempool, key=lambda each: each.nonce):
            waiting.setdefault(transaction.sender, []).append(transaction)
        while waiting:
            sender = self.dice.pick(list(waiting))
            first = waiting[sender][0]
            if first.ready_ms > now_ms or first.sent_ms > time_s * 1000:
                del waiting[sender]
                continue
            waiting[sender].pop(0)
            if not waiting[sender]:
                del waiting[sender]
            self._include(block, first)
        self.blocks.append(block)
        return block

    def reorganise(self, depth: int, now_ms: int) -> None:
        """Take the last `depth` blocks back, and mine others in their places."""
        undone = self.blocks[-depth:]
        del self.blocks[-depth:]
        self.books.restore(undone[0].before)
        for block in undone:
            for transaction in block.transactions:
                transaction.block = transaction.outcome = None
                if self.dice.one_in(3):  # thrown out; its sender says it again soon
                    transaction.ready_ms = now_ms + 1000 * self.dice.below(SLOT_S)
                self.mempool.append(transaction)
        for block in undone:
            self.mine(block.time_s, block.time_s * 1000)
        self.fired["reorganisation"] += 1
        self.fired[f"reorganisation of {depth}"] += 1

    # --- executing ------------------------------------------------------------------------------------

    def _include(self, block: Block, transaction: Transaction) -> None:
        self.mempool.remove(transaction)
        block.transactions.append(transaction)
        transaction.block = block
        call, books = transaction.call, self.books
        first = call.args[0]
        identity = first.id(DOMAIN) if isinstance(first, Params) else b""
        if isinstance(first, Params):
            self.params[identity] = first
        before = books.channels.get(identity)
        old_claims = books.disputes[identity].claims if identity in books.disputes else bytes(32)
        known_price = len(books.registries.prices)
        try:
            execute(books, transaction.sender, call)
        except Refused as refused:
            transaction.outcome = refused
            self.fired[f"reverted {call.name}"] += 1
            return
        self.fired[f"mined {call.name}"] += 1
        status = NONE if before is None else before.status
        match call.name:
            case "register_secret":
                block.events.append(chain_events.SecretsRegistered((call.args[0],)))
            case "publish_price":
                if len(books.registries.prices) > known_price:
                    instant = call.args[1].to_bytes(32, "big")
                    key = keccak(feed_id(call.args[0]) + instant)
                    block.events.append(chain_events.PricePublished(key, call.args[2]))
            case _:
                block.events.append(self._channel_event(call, identity, status, old_claims))

    def _channel_event(self, call: Call, identity: bytes, status: int, old_claims: bytes) -> AdjudicatorEvent:
        channel = self.books.channels[identity]
        if channel.status == CLOSED:
            return chain_events.ChannelClosed(identity, 0, 0)
        if call.name == "deposit":
            if status == NONE:
                return chain_events.ChannelOpened(
                    identity, as_core(call.args[0]), bool(call.args[1]), call.args[2]
                )
            slot = ChannelSlot(
                channel.a, channel.b, channel.expiry_s, ChannelStatus(channel.status), channel.counter
            )
            return chain_events.Deposited(identity, slot)
        standing = self.books.disputes[identity]
        if call.name in ("challenge", "respond"):
            return chain_events.Challenged(
                identity, standing.version, standing.net, standing.claims, standing.salt
            )
        assert call.name == "settle_claims", f"{call.name} left the channel open"
        left = [listed.words for listed in read_list(self.books.lists[standing.claims])]
        claims = [claim for claim in self.lists[old_claims] if claim_words(claim) in left]
        assert len(claims) == len(left), "what is left must be of what stood there"
        self.lists[standing.claims] = tuple(claims)
        self.fired["settled in part"] += 1
        return chain_events.PartiallySettled(identity, 0, 0, standing.net, standing.claims)


def as_core(params: Params) -> ChannelParams:
    return ChannelParams(params.a, params.b, params.asset, params.period_s, params.config % 2**216)


def as_model(params: ChannelParams) -> Params:
    return Params(params.a, params.b, params.asset, params.config)
