"""What a node remembers beside its channels: invoices, payments, trades, forwards, secrets, quotes.

Every record is frozen and durable (quotes excepted: they live for seconds). `key` identifies it in
its table; an `archived` one is history, which is on disk and no longer in memory.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from channeld.core.claims import OptionTerms


class ClaimRef(NamedTuple):
    """A claim, wherever it is: the channel and the claim's id in it."""

    channel_id: bytes
    claim_id: int

    @property
    def key(self) -> bytes:
        return self.channel_id + self.claim_id.to_bytes(8, "big")


class FailureCode(IntEnum):
    """Why a hop or the payee let a claim go; what a payer may do about it follows from it."""

    UNKNOWN_HASH = 1  #        the payee has no such invoice, or it is paid or expired
    WRONG_AMOUNT = 2
    TOO_LATE = 3  #            too little time is left to register a secret
    NO_CHANNEL = 4  #          the next channel is unknown, offline or closing
    NO_CAPACITY = 5  #         the next channel cannot carry it
    FEE_TOO_LOW = 6
    BAD_PACKET = 7
    NO_QUOTE = 8  #            the writer knows no such quote, or it has lapsed
    WRONG_TERMS = 9  #         an option came back with other terms than were asked for
    DEADLINE_PASSED = 10  #    nobody revealed the secret in time
    CLOSING = 11
    CLOCK = 12  #              the node does not trust its clock at present
    TOO_FAR = 13  #            the deadline would lock money for longer than the node allows
    TOO_SMALL = 14  #          below what a node on the way takes
    BUSY = 15  #               as much is in flight as a node on the way allows; later it may do


@dataclass(frozen=True, slots=True)
class Failure:
    """What travels back with a failed claim: the code and the channel where it failed (or zeros)."""

    code: FailureCode
    channel_id: bytes = bytes(32)

    def encode(self) -> bytes:
        return bytes([self.code]) + self.channel_id

    @classmethod
    def decode(cls, data: bytes) -> "Failure":
        """Never raises: a reason that cannot be read says only that the claim failed."""
        if len(data) != 33 or data[0] not in FailureCode.__members__.values():
            return cls(FailureCode.BAD_PACKET)
        return cls(FailureCode(data[0]), data[1:])


@dataclass(frozen=True, slots=True)
class OptionLeg:
    """An option in a trade: its terms and its size (see `OptionTerms` for the unit)."""

    terms: OptionTerms
    size: int


class ForwardStatus(IntEnum):
    OFFERED = 1
    FULFILLED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Forward:
    """A claim that we owe onwards because somebody owes it to us. Its answer goes back once (R7)."""

    incoming: ClaimRef
    outgoing: ClaimRef
    hashlock: bytes
    deadline_s: int
    fee: int
    status: ForwardStatus = ForwardStatus.OFFERED
    leg: OptionLeg | None = None

    @property
    def key(self) -> bytes:
        return self.outgoing.key

    @property
    def archived(self) -> bool:
        return self.status is not ForwardStatus.OFFERED


def is_kept(record: object) -> bool:
    """Whether what has become history stays on disk.

    Attack stopped: claims that fail cost nobody a fee; a record of each would fill a hub's disk for nothing.
    """
    return not (isinstance(record, Forward) and record.status is ForwardStatus.FAILED)


class InvoiceStatus(IntEnum):
    OPEN = 1
    PAID = 2
    EXPIRED = 3


@dataclass(frozen=True, slots=True)
class Invoice:
    """What we asked to be paid. `amount` in the asset's smallest unit; 0 lets the payer choose."""

    hashlock: bytes
    preimage: bytes
    payment_secret: bytes
    asset: bytes
    amount: int
    description: str
    created_s: int
    expires_s: int
    status: InvoiceStatus = InvoiceStatus.OPEN
    received: int = 0
    paid_s: int = 0

    @property
    def key(self) -> bytes:
        return self.hashlock

    @property
    def archived(self) -> bool:
        return self.status is not InvoiceStatus.OPEN


