"""What a step asks of the outside. The order of effects is the order of execution.

No effect runs before everything that the step changed is durable (R11); all of them may run twice
after a crash and must then do no harm.
"""

from dataclasses import dataclass

from channeld.core.channel import Ack, Update
from channeld.core.claims import State
from channeld.core.messages import CloseOffer, Message, StateCopy
from channeld.core.operations import Push
from channeld.core.records import ClaimRef, SignedPriceRecord, Stream


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message that needs no signature of ours."""

    peer: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class SendSigned:
    """Sign `state` and send the message with the signature in it."""

    peer: bytes
    message: Update | Ack
    state: State


@dataclass(frozen=True, slots=True)
class SendClose:
    """Sign a cooperative close and send it."""

    peer: bytes
    message: CloseOffer


@dataclass(frozen=True, slots=True)
class SendCopy:
    """Sign our newest state and send it to a peer that lost its data (R12)."""

    peer: bytes
    message: StateCopy


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Drop the connection: what came is no message that a correct node sends."""

    peer: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class RegisterSecret:
    """Get a secret into the chain's registry before `deadline_s` (R10)."""

    preimage: bytes
    deadline_s: int


@dataclass(frozen=True, slots=True)
class PublishPrice:
    price: SignedPriceRecord


@dataclass(frozen=True, slots=True)
class SubmitClose:
    """The cooperative close that both have signed; ours is not needed, because we are the caller."""

    channel_id: bytes
    net: int
    until_s: int
    their_signature: bytes


@dataclass(frozen=True, slots=True)
class SubmitChallenge:
    channel_id: bytes
    state: State
    their_signature: bytes


@dataclass(frozen=True, slots=True)
class SubmitResponse:
    channel_id: bytes
    state: State
    their_signature: bytes


@dataclass(frozen=True, slots=True)
class SubmitSettlement:
    """Settle with the claims of `state`, whose `net` is what stands on chain."""

    channel_id: bytes
    state: State
    salt: bytes


@dataclass(frozen=True, slots=True)
class WakeClaim:
    """Come back to a claim at `at_s` of the chain's time."""

    at_s: int
    claim: ClaimRef


@dataclass(frozen=True, slots=True)
class WakeChannel:
    """Come back to a channel at `at_s` of the chain's time."""

    at_s: int
    channel_id: bytes


@dataclass(frozen=True, slots=True)
class AnswerPushes:
    """Tell those who asked for pushes what became of them, in the order in which they asked.

    `sent` ones are final, `streams` are the totals with them; `dropped` ones are in no state and will be in
    none, `why` says the reason. Equal pushes are alike: the first to ask for one is the first to hear of one.
    """

    channel_id: bytes
    sent: tuple[Push, ...] = ()
    streams: tuple[Stream, ...] = ()
    dropped: tuple[Push, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell those who wait (the API) that a record has changed. `topic` is the record's table."""

    topic: str
    key: bytes


Effect = (
    Send
    | SendSigned
    | SendClose
    | SendCopy
    | Disconnect
    | RegisterSecret
    | PublishPrice
    | SubmitClose
    | SubmitChallenge
    | SubmitResponse
    | SubmitSettlement
    | WakeClaim
    | WakeChannel
    | AnswerPushes
    | Notify
)
