"""The packet beside an added claim: what the payee of the claim shall do with it, as bytes.

    forward to     [1, channel id, amount, deadline, leg or nil, onward packet]
    deliver        [2, payment secret, total]
    write option   [3, quote id]
    return option  no bytes at all

Every hop reads its own instruction only and passes the onward packet as it came: a nest of packets is
never walked, so its depth is bounded by its bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from channeld.core.errors import Rejected
from channeld.core.messages import Deliver, ForwardTo, Instruction, ReturnOption, WriteOption
from channeld.core.operations import MAX_PACKET_BYTES
from channeld.core.records import OptionLeg
from channeld.wire import msgpack_strict
from channeld.wire.claims import LEG
from channeld.wire.layout import AMOUNT, HASH, SHORT_ID, TIME_S, Layout, blob, optional, packed
from channeld.wire.malformed import MalformedMessage

TAG_FORWARD_TO = 1
TAG_DELIVER = 2
TAG_WRITE_OPTION = 3


@dataclass(frozen=True, slots=True)
class Hop:
    """One forwarding of a route: a ForwardTo before its onward packet exists."""

    channel_id: bytes
    amount: int
    deadline_s: int
    leg: OptionLeg | None = None


def _build_forward(
    channel_id: bytes, amount: int, deadline_s: int, leg: OptionLeg | None, onward: bytes
) -> ForwardTo:
    return ForwardTo(channel_id, amount, deadline_s, onward, leg)


_FORWARD_TO = Layout(
    _build_forward,
    "forward",
    channel_id=HASH,
    amount=AMOUNT,
    deadline_s=TIME_S,
    leg=optional(LEG.codec),
    onward=blob(MAX_PACKET_BYTES),
)
_DELIVER = Layout(Deliver, "deliver", payment_secret=HASH, total=AMOUNT)
_WRITE_OPTION = Layout(WriteOption, "write option", quote_id=SHORT_ID)

_LAYOUTS: dict[int, Layout[ForwardTo] | Layout[Deliver] | Layout[WriteOption]] = {
    TAG_FORWARD_TO: _FORWARD_TO,
    TAG_DELIVER: _DELIVER,
    TAG_WRITE_OPTION: _WRITE_OPTION,
}


def encode_instruction(instruction: Instruction) -> bytes:
    """The packet that carries `instruction`; it may exceed MAX_PACKET_BYTES (see `build_packet`)."""
    match instruction:
        case ReturnOption():
            return b""
        case ForwardTo():
            return msgpack_strict.encode((TAG_FORWARD_TO, *packed(_FORWARD_TO.pack, instruction)))
        case Deliver():
            return msgpack_strict.encode((TAG_DELIVER, *packed(_DELIVER.pack, instruction)))
        case WriteOption():
            return msgpack_strict.encode((TAG_WRITE_OPTION, *packed(_WRITE_OPTION.pack, instruction)))
        case _:
            assert_never(instruction)


def read_instruction(packet: bytes) -> Instruction:
    """What a packet tells us to do.

    Raises MalformedMessage. The neighbour who handed it on could not read it either, so the claim fails
    (BAD_PACKET) and the connection stays.
    """
    if not packet:
        return ReturnOption()
    if len(packet) > MAX_PACKET_BYTES:
        raise MalformedMessage("packet", f"at most {MAX_PACKET_BYTES} bytes", f"{len(packet)} bytes")
    items = msgpack_strict.decode(packet)
    tag = items[0] if items else None
    layout = _LAYOUTS.get(tag) if type(tag) is int else None
    if layout is None:
        raise MalformedMessage("packet.tag", f"1 to {len(_LAYOUTS)}", "another")
    if len(items) != layout.size + 1:
        raise MalformedMessage(layout.name, f"an array of {layout.size + 1}", f"{len(items)} items")
    return layout.read_items(items[1:])


def build_packet(hops: Sequence[Hop], last: Instruction) -> bytes:
    """The packet for the first hop of a route: each hop's instruction holds the next one's, `last` innermost.

    Without hops it is the packet of a neighbour. Raises Rejected if the route is too long for a packet.
    """
    packet = encode_instruction(last)
    for number, hop in enumerate(reversed(hops), start=1):
        packet = encode_instruction(ForwardTo(hop.channel_id, hop.amount, hop.deadline_s, packet, hop.leg))
        if len(packet) > MAX_PACKET_BYTES:
            raise Rejected(
                f"the route is too long: a packet holds {MAX_PACKET_BYTES} bytes, "
                f"and {number} of its {len(hops)} hops need {len(packet)}"
            )
    return packet
