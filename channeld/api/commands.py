"""What a daemon can be asked to do: the one list that the HTTP API, the CLI and the daemon agree on.

Amounts are integers in an asset's smallest unit; ids and hashes are bytes; times are unix seconds.
Every command may raise Rejected (the caller's mistake, nothing changed) or OperationalError (the
chain or a peer did not do its part; what happened so far is said).
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AssetInfo:
    """`on_chain` is our account's balance, `in_channels` what we could take home if all closed now,
    `credit` what the contract keeps for us because a payout failed. What only the chain knows is None
    while it cannot be asked."""

    address: bytes
    symbol: str
    decimals: int
    on_chain: int | None
    in_channels: int
    credit: int | None


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """`clock_trusted` is False while the chain's clock and ours disagree: no new risk is taken then.
    `chain_error` says why the chain cannot be asked; empty if it answers."""

    node_id: bytes
    address: bytes
    alias: str
    version: str
    chain_id: int
    adjudicator: bytes
    block_number: int
    block_time_s: int
    synced: bool
    clock_trusted: bool
    listen_port: int
    peers: int
    channels: int
    assets: tuple[AssetInfo, ...]
    chain_error: str = ""


@dataclass(frozen=True, slots=True)
class PeerInfo:
    node_id: bytes
    address: bytes
    alias: str
    connected: bool
    url: str
    channels: int


@dataclass(frozen=True, slots=True)
class CreditInfo:
    """What the contract keeps for us of an asset because a payout failed: a token that refused, say."""

    asset: bytes
    symbol: str
    decimals: int
    amount: int


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """`phase` is opening, open, shutting, closing, recovered, disputed or closed; `note` says in a
    sentence what the channel waits for, if it waits.

    `ours` and `theirs` are each side's balance without open claims, `locked_ours` and `locked_theirs`
    the worst case of the open claims that each side pays, `open_claims` those of any state that can
    still be enforced, `spendable` and `receivable` what could be
    paid each way now.
    """

    channel_id: bytes
    peer: bytes
    peer_alias: str
    phase: str
    online: bool
    asset: bytes
    symbol: str
    decimals: int
    deposit_ours: int
    deposit_theirs: int
    ours: int
    theirs: int
    locked_ours: int
    locked_theirs: int
    spendable: int
    receivable: int
    open_claims: int
    version: int
    challenge_period_s: int
    note: str


@dataclass(frozen=True, slots=True)
class InvoiceInfo:
    """`status` is open, paid or expired. `text` is empty in lists once it is not open."""

    hashlock: bytes
    text: str
    asset: bytes
    symbol: str
    decimals: int
    amount: int
    received: int
    description: str
    status: str
    created_s: int
    expires_s: int
    paid_s: int


@dataclass(frozen=True, slots=True)
class PaymentInfo:
    """`status` is pending, succeeded or failed; `failure` says in words why. `preimage` is the receipt."""

    hashlock: bytes
    destination: bytes
    asset: bytes
    symbol: str
    decimals: int
    amount: int
    fee: int
    status: str
    created_s: int
    preimage: bytes
    failure: str
    attempts: int
    hops: int


@dataclass(frozen=True, slots=True)
class PushInfo:
    """What became of the pushes that were asked for at once: `asked` of them, `sent` for good, `pending` not
    decided yet; `dropped` are the places (from 0) of those that were not and will not be made, `failure` says
    in words why the first was not. `stream_count` and `stream_total` are what was ever sent in the stream of
    this channel, with the last of these; 0 if none was sent."""

    channel_id: bytes
    peer: bytes
    peer_alias: str
    symbol: str
    decimals: int
    stream: bytes
    asked: int
    sent: int
    pending: int
    dropped: tuple[int, ...]
    failure: str
    stream_count: int
    stream_total: int


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """The pushes of one channel, one stream and one `direction` (sent or received): number and sum.

    `pending_count` and `pending_total`: those of ours that are asked for and neither sent nor dropped yet.
    """

    channel_id: bytes
    peer: bytes
    peer_alias: str
    direction: str
    stream: bytes
    asset: bytes
    symbol: str
    decimals: int
    count: int
    total: int
    pending_count: int
    pending_total: int
    first_s: int
    last_s: int


@dataclass(frozen=True, slots=True)
class DecodedInvoice:
    payee: bytes
    hashlock: bytes
    asset: bytes
    symbol: str
    decimals: int
    amount: int
    description: str
    created_s: int
    expires_s: int


@dataclass(frozen=True, slots=True)
class QuoteInfo:
    """An offer to write `size` contracts of `name` for `premium`, good until `accept_by_s`.

    `size` counts whole contracts in units of 10^-8 (1 contract = 100,000,000): one contract pays the
    price difference of one coin. `collateral` is the most it can pay, `fee` what hubs would take.
    """

    quote_id: bytes
    writer: bytes
    name: str
    size_e8: int
    asset: bytes
    symbol: str
    decimals: int
    premium: int
    fee: int
    collateral: int
    hops: int
    accept_by_s: int


@dataclass(frozen=True, slots=True)
class TradeInfo:
    """`status` is offered, bound or failed."""

    hashlock: bytes
    name: str
    role: str
    size_e8: int
    symbol: str
    decimals: int
    premium: int
    fee: int
    status: str
    failure: str


@dataclass(frozen=True, slots=True)
class PositionInfo:
    """One open option claim. `side` is long or short; `value` is its payoff at the settlement price if
    that is known (positive: to us), else None. `locked` is the most the payer can owe."""

    channel_id: bytes
    peer: bytes
    peer_alias: str
    claim_id: int
    name: str
    side: str
    size_e8: int
    symbol: str
    decimals: int
    locked: int
    expires_s: int
    pending: bool
    price_e8: int | None
    value: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Where to go on: pass `before` = `next_before` for the next page; None when there is none."""

    next_before: int | None


