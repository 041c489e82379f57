"""What the API is asked: one dataclass a request, its limits with their reasons, its defaults.

Ids are bytes (a node id 33, an address 20, all else 32), amounts integers in an asset's smallest unit.
"""

from dataclasses import dataclass
from typing import Annotated

from channeld.api.json_forms import MAX_SAFE, Limit
from channeld.core.claims import MAX_AMOUNT
from channeld.core.identity import MAX_CHALLENGE_PERIOD_S, MIN_CHALLENGE_PERIOD_S
from channeld.core.operations import NO_STREAM, STREAM_BYTES

# Longest wait for one answer: an hour, in which a chain that works at all mines anything.
Timeout = Annotated[float, Limit(0.01, 3_600)]
CHAIN_TIMEOUT_S = 600.0
"""Default where a transaction must be confirmed: six blocks of 12 s, with room for a full chain."""
PAYMENT_TIMEOUT_S = 60.0
"""Default where hops must answer: they do in milliseconds, or hardly ever."""

MAX_INVOICE_EXPIRY_S = 365 * 86_400
"""A day less than what payers still pay: they must remember what they paid until it has expired."""

MAX_IN_FLIGHT = 1_000
"""Payments of one stream that wait at once, over all channels: each holds some kilobytes."""

MAX_PUSHES = 10_000
"""Pushes of one request that wait at once: half a second of the fastest channel."""

NodeId = Annotated[bytes, Limit(33, 33)]
Address = Annotated[bytes, Limit(20, 20)]
Hash = Annotated[bytes, Limit(32, 32)]
StreamId = Annotated[bytes, Limit(STREAM_BYTES, STREAM_BYTES)]
Amount = Annotated[int, Limit(1, MAX_AMOUNT)]
Fee = Annotated[int, Limit(0, MAX_AMOUNT)]
Place = Annotated[int, Limit(0, MAX_SAFE)]
PageLimit = Annotated[int, Limit(1, 1_000)]
Name = Annotated[str, Limit(1, 64)]
"""A symbol, an address or an option: each has its own check behind this one."""
Text = Annotated[str, Limit(1, 4_096)]
"""An invoice or a peer's address; both are below 1,024 characters."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No fields."""


@dataclass(frozen=True, slots=True)
class Connect:
    """`address` is node-id@host:port, the node id as 66 hex digits."""

    address: Text


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The peer is not dialled any more; its channels stay."""

    node_id: NodeId


@dataclass(frozen=True, slots=True)
class ListPeers:
    """`named`: with this alias, or a node id that begins so. `after` is the `next_after` of the last page."""

    named: Annotated[str, Limit(0, 128)] = ""
    after: NodeId | None = None
    limit: PageLimit = 100


@dataclass(frozen=True, slots=True)
class ListChannels:
    """`closed`: with those that are closed. `begins`: hex digits of the id's beginning."""

    closed: bool = False
    begins: Annotated[str, Limit(0, 64)] = ""
    before: Place | None = None
    limit: PageLimit = 100


@dataclass(frozen=True, slots=True)
class GetChannel:
    """One channel."""

    channel_id: Hash


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """`asset` is a symbol or an address; no challenge period: the configured one."""

    peer: NodeId
    asset: Name
    amount: Amount
    challenge_period_s: Annotated[int, Limit(MIN_CHALLENGE_PERIOD_S, MAX_CHALLENGE_PERIOD_S)] | None = None
    timeout_s: Timeout = CHAIN_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Deposit:
    """More into our side of an open channel."""

    channel_id: Hash
    amount: Amount
    timeout_s: Timeout = CHAIN_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class CloseChannel:
    """With the peer, or alone."""

    channel_id: Hash
    unilateral: bool = False
    timeout_s: Timeout = CHAIN_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class ClaimCredit:
    """All that the contract keeps for us of an asset; no `to`: to our account."""

    asset: Name
    to: Address | None = None
    timeout_s: Timeout = CHAIN_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class CreateInvoice:
    """`count` invoices alike, durable together; amount 0 leaves it to the payer."""

    asset: Name
    amount: Fee
    description: Annotated[str, Limit(0, 640)] = ""
    expiry_s: Annotated[int, Limit(1, MAX_INVOICE_EXPIRY_S)] | None = None
    count: Annotated[int, Limit(1, 1_000)] = 1


@dataclass(frozen=True, slots=True)
class ListPage:
    """Newest first. `before` is the `next_before` of the last page."""

    before: Place | None = None
    limit: PageLimit = 100


@dataclass(frozen=True, slots=True)
class ListInvoices:
    """As ListPage; fewer at once, because the text of each that is open is signed for the answer."""

    before: Place | None = None
    limit: Annotated[int, Limit(1, 500)] = 100


@dataclass(frozen=True, slots=True)
class ListPayments:
    """As ListPage; `status` is pending, succeeded, failed, or empty for all."""

    before: Place | None = None
    limit: PageLimit = 100
    status: Annotated[str, Limit(0, 9)] = ""


@dataclass(frozen=True, slots=True)
class GetByHash:
    """The hashlock of an invoice or a payment."""

    hashlock: Hash


@dataclass(frozen=True, slots=True)
class DecodeInvoice:
    """What an invoice says; nothing is paid."""

    text: Text


@dataclass(frozen=True, slots=True)
class Pay:
    """`amount` only where the invoice leaves it open; no `max_fee`: the configured share; `channel_id`:
    out over this channel of ours alone."""

    invoice: Text
    amount: Amount | None = None
    max_fee: Fee | None = None
    timeout_s: Timeout = PAYMENT_TIMEOUT_S
    channel_id: Hash | None = None


@dataclass(frozen=True, slots=True)
class PayMany:
    """The query of the payment stream: most payments at once.

    The default is below the 230 claims that a channel holds a side, so that a stream alone does not
    fill one.
    """

    in_flight: Annotated[int, Limit(1, MAX_IN_FLIGHT)] = 200


@dataclass(frozen=True, slots=True)
class Push:
    """`count` pushes of `amount` each, to a neighbour; `stream` says what they are for."""

    peer: NodeId
    asset: Name
    amount: Amount
    stream: StreamId = NO_STREAM
    count: Annotated[int, Limit(1, MAX_PUSHES)] = 1
    timeout_s: Timeout = PAYMENT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class PushMany:
    """The query of the push stream: to whom, and most pushes at once (two full batches by default)."""

    peer: NodeId
    asset: Name
    stream: StreamId = NO_STREAM
    in_flight: Annotated[int, Limit(1, MAX_PUSHES)] = 1_000


@dataclass(frozen=True, slots=True)
class GetStream:
    """`direction` is sent or received."""

    channel_id: Hash
    direction: Name
    stream: StreamId


@dataclass(frozen=True, slots=True)
class QuoteOption:
    """`size_e8` is contracts times 10^8."""

    name: Name
    size_e8: Amount
    asset: Name
    writer: NodeId
    timeout_s: Timeout = PAYMENT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class BuyOption:
    """Rejected if the quote's premium is above `max_premium`."""

    quote_id: Annotated[bytes, Limit(1, 64)]
    max_premium: Fee | None = None
    timeout_s: Timeout = PAYMENT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class SettleOptions:
    """In one channel, or in all."""

    channel_id: Hash | None = None
    timeout_s: Timeout = PAYMENT_TIMEOUT_S
