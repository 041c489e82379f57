"""What a node holds, and one step's view of it.

A step reads through a `Draft` and writes into it; the node's `Tables` change only when the whole
step is done. Raised therefore means that nothing changed.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from channeld.core.channel import Channel, Update, Verify
from channeld.core.claims import Claim
from channeld.core.effects import Effect
from channeld.core.in_flight import Carried, Flight, FlightLimits
from channeld.core.messages import Instruction, PushTerms
from channeld.core.operations import Add, Operation
from channeld.core.records import (
    ClaimRef,
    Dispute,
    Forward,
    Invoice,
    Payment,
    PaymentStatus,
    Quote,
    Secret,
    SignedPriceRecord,
    Stream,
    Trade,
    TradeRole,
)
from channeld.core.world import Margins, PublishedPrice

Record = Channel | Forward | Invoice | Payment | Trade | Secret | SignedPriceRecord | Dispute | Stream
R = TypeVar("R", Channel, Forward, Invoice, Payment, Trade, Secret, SignedPriceRecord, Dispute)

TABLES: tuple[type[Record], ...] = (
    Channel,
    Forward,
    Invoice,
    Payment,
    Trade,
    Secret,
    SignedPriceRecord,
    Dispute,
    Stream,
)


MAX_QUOTES = 10_000
"""Quotes given that have not lapsed, some 5 MB: far more than are answered within their seconds."""


@dataclass(frozen=True, slots=True)
class HubPolicy:
    """What we ask for carrying other people's claims, in the channel asset's smallest unit.

    Claims below `min_amount` are let go: to settle one on chain would cost more than it is worth. `limits`
    bound what may be in flight.
    """

    base_fee: int = 0
    fee_ppm: int = 0
    collateral_ppm_per_day: int = 0
    min_amount: int = 1
    limits: FlightLimits = field(default_factory=FlightLimits)


@dataclass(frozen=True, slots=True)
class PushPolicy:
    """Which pushes we want: whether any, from which amount on (smallest units), and for how many streams.

    What else a peer pushes is ours too, and is counted in the unnamed stream. `max_streams` are those of
    one channel that get a record of their own: 100,000 of them are some 20 MB on disk.
    """

    accept: bool = True
    min_amount: int = 1
    max_streams: int = 100_000


@dataclass(frozen=True, slots=True)
class HeldUpdate:
    """A batch that came at the wrong time; looked at again from `again_s` (chain's time) on."""

    update: Update
    again_s: int


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Pure functions that the core needs and the wire implements, and our own settings.

    `verify(channel id, state, signature)` and `verify_close(channel id, counter, net, until, signature)`
    check the peer's signature, `verify_copy` our own on a state that the peer gives back;
    `read_packet` may raise PeerViolation; `policy_of(asset)` is what we ask for as a hub.
    """

    verify: Verify
    verify_close: Callable[[bytes, int, int, int, bytes], bool]
    verify_own: Verify
    claims_hash: Callable[[list[Claim]], bytes]
    read_packet: Callable[[bytes], Instruction]
    policy_of: Callable[[bytes], HubPolicy]
    close_validity_s: int = 3_600
    push_policy_of: Callable[[bytes], PushPolicy] = lambda _: PushPolicy()


@dataclass(slots=True)
class Tables:
    """All live records, and the world as the chain shows it. Written to by `commit` alone.

    `registered_s` and `published` are complete up to block time `confirmed_s`: whoever feeds them sets it
    after the events of each confirmed block. While the chain's clock and ours disagree (`clock_trusted`
    is False) no new risk is taken. What follows from the records (`refs_of_hash`, `with_claims`: the channels
    that are not idle, `changed`: those that changed since somebody cleared it), belongs to a
    connection (`online`, `shutting`: the peer has said so on it, `held`: an update that came at the wrong
    time, `awaited`: where the peer has a proposal that has not come yet) or lives for seconds (`quotes`) is
    not durable. `paid` knows the hashes of payments that succeeded (history), except those of the present
    turn, which are in `just_paid` until whoever makes them durable clears it. `streams` are the totals of
    pushes (history), `just_pushed` those that have changed lately, all of this turn among them; `terms` is
    what the peer said on its connection about pushes.
    """

    margins: Margins = field(default_factory=Margins)
    now_s: int = 0
    confirmed_s: int = 0
    clock_trusted: bool = True
    registered_s: Mapping[bytes, int] = field(default_factory=dict)
    published: Mapping[tuple[bytes, int], PublishedPrice] = field(default_factory=dict)
    signed_prices: dict[tuple[bytes, int], int] = field(default_factory=dict)
    records: dict[type[Record], dict[bytes, Record]] = field(
        default_factory=lambda: {table: {} for table in TABLES}
    )
    online: set[bytes] = field(default_factory=set)
    shutting: set[bytes] = field(default_factory=set)
    held: dict[bytes, HeldUpdate] = field(default_factory=dict)
    awaited: set[bytes] = field(default_factory=set)
    channels_of: dict[bytes, set[bytes]] = field(default_factory=dict)
    refs_of_hash: dict[bytes, tuple[ClaimRef, ...]] = field(default_factory=dict)
    with_claims: dict[bytes, None] = field(default_factory=dict)
    changed: set[bytes] = field(default_factory=set)
    quotes: dict[bytes, Quote] = field(default_factory=dict)
    dirty: set[bytes] = field(default_factory=set)
    paid: Container[bytes] = frozenset()
    just_paid: set[bytes] = field(default_factory=set)
    carried: Carried = field(default_factory=Carried)
    streams: Mapping[bytes, Stream] = field(default_factory=dict)
    just_pushed: dict[bytes, Stream] = field(default_factory=dict)
    terms: dict[bytes, PushTerms] = field(default_factory=dict)

    def channels(self) -> Iterator[Channel]:
        for record in self.records[Channel].values():
            assert isinstance(record, Channel)
            yield record

    def commit(self, draft: "Draft") -> None:
        """Take over what a step changed. The caller makes it durable before any effect runs."""
        for (table, key), record in draft.changes.items():
            if record is None or is_archived(record):
                self.records[table].pop(key, None)
            else:
                self.records[table][key] = record
            if isinstance(record, Channel):
                self.channels_of.setdefault(record.counterparty, set()).add(key)
                self.changed.add(key)
                if record.theirs.claims or record.mine.claims:
                    self.with_claims[key] = None
                else:
                    self.with_claims.pop(key, None)
                if key != draft.flushed:
                    self.dirty.add(key)
            elif isinstance(record, SignedPriceRecord):
                self.signed_prices[record.feed, record.expiry_s] = record.price
            elif isinstance(record, Payment) and record.status is PaymentStatus.SUCCEEDED:
                self.just_paid.add(record.hashlock)
            elif isinstance(record, Stream):
                self.just_pushed[key] = record
        for hashlock, refs in draft.refs.items():
            if refs:
                self.refs_of_hash[hashlock] = refs
            else:
                self.refs_of_hash.pop(hashlock, None)
        if draft.carrying is not None:
            self.carried.update(draft.carrying)
        self.online |= draft.came_online
        self.shutting |= draft.shutting
        self.held.update(draft.held)
        self.terms.update(draft.terms)
        for channel_id in draft.went_offline:
            self.online.discard(channel_id)
            self.shutting.discard(channel_id)
            self.terms.pop(channel_id, None)
        for channel_id in draft.went_offline | draft.released:
            self.held.pop(channel_id, None)
        self.awaited -= draft.went_offline | draft.arrived
        self.awaited |= draft.awaited
        for quote in draft.quotes:
            self._remember(quote)
        for quote_id in draft.used_quotes:
            self.quotes.pop(quote_id, None)

    def _remember(self, quote: Quote) -> None:
        """Whoever asks gets a quote, strangers too: those that have lapsed go, and the oldest of too many."""
        self.quotes[quote.quote_id] = quote
        gone: list[bytes] = []
        for oldest in self.quotes.values():
            if oldest.accept_by_s >= self.now_s and len(self.quotes) - len(gone) <= MAX_QUOTES:
                break
            gone.append(oldest.quote_id)
        for quote_id in gone:
            del self.quotes[quote_id]

    def restore(self, records: Iterator[Record]) -> None:
        """Fill empty tables from the journal; what follows from the records is derived again."""
        draft = Draft(self)
        for record in records:
            draft.changes[type(record), record.key] = record
            if isinstance(record, Channel):
                for claim in open_claims(record):
                    if claim.hashlock is not None:
                        draft.index(claim.hashlock, ClaimRef(record.channel_id, claim.claim_id))
        for known in list(draft.changes.values()):
            for_whom = None if known is None else _carried_for(known)
            if for_whom is not None:
                _carry_again(draft, *for_whom)
        self.commit(draft)


def open_claims(channel: Channel) -> Iterator[Claim]:
    """Every claim in a state that can be enforced, and every offer that is not signed yet."""
    for state in channel.enforceable:
        yield from state.claims.values()
    for operation in channel.waiting:
        if isinstance(operation, Add):
            yield operation.claim


def _carried_for(record: Record) -> tuple[ClaimRef, ClaimRef] | None:
    """The claim that we owe and the neighbour's that it was offered for, if the record is about two such."""
    match record:
        case Forward(incoming, outgoing):
            return outgoing, incoming
        case Trade(
            role=TradeRole.WRITER, premium_claim=ClaimRef() as premium, option_claim=ClaimRef() as owed
        ):
            return owed, premium
        case _:
            return None