@dataclass(frozen=True, slots=True)
class PeerPage:
    """Pass `after` = `next_after` for the next page; None when there is none."""

    next_after: bytes | None


class Commands(Protocol):
    """Implemented by the daemon. Waiting commands take `timeout_s` and raise OperationalError after it;
    what was begun goes on."""

    async def info(self) -> NodeInfo: ...

    async def peers(
        self, named: str = "", after: bytes | None = None, limit: int = 100
    ) -> tuple[list[PeerInfo], PeerPage]:
        """By node id; with `named` those with this alias, or whose node id begins with these hex digits."""
        ...

    async def connect(self, address: str) -> PeerInfo:
        """`address` is node-id@host:port (the node id as 66 hex digits). Stays connected from then on."""
        ...

    async def disconnect(self, node_id: bytes) -> None: ...

    async def channels(
        self, closed: bool, begins: str = "", before: int | None = None, limit: int = 100
    ) -> tuple[list[ChannelInfo], Page]:
        """Newest first; with `begins` those whose id begins with these hex digits."""
        ...

    async def channel(self, channel_id: bytes) -> ChannelInfo: ...

    async def open_channel(
        self, peer: bytes, asset: str, amount: int, challenge_period_s: int | None, timeout_s: float
    ) -> ChannelInfo:
        """Deposit into a new channel and wait until it is open. `asset` is a symbol or 0x address."""
        ...

    async def deposit(self, channel_id: bytes, amount: int, timeout_s: float) -> ChannelInfo: ...

    async def close_channel(self, channel_id: bytes, unilateral: bool, timeout_s: float) -> ChannelInfo:
        """Cooperative: waits until the chain shows it closed. Unilateral: waits for the challenge to
        be mined; the settlement follows by itself after the window."""
        ...

    async def credits(self) -> list[CreditInfo]:
        """The configured assets of which the contract keeps something for us."""
        ...

    async def claim_credit(self, asset: str, to: bytes | None, timeout_s: float) -> CreditInfo:
        """Fetch a credit to an address (20 bytes; None: our account), wait until it is mined, and
        return what was fetched. Rejected if there is none or a claim is on its way."""
        ...

    async def create_invoice(
        self, asset: str, amount: int, description: str, expiry_s: int | None, count: int
    ) -> list[InvoiceInfo]:
        """`count` invoices at once (1 to 1,000), made durable together."""
        ...

    async def invoices(self, before: int | None, limit: int) -> tuple[list[InvoiceInfo], Page]: ...

    async def invoice(self, hashlock: bytes) -> InvoiceInfo: ...

    async def decode_invoice(self, text: str) -> DecodedInvoice: ...

    async def pay(
        self,
        invoice: str,
        amount: int | None,
        max_fee: int | None,
        timeout_s: float,
        channel_id: bytes | None = None,
    ) -> PaymentInfo:
        """Pay and wait; over the one channel of ours that is named, if one is. A payment that failed for
        good is returned with status failed, not raised; one that is still in flight after the time is
        returned as pending."""
        ...

    async def payments(
        self, before: int | None, limit: int, status: str = ""
    ) -> tuple[list[PaymentInfo], Page]:
        """With a `status`, only such; a page may then be short and yet not the last."""
        ...

    async def payment(self, hashlock: bytes) -> PaymentInfo: ...

    async def push(
        self, peer: bytes, asset: str, stream: bytes, amounts: Sequence[int], timeout_s: float
    ) -> PushInfo:
        """Pay a neighbour at once, without an invoice: pushes of these amounts, in their order. Returns when
        each was sent or dropped, or with some pending after the time. Rejected if none can be made."""
        ...

    async def streams(self, before: int | None, limit: int) -> tuple[list[StreamInfo], Page]: ...

    async def stream(self, channel_id: bytes, direction: str, stream: bytes) -> StreamInfo:
        """The totals of one stream, zeros if nothing was ever pushed in it."""
        ...

    def received(self) -> AsyncGenerator[StreamInfo, None]:
        """From now on: the totals of each stream of pushes to us, whenever they have grown. A reader that
        is slow misses steps and never the last. Close it if left early."""
        ...

    async def quote_option(
        self, name: str, size_e8: int, asset: str, writer: bytes, timeout_s: float
    ) -> QuoteInfo:
        """Ask a writer, however many hops away, for a premium. `name` as in ETH-27DEC26-4000-P or
        ETH-27DEC26-4000-C:5000 (a call's cap after the colon)."""
        ...

    async def buy_option(self, quote_id: bytes, max_premium: int | None, timeout_s: float) -> TradeInfo: ...

    async def trades(self, before: int | None, limit: int) -> tuple[list[TradeInfo], Page]: ...

    async def positions(self, before: int | None = None, limit: int = 100) -> tuple[list[PositionInfo], Page]:
        """Channel by channel; a page ends with a channel and may be longer than `limit`."""
        ...

    async def settle_options(self, channel_id: bytes | None, timeout_s: float) -> list[PositionInfo]:
        """Settle every expired option whose price is signed, with its peer, off-chain; returns what was
        settled. Rejected if there is nothing to settle."""
        ...

    async def stop(self) -> None: ...
