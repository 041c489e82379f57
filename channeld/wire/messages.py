"""Messages between peers as bytes: an array of a numeric tag and the message's fields, in their order.

The byte layout of each is in docs/protocol.md. Sources of the limits stand beside them. Everything that
is read here came from somebody else: whatever it is, the answer is a message or a MalformedMessage.
"""

from typing import Any

from channeld.core.channel import Ack, Reestablish, Update
from channeld.core.messages import (
    DIGEST_BYTES,
    POLICY_BUCKETS,
    CloseOffer,
    Complaint,
    DepositsSeen,
    Hello,
    Message,
    PoliciesKnown,
    PolicyAnnouncement,
    PushTerms,
    QuoteReply,
    QuoteRequest,
    Relay,
    RelayBody,
    Shutdown,
    StateCopy,
)
from channeld.wire import msgpack_strict
from channeld.wire.claims import LEG, STATE
from channeld.wire.layout import (
    ADDRESS,
    AMOUNT,
    BOOL,
    DEPOSIT,
    HASH,
    NET,
    NODE_ID,
    PPM,
    SHORT_ID,
    SIGNATURE,
    TIME_S,
    VERSION,
    Layout,
    blob,
    fixed,
    list_of,
    packed,
    text,
    uint,
)
from channeld.wire.malformed import MalformedMessage
from channeld.wire.operations import BATCH

MAX_ALIAS_BYTES = 32
"""A name for a table's column; as long as in [BOLT-7]."""

MAX_COMPLAINT_BYTES = 512
"""A line or two of a log; a peer fills ours no faster than it may send."""

MAX_RELAY_HOPS = 20
"""Nodes ahead and behind together, as many as a [BOLT-4] route has. A hop moves one from `path` to `back`,
so what a hop may receive it may always pass on; with a limit on each alone a full `back` would stop us."""

MAX_RELAY_BODY_BYTES = 1_024
"""The longest body is a quote request of some 150 bytes; larger ones would make hubs a free mailbox."""

MAX_REFUSAL_BYTES = 800
"""A sentence or two for the person who asked for a quote: 200 characters, whatever they are."""

POLICY = Layout(
    PolicyAnnouncement,
    "policy",
    channel_id=HASH,
    node=NODE_ID,
    timestamp_s=TIME_S,
    base_fee=AMOUNT,
    fee_ppm=PPM,
    collateral_ppm_per_day=PPM,
    min_amount=AMOUNT,
    max_amount=AMOUNT,
    deadline_delta_s=uint(32),
    enabled=BOOL,
    signature=SIGNATURE,
)


class _RelayLayout(Layout[Relay]):
    """A relay whose whole way is within its limit, in both directions of the codec."""

    def pack(self, record: Relay, _name: str = "") -> tuple[object, ...]:
        _require_short_way(record)
        return super().pack(record)

    def read_items(self, items: tuple[Any, ...]) -> Relay:
        relay = super().read_items(items)
        _require_short_way(relay)
        return relay


def _require_short_way(relay: Relay) -> None:
    hops = len(relay.path) + len(relay.back)
    if hops > MAX_RELAY_HOPS:
        raise MalformedMessage("relay", f"at most {MAX_RELAY_HOPS} nodes ahead and behind", f"{hops}")


_MESSAGES: dict[int, tuple[type[Message], Layout[Any]]] = {
    1: (
        Hello,
        Layout(
            Hello,
            "hello",
            protocol=uint(16),
            chain_id=uint(64),
            adjudicator=ADDRESS,
            alias=text(MAX_ALIAS_BYTES),
        ),
    ),
    2: (
        Reestablish,
        Layout(
            Reestablish,
            "reestablish",
            channel_id=HASH,
            mine=VERSION,
            theirs=VERSION,
            deposit_a=DEPOSIT,
            deposit_b=DEPOSIT,
        ),
    ),
    3: (
        Update,
        Layout(
            Update,
            "update",
            channel_id=HASH,
            version=VERSION,
            parent=VERSION,
            operations=BATCH,
            signature=SIGNATURE,
        ),
    ),
    4: (Ack, Layout(Ack, "ack", channel_id=HASH, version=VERSION, signature=SIGNATURE)),
    5: (
        DepositsSeen,
        Layout(DepositsSeen, "deposits seen", channel_id=HASH, deposit_a=DEPOSIT, deposit_b=DEPOSIT),
    ),
    6: (Shutdown, Layout(Shutdown, "shutdown", channel_id=HASH)),
    7: (
        CloseOffer,
        Layout(
            CloseOffer,
            "close offer",
            channel_id=HASH,
            counter=uint(64),
            net=NET,
            until_s=TIME_S,
            signature=SIGNATURE,
        ),
    ),
    8: (
        StateCopy,
        Layout(
            StateCopy,
            "state copy",
            channel_id=HASH,
            state=STATE,
            your_signature=SIGNATURE,
            my_signature=SIGNATURE,
        ),
    ),
    9: (PolicyAnnouncement, POLICY),
    13: (
        PoliciesKnown,
        Layout(PoliciesKnown, "policies known", digests=fixed(POLICY_BUCKETS * DIGEST_BYTES)),
    ),
    10: (
        Relay,
        _RelayLayout(
            Relay,
            "relay",
            path=list_of(NODE_ID, MAX_RELAY_HOPS),
            back=list_of(NODE_ID, MAX_RELAY_HOPS),
            body=blob(MAX_RELAY_BODY_BYTES),
        ),
    ),
    11: (
        Complaint,
        Layout(Complaint, "complaint", channel_id=HASH, text=text(MAX_COMPLAINT_BYTES)),
    ),
    12: (
        PushTerms,
        Layout(PushTerms, "push terms", channel_id=HASH, accepts=BOOL, min_amount=AMOUNT),
    ),
}

