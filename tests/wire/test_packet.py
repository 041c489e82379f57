"""Packets: what alice tells bob, carol and dave to do, each in the onward packet of the one before."""

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channeld.core.claims import MAX_AMOUNT, MAX_TIME_S, OptionTerms, PayoffKind
from channeld.core.errors import PeerViolation, Rejected
from channeld.core.messages import Deliver, ForwardTo, Instruction, ReturnOption, WriteOption
from channeld.core.operations import MAX_PACKET_BYTES
from channeld.core.records import OptionLeg
from channeld.wire.malformed import MalformedMessage
from channeld.wire.packet import Hop, build_packet, encode_instruction, read_instruction
from tests.wire.wire_cast import amounts, hashes, instructions, legs, times

BOB_CAROL = b"\x01" * 32
CAROL_DAVE = b"\x02" * 32
SECRET = b"\x03" * 32
CALL = OptionLeg(OptionTerms(PayoffKind.CALL, b"\x55" * 32, 1_800_000_000, 4_000, 8_000), 10**18)

hops = st.lists(st.builds(Hop, hashes, amounts, times, st.none() | legs), max_size=6)


@settings(max_examples=300)
@given(instructions)
def test_what_alice_orders_a_hop_reads(instruction: Instruction) -> None:
    packet = encode_instruction(instruction)
    assert read_instruction(packet) == instruction
    assert encode_instruction(read_instruction(packet)) == packet


@given(hops, instructions)
def test_each_hop_reads_its_own_order_and_hands_on_the_rest(route: list[Hop], last: Instruction) -> None:
    packet = build_packet(route, last)
    for hop in route:
        order = read_instruction(packet)
        assert order == ForwardTo(hop.channel_id, hop.amount, hop.deadline_s, order.onward, hop.leg)
        packet = order.onward
    assert read_instruction(packet) == last


def test_a_trade_goes_out_with_its_leg_and_comes_back_without_a_packet() -> None:
    quote_id = b"\x09" * 16
    packet = build_packet([Hop(BOB_CAROL, 1_000, 1_700_000_000, CALL)], WriteOption(quote_id))
    order = read_instruction(packet)
    assert isinstance(order, ForwardTo)
    assert order.leg == CALL
    assert read_instruction(order.onward) == WriteOption(quote_id)
    assert encode_instruction(ReturnOption()) == b""
    assert read_instruction(b"") == ReturnOption()


def test_a_route_as_long_as_a_packet_allows() -> None:
    """20 hops, the most of [BOLT-4], must fit without legs; a trade's route may be shorter."""
    longest = Hop(CAROL_DAVE, MAX_AMOUNT, MAX_TIME_S)
    packet = build_packet([longest] * 20, Deliver(SECRET, MAX_AMOUNT))
    assert len(packet) <= MAX_PACKET_BYTES
    with_leg = Hop(CAROL_DAVE, MAX_AMOUNT, MAX_TIME_S, CALL)
    assert len(build_packet([with_leg] * 10, WriteOption(bytes(16)))) <= MAX_PACKET_BYTES
    with pytest.raises(
        Rejected, match=r"the route is too long: a packet holds 2048 bytes, and \d+ of its 60"
    ):
        build_packet([longest] * 60, Deliver(SECRET, 1))


def test_sizes() -> None:
    assert len(encode_instruction(Deliver(SECRET, 10**18))) == 46
    one_hop = build_packet([Hop(BOB_CAROL, 10**18, 1_700_000_000)], Deliver(SECRET, 10**18))
    assert len(one_hop) == 46 + 54


@settings(max_examples=300)
@given(st.binary(max_size=120) | st.binary(max_size=120).map(lambda rest: b"\x96\x01\xc4\x20" + rest))
def test_random_bytes_are_an_order_or_a_violation(data: bytes) -> None:
    try:
        order = read_instruction(data)
    except PeerViolation:
        return
    assert encode_instruction(order) == data


@settings(max_examples=300)
@given(instructions.map(encode_instruction).filter(len), st.data())
def test_mutated_bytes_are_an_order_or_a_violation(packet: bytes, draws: st.DataObject) -> None:
    data = bytearray(packet)
    for _ in range(draws.draw(st.integers(1, 3))):
        data[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    try:
        order = read_instruction(bytes(data))
    except PeerViolation:
        return
    assert encode_instruction(order) == data


FORWARD = [1, BOB_CAROL, b"\x05", 1_700_000_000, None, b""]


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], "packet.tag: expected 1 to 3, got another"),
        ([4, b""], "packet.tag"),
        ([True, *FORWARD[1:]], "packet.tag"),
        (FORWARD[:5], "forward: expected an array of 6, got 5 items"),
        ([*FORWARD, b""], "forward: expected an array of 6, got 7 items"),
        ([1, BOB_CAROL[1:], *FORWARD[2:]], "forward.channel_id: expected 32 bytes, got 31"),
        ([*FORWARD[:2], 5, *FORWARD[3:]], "forward.amount: expected uint96 as a bin, got int"),
        ([*FORWARD[:3], 2**40, *FORWARD[4:]], "forward.deadline_s: expected uint40"),
        ([*FORWARD[:4], b"", b""], "forward.leg: expected an array of 2, got bin"),
        ([*FORWARD[:5], None], "forward.onward: expected at most 2048 bytes, got nil"),
        ([2, SECRET, b"\x00"], "deliver.total: expected uint96 without a leading zero"),
        ([3, bytes(17)], "write option.quote_id: expected 16 bytes, got 17"),
    ],
)
def test_mallory_writes_a_packet(items: list[object], reason: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        read_instruction(msgpack.packb(items))
    assert reason in str(caught.value)


def test_a_packet_of_packets_costs_no_more_than_its_bytes() -> None:
    """Mallory nests as deep as she likes: nobody walks into it, and its size has a limit."""
    packet = b""
    while len(packet) < MAX_PACKET_BYTES:
        packet = encode_instruction(ForwardTo(bytes(32), 0, 0, packet))
    with pytest.raises(MalformedMessage, match="packet: expected at most 2048 bytes"):
        read_instruction(packet)


@pytest.mark.parametrize(
    "instruction",
    [
        Deliver(b"", 1),
        Deliver(SECRET, -1),
        WriteOption(bytes(32)),
        ForwardTo(BOB_CAROL, MAX_AMOUNT + 1, 1, b""),
        ForwardTo(BOB_CAROL, 1, 1, bytes(MAX_PACKET_BYTES + 1)),
    ],
)
def test_our_own_mistakes_stop_us(instruction: Instruction) -> None:
    with pytest.raises(AssertionError, match="cannot encode"):
        encode_instruction(instruction)
