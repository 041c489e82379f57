"""What happens to a node, in the past tense: from peers, from the chain, from the clock, from us."""

from dataclasses import dataclass

from channeld.core.channel import Deposits
from channeld.core.claims import Side
from channeld.core.identity import ChannelParams
from channeld.core.messages import Message
from channeld.core.operations import Push
from channeld.core.records import ClaimRef, Invoice, OptionLeg, Quote, SignedPriceRecord


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A peer proved its node id (33 bytes); `address` (20 bytes) derives from it."""

    peer: bytes
    address: bytes


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    peer: bytes
    address: bytes


@dataclass(frozen=True, slots=True)
class MessageReceived:
    peer: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """A channel with us as side `me` was seen on chain, or we are about to open it.

    `peer` is the other end's node id, empty until it connects.
    """

    channel_id: bytes
    params: ChannelParams
    me: Side
    peer: bytes


@dataclass(frozen=True, slots=True)
class DepositsConfirmed:
    """The slot of a channel after enough confirmations."""

    channel_id: bytes
    deposits: Deposits


@dataclass(frozen=True, slots=True)
class ChallengeSeen:
    """Somebody started or answered a dispute: this state stands on chain until `expires_s`."""

    channel_id: bytes
    version: int
    net: int
    claims_hash: bytes
    salt: bytes
    expires_s: int


@dataclass(frozen=True, slots=True)
class PartialSettlementSeen:
    """`claims_hash` commits to what is left, `net` is what stands there now; block time `at_s`."""

    channel_id: bytes
    net: int
    claims_hash: bytes
    at_s: int


@dataclass(frozen=True, slots=True)
class CloseSeen:
    """The channel is a tombstone on chain, after enough confirmations."""

    channel_id: bytes


@dataclass(frozen=True, slots=True)
class SecretSeen:
    """A secret was registered on chain; the tables already hold its time."""

    preimage: bytes


@dataclass(frozen=True, slots=True)
class PriceLearnt:
    """A settlement price, its signatures checked."""

    record: SignedPriceRecord


@dataclass(frozen=True, slots=True)
class ClaimDue:
    claim: ClaimRef


@dataclass(frozen=True, slots=True)
class ChannelDue:
    channel_id: bytes


@dataclass(frozen=True, slots=True)
class InvoiceCreated:
    invoice: Invoice


@dataclass(frozen=True, slots=True)
class InvoiceLapsed:
    """Nobody has paid it in its time."""

    hashlock: bytes


@dataclass(frozen=True, slots=True)
class PaymentRequested:
    """Pay along a route that is already chosen: the first channel, what it must carry, the packet.

    `attempt` is the number of this route among those tried, `hops` the number of its channels.
    """

    hashlock: bytes
    destination: bytes
    asset: bytes
    amount: int
    fee: int
    channel_id: bytes
    deadline_s: int
    packet: bytes
    description: str
    now_s: int
    attempt: int = 1
    hops: int = 0


@dataclass(frozen=True, slots=True)
class PushesRequested:
    """Pay the peer of a channel at once, without a hashlock: all of these pushes, in their order."""

    channel_id: bytes
    pushes: tuple[Push, ...]


@dataclass(frozen=True, slots=True)
class OptionRequested:
    """Buy an option: the premium goes along the route, the option comes back (R14)."""

    preimage: bytes
    hashlock: bytes
    leg: OptionLeg
    asset: bytes
    premium: int
    fee: int
    writer: bytes
    channel_id: bytes
    deadline_s: int
    packet: bytes
    now_s: int


@dataclass(frozen=True, slots=True)
class QuoteGiven:
    quote: Quote


@dataclass(frozen=True, slots=True)
class SettlementRequested:
    """Propose to settle the options of (feed, expiry) in a channel at the known price."""

    channel_id: bytes
    feed: bytes
    expiry_s: int


@dataclass(frozen=True, slots=True)
class CloseRequested:
    channel_id: bytes
    unilateral: bool


Event = (
    PeerConnected
    | PeerDisconnected
    | MessageReceived
    | ChannelOpened
    | DepositsConfirmed
    | ChallengeSeen
    | PartialSettlementSeen
    | CloseSeen
    | SecretSeen
    | PriceLearnt
    | ClaimDue
    | ChannelDue
    | InvoiceCreated
    | InvoiceLapsed
    | PaymentRequested
    | PushesRequested
    | OptionRequested
    | QuoteGiven
    | SettlementRequested
    | CloseRequested
)