class PaymentStatus(IntEnum):
    PENDING = 1
    SUCCEEDED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that we make. `claim` is its offer in our own channel, while there is one.

    `attempts` counts the routes tried for it, `hops` the channels of the last one (0: not known).
    """

    hashlock: bytes
    destination: bytes
    asset: bytes
    amount: int
    fee: int
    created_s: int
    description: str = ""
    status: PaymentStatus = PaymentStatus.PENDING
    claim: ClaimRef | None = None
    preimage: bytes = b""
    failure: Failure | None = None
    attempts: int = 1
    hops: int = 0

    @property
    def key(self) -> bytes:
        return self.hashlock

    @property
    def archived(self) -> bool:
        return self.status is not PaymentStatus.PENDING


class TradeRole(IntEnum):
    BUYER = 1
    WRITER = 2


class TradeStatus(IntEnum):
    OFFERED = 1  #  buyer: the premium is offered; writer: the option is offered
    BOUND = 2  #    the secret is out: premium and option are both or will both be done
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Trade:
    """An option that we buy or write, premium and option under one hashlock (R14).

    `premium` leaves the buyer, fees of hubs (`fee`) come on top. `preimage` is the buyer's until it
    is revealed. `counterparty` is the node id of the other end of the trade, however far away.
    """

    hashlock: bytes
    role: TradeRole
    leg: OptionLeg
    asset: bytes
    premium: int
    fee: int
    deadline_s: int
    counterparty: bytes
    created_s: int
    status: TradeStatus = TradeStatus.OFFERED
    preimage: bytes = b""
    premium_claim: ClaimRef | None = None
    option_claim: ClaimRef | None = None
    failure: Failure | None = None

    @property
    def key(self) -> bytes:
        return self.hashlock

    @property
    def archived(self) -> bool:
        return self.status is not TradeStatus.OFFERED


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that we may use: learnt from a peer or the chain, or our own once released."""

    hashlock: bytes
    preimage: bytes

    @property
    def key(self) -> bytes:
        return self.hashlock


@dataclass(frozen=True, slots=True)
class Dispute:
    """What the chain says of a channel in dispute.

    `known` is False until the challenge is seen on chain; then `version`, `net`, `claims_hash` and `salt`
    are what stands there and `expires_s` is the end of the window. `remaining` lists the ids of the
    claims that partial settlements have left, None before the first.
    """

    channel_id: bytes
    known: bool = False
    version: int = 0
    net: int = 0
    claims_hash: bytes = bytes(32)
    salt: bytes = bytes(32)
    expires_s: int = 0
    remaining: tuple[int, ...] | None = None

    @property
    def key(self) -> bytes:
        return self.channel_id


@dataclass(frozen=True, slots=True)
class Quote:
    """An option that we are ready to write until `accept_by_s`, at `premium`, for whoever holds it."""

    quote_id: bytes
    leg: OptionLeg
    asset: bytes
    premium: int
    accept_by_s: int
    buyer: bytes


def stream_key(channel_id: bytes, outgoing: bool, stream: bytes) -> bytes:
    """The key of a stream's record: the streams of one channel and direction stand together."""
    return channel_id + bytes([outgoing]) + stream


@dataclass(frozen=True, slots=True)
class Stream:
    """The pushes of one channel, one direction and one purpose: how many, and what they add up to.

    There is one record for all of them, and it is history from the first one on: read when a push touches
    it. Times are the chain's. `named` counts, in the record of the unnamed stream (16 zero bytes), the others
    of its channel and direction.
    """

    channel_id: bytes
    outgoing: bool
    stream: bytes
    count: int = 0
    total: int = 0
    first_s: int = 0
    last_s: int = 0
    named: int = 0

    @property
    def key(self) -> bytes:
        return stream_key(self.channel_id, self.outgoing, self.stream)

    @property
    def archived(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class SignedPriceRecord:
    """A settlement price with the signatures that prove it on chain (64 bytes each, signer order)."""

    feed: bytes
    expiry_s: int
    price: int
    signatures: tuple[bytes, ...]

    @property
    def key(self) -> bytes:
        return self.feed + self.expiry_s.to_bytes(8, "big")
