"""What peers say to each other, besides the channel's own messages in `core.channel`.

Bytes are the wire's business (`channeld.wire.messages`); here a message is data.
"""

from dataclasses import dataclass

from channeld.core.channel import Ack, Reestablish, Update
from channeld.core.claims import State
from channeld.core.records import OptionLeg


@dataclass(frozen=True, slots=True)
class Hello:
    """First on every connection: what the sender speaks and which adjudicator it trusts."""

    protocol: int
    chain_id: int
    adjudicator: bytes
    alias: str


@dataclass(frozen=True, slots=True)
class DepositsSeen:
    """The sender counts these deposits as confirmed; from now on both may pay from them."""

    channel_id: bytes
    deposit_a: int
    deposit_b: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The sender adds no more claims and wants a cooperative close once none is open."""

    channel_id: bytes


@dataclass(frozen=True, slots=True)
class CloseOffer:
    """A signed cooperative close: an outcome that the receiver can enforce until `until_s`."""

    channel_id: bytes
    counter: int
    net: int
    until_s: int
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class StateCopy:
    """The newest state the sender holds, for a peer that lost its data (R12).

    `your_signature` proves that the receiver once signed it; `my_signature` lets it enforce it.
    """

    channel_id: bytes
    state: State
    your_signature: bytes
    my_signature: bytes


@dataclass(frozen=True, slots=True)
class PolicyAnnouncement:
    """What `node` (33 bytes) asks for forwarding out of its end of a channel, signed by it.

    The receiver knows the channel from the chain's own events, or ignores this: nobody can announce one
    that does not exist. Amounts in the asset's smallest unit; `collateral_ppm_per_day` for option
    collateral that the hub locks.
    """

    channel_id: bytes
    node: bytes
    timestamp_s: int
    base_fee: int
    fee_ppm: int
    collateral_ppm_per_day: int
    min_amount: int
    max_amount: int
    deadline_delta_s: int
    enabled: bool
    signature: bytes = b""


POLICY_BUCKETS = 256
DIGEST_BYTES = 8
"""With 10,000 channels a bucket has 80 policies, some 20 kB: what two nodes that differ in one send."""


@dataclass(frozen=True, slots=True)
class PoliciesKnown:
    """Which policies the sender knows, in short; once, after the greeting.

    For each first byte of a channel id, in order, the exclusive or of the first 8 bytes of the sha256 of
    each policy message (as it is encoded) of such channels.
    """

    digests: bytes


@dataclass(frozen=True, slots=True)
class Relay:
    """A small message passed along channels to a node that is no neighbour.

    `path` holds the node ids still to go, `back` those behind, so that an answer finds its way.
    """

    path: tuple[bytes, ...]
    back: tuple[bytes, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Complaint:
    """An explanation for the other side's log. It is unsigned and means nothing (R8)."""

    channel_id: bytes
    text: str


@dataclass(frozen=True, slots=True)
class PushTerms:
    """Whether the sender takes pushes in this channel, and from which amount on each counts by itself."""

    channel_id: bytes
    accepts: bool
    min_amount: int


Message = (
    Hello
    | Reestablish
    | Update
    | Ack
    | DepositsSeen
    | Shutdown
    | CloseOffer
    | StateCopy
    | PolicyAnnouncement
    | PoliciesKnown
    | Relay
    | Complaint
    | PushTerms
)


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """Body of a Relay: for how much would you write this option, in `asset`?"""

    request_id: bytes
    leg: OptionLeg
    asset: bytes


@dataclass(frozen=True, slots=True)
class QuoteReply:
    """Body of a Relay: a premium that holds until `accept_by_s`, or a refusal (`refusal` not empty)."""

    request_id: bytes
    quote_id: bytes
    premium: int
    accept_by_s: int
    refusal: str = ""


RelayBody = QuoteRequest | QuoteReply


@dataclass(frozen=True, slots=True)
class ForwardTo:
    """Instruction to a hop: owe `amount` onwards in `channel_id`, with `onward` as its packet.

    In a trade, `leg` is the option that will come back through the same two channels.
    """

    channel_id: bytes
    amount: int
    deadline_s: int
    onward: bytes
    leg: OptionLeg | None = None


@dataclass(frozen=True, slots=True)
class Deliver:
    """Instruction to a payee: this pays the invoice whose payment secret is given (32 bytes)."""

    payment_secret: bytes
    total: int


@dataclass(frozen=True, slots=True)
class WriteOption:
    """Instruction to an option's writer: this is the premium for a quote (16 bytes) of yours."""

    quote_id: bytes


@dataclass(frozen=True, slots=True)
class ReturnOption:
    """Instruction on the way back of a trade: go where the premium with this hashlock came from."""


Instruction = ForwardTo | Deliver | WriteOption | ReturnOption