def _carry_again(draft: "Draft", owed: ClaimRef, incoming: ClaimRef) -> None:
    """Count a claim that we owe because of another one, if it is still open."""
    peer = draft.channel(incoming.channel_id).counterparty
    for claim in open_claims(draft.channel(owed.channel_id)):
        if claim.claim_id == owed.claim_id:
            draft.flight.take(owed, peer, claim)
            return


_BECOMES_HISTORY = (Forward, Invoice, Payment, Trade, Stream)

_UNCHANGED: Any = object()
"""Stands for what a step has not touched, where None would say that it is gone."""


def is_archived(record: Record) -> bool:
    """Whether a record is history: no longer in memory, but on disk if it `is_kept`."""
    return isinstance(record, _BECOMES_HISTORY) and record.archived


@dataclass(slots=True)
class Answers:
    """The claims of one channel that `unanswered` and `waiting` answer; good while it has just these."""

    unanswered: tuple[Operation, ...]
    waiting: tuple[Operation, ...]
    claim_ids: set[int]


class Draft:
    """One step: reads what the node holds, collects what changes and what shall be done.

    `flushed` is the channel that this step has signed all for that can be signed now.
    """

    __slots__ = (
        "answers",
        "arrived",
        "awaited",
        "came_online",
        "carrying",
        "changes",
        "effects",
        "flushed",
        "held",
        "quotes",
        "refs",
        "released",
        "shutting",
        "tables",
        "terms",
        "used_quotes",
        "went_offline",
    )

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.answers: dict[bytes, Answers] = {}
        self.carrying: Flight | None = None
        self.changes: dict[tuple[type[Record], bytes], Record | None] = {}
        self.effects: list[Effect] = []
        self.flushed = b""
        self.refs: dict[bytes, tuple[ClaimRef, ...]] = {}
        self.came_online: set[bytes] = set()
        self.went_offline: set[bytes] = set()
        self.shutting: set[bytes] = set()
        self.held: dict[bytes, HeldUpdate] = {}
        self.released: set[bytes] = set()
        self.awaited: set[bytes] = set()
        self.arrived: set[bytes] = set()
        self.terms: dict[bytes, PushTerms] = {}
        self.quotes: list[Quote] = []
        self.used_quotes: list[bytes] = []

    @property
    def world(self) -> Tables:
        return self.tables

    def get(self, table: type[R], key: bytes) -> R | None:
        """The live record of a table, as this step sees it; history is not found."""
        record = self.changes.get((table, key), _UNCHANGED)
        if record is _UNCHANGED:
            record = self.tables.records[table].get(key)
        elif record is not None and is_archived(record):
            return None
        if record is None:
            return None
        assert isinstance(record, table)
        return record

    def channel(self, channel_id: bytes) -> Channel:
        channel = self.get(Channel, channel_id)
        assert channel is not None, f"no channel {channel_id.hex()}"
        return channel

    def stream(self, key: bytes) -> Stream | None:
        """The totals of a stream of pushes, wherever they are: of this step, of late, or history."""
        changed = self.changes.get((Stream, key)) or self.tables.just_pushed.get(key)
        if changed is None:
            return self.tables.streams.get(key)
        assert isinstance(changed, Stream)
        return changed

    def terms_of(self, channel_id: bytes) -> PushTerms | None:
        """What the peer has said about pushes on the present connection."""
        return self.tables.terms.get(channel_id)

    def put(self, record: Record) -> None:
        self.changes[type(record), record.key] = record

    def emit(self, *effects: Effect) -> None:
        self.effects.extend(effects)

    def is_online(self, channel_id: bytes) -> bool:
        """Whether the channel has been re-established on the present connection."""
        if channel_id in self.came_online:
            return True
        return channel_id in self.tables.online and channel_id not in self.went_offline

    def is_shutting(self, channel_id: bytes) -> bool:
        """Whether the peer has said on the present connection that it adds no more claims."""
        if channel_id in self.shutting:
            return True
        return channel_id in self.tables.shutting and channel_id not in self.went_offline

    @property
    def flight(self) -> Flight:
        """What we carry for others."""
        if self.carrying is None:
            self.carrying = Flight(self.tables.carried)
        return self.carrying

    def refs_of(self, hashlock: bytes) -> tuple[ClaimRef, ...]:
        """Every open claim that waits for this secret (some may be gone: look them up)."""
        refs = self.refs.get(hashlock)
        return self.tables.refs_of_hash.get(hashlock, ()) if refs is None else refs

    def index(self, hashlock: bytes, ref: ClaimRef) -> None:
        """Remember that a claim waits for a secret."""
        refs = self.refs_of(hashlock)
        if ref not in refs:
            self.refs[hashlock] = (*refs, ref)

    def unindex(self, hashlock: bytes, ref: ClaimRef) -> None:
        """Forget a claim that is gone; the last one takes the secret with it."""
        refs = self.refs_of(hashlock)
        refs = () if refs == (ref,) else tuple([other for other in refs if other != ref])
        self.refs[hashlock] = refs
        if not refs and self.get(Secret, hashlock) is not None:
            self.changes[Secret, hashlock] = None