_BODIES: dict[int, tuple[type[RelayBody], Layout[Any]]] = {
    1: (
        QuoteRequest,
        Layout(QuoteRequest, "quote request", request_id=SHORT_ID, leg=LEG.codec, asset=ADDRESS),
    ),
    2: (
        QuoteReply,
        Layout(
            QuoteReply,
            "quote reply",
            request_id=SHORT_ID,
            quote_id=SHORT_ID,
            premium=AMOUNT,
            accept_by_s=TIME_S,
            refusal=text(MAX_REFUSAL_BYTES),
        ),
    ),
}

_MESSAGE_LAYOUTS = {tag: layout for tag, (_, layout) in _MESSAGES.items()}
_MESSAGE_TAGS = {cls: (tag, layout) for tag, (cls, layout) in _MESSAGES.items()}
_GENERAL = frozenset({Hello, PolicyAnnouncement, PoliciesKnown, Relay})
# An array of less than 16 items and a small integer take a byte each, in their only encoding.
_ABOUT_A_CHANNEL = tuple(
    bytes((0x90 + layout.size + 1, tag)) for tag, (cls, layout) in _MESSAGES.items() if cls not in _GENERAL
)
_BODY_LAYOUTS = {tag: layout for tag, (_, layout) in _BODIES.items()}
_BODY_TAGS = {cls: (tag, layout) for tag, (cls, layout) in _BODIES.items()}


def encode(message: Message) -> bytes:
    """The bytes of a message. One that `decode` would refuse is a bug of ours: AssertionError."""
    tag, layout = _MESSAGE_TAGS[type(message)]
    return msgpack_strict.encode((tag, *packed(layout.pack, message)))


def decode(data: bytes) -> Message:
    """The message in `data`. Raises MalformedMessage, which names the field, never its content."""
    message: Message = _read_tagged(msgpack_strict.decode(data), "message", _MESSAGE_LAYOUTS)
    return message


def is_about_a_channel(data: bytes) -> bool:
    """Whether `data` can only be a message about a channel that sender and receiver share.

    It looks at the first two bytes; whether the others are such a message, only `decode` can say.
    """
    return data.startswith(_ABOUT_A_CHANNEL)


def encode_relay_body(body: RelayBody) -> bytes:
    """The bytes of a Relay's body."""
    tag, layout = _BODY_TAGS[type(body)]
    return msgpack_strict.encode((tag, *packed(layout.pack, body)))


def decode_relay_body(data: bytes) -> RelayBody:
    """The body of a Relay. Raises MalformedMessage: its author is far away, not the neighbour."""
    if len(data) > MAX_RELAY_BODY_BYTES:
        raise MalformedMessage("relay body", f"at most {MAX_RELAY_BODY_BYTES} bytes", f"{len(data)} bytes")
    body: RelayBody = _read_tagged(msgpack_strict.decode(data), "relay body", _BODY_LAYOUTS)
    return body


def _read_tagged(items: tuple[Any, ...], what: str, layouts: dict[int, Layout[Any]]) -> Any:
    tag = items[0] if items else None
    layout = layouts.get(tag) if type(tag) is int else None
    if layout is None:
        raise MalformedMessage(f"{what}.tag", f"1 to {max(layouts)}", "another")
    if len(items) != layout.size + 1:
        raise MalformedMessage(layout.name, f"an array of {layout.size + 1}", f"{len(items)} items")
    return layout.read_items(items[1:])
