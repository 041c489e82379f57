"""Messages between alice and bob, and what mallory sends instead."""

from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channeld.core.channel import Ack, Channel, Reestablish, Update
from channeld.core.claims import MAX_AMOUNT, MAX_TIME_S, ZERO_STATE, Claim, State
from channeld.core.errors import PeerViolation
from channeld.core.messages import (
    Complaint,
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
from channeld.core.operations import (
    MAX_CLAIMS_PER_SIDE,
    MAX_OPERATIONS,
    Add,
    Expire,
    Fail,
    Fulfil,
    Settle,
)
from channeld.core.records import OptionLeg
from channeld.wire.layout import HASH, Layout
from channeld.wire.malformed import MalformedMessage
from channeld.wire.messages import (
    MAX_RELAY_BODY_BYTES,
    MAX_RELAY_HOPS,
    decode,
    decode_relay_body,
    encode,
    encode_relay_body,
    is_about_a_channel,
)
from tests.wire.wire_arrays import (
    ADD,
    CALL,
    FEED,
    HASHLOCK,
    ID,
    NODE,
    SIGNATURE,
    TERMS,
    state_copy,
    uint,
    update,
    values,
    with_item,
)
from tests.wire.wire_cast import messages, relay_bodies


@settings(max_examples=300)
@given(messages)
def test_what_alice_says_bob_hears(message: Message) -> None:
    data = encode(message)
    heard = decode(data)
    assert heard == message
    assert repr(heard) == repr(message)  # == alone would take True for 1, a dict in another order for it
    assert encode(heard) == data
    general = isinstance(message, Hello | PolicyAnnouncement | PoliciesKnown | Relay)
    assert is_about_a_channel(data) is not general


@given(relay_bodies)
def test_what_alice_asks_carol_hears(body: RelayBody) -> None:
    data = encode_relay_body(body)
    assert decode_relay_body(data) == body
    assert len(data) <= MAX_RELAY_BODY_BYTES


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes_are_a_message_or_a_violation(data: bytes) -> None:
    for read, write in ((decode, encode), (decode_relay_body, encode_relay_body)):
        try:
            message = read(data)
        except PeerViolation:
            continue
        assert write(message) == data


@settings(max_examples=300)
@given(messages, st.data())
def test_a_message_with_another_field_is_another_message_or_a_violation(
    message: Message, draws: st.DataObject
) -> None:
    """Any item of the array, at any level, replaced by anything that msgpack can say."""
    items = msgpack.unpackb(encode(message), raw=False)
    place = items
    while True:
        index = draws.draw(st.integers(0, len(place) - 1))
        if not isinstance(place[index], list) or not place[index] or draws.draw(st.booleans()):
            break
        place = place[index]
    place[index] = draws.draw(values)
    data = msgpack.packb(items)
    try:
        decoded = decode(data)
    except PeerViolation:
        return
    assert encode(decoded) == data


@settings(max_examples=300)
@given(messages, st.data())
def test_mutated_bytes_are_another_message_or_a_violation(message: Message, draws: st.DataObject) -> None:
    data = bytearray(encode(message))
    for _ in range(draws.draw(st.integers(1, 3))):
        data[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(data))
    except PeerViolation:
        return
    assert encode(decoded) == data


def test_these_arrays_are_the_messages_that_the_protocol_describes() -> None:
    """The refusals below mean something only because their starting points are accepted."""
    claim = Claim(6, 10**18, HASHLOCK, 1_700_000_000)
    option = Claim(6, 10**18, HASHLOCK, 1_700_000_000, CALL)
    expected: list[tuple[list[Any], Message]] = [
        ([1, 1, 31337, bytes(20), "alice"], Hello(1, 31337, bytes(20), "alice")),
        ([2, ID, 5, 6, b"\x64", b"\xff"], Reestablish(ID, 5, 6, 100, -1)),
        (update(ADD), Update(ID, 8, 7, (Add(claim, b"packet"),), SIGNATURE)),
        (update(with_item(ADD, 5, TERMS)), Update(ID, 8, 7, (Add(option, b"packet"),), SIGNATURE)),
        (
            update([2, 6, HASHLOCK], [3, 7, b"why"], [4, 8], [5, FEED, 1_800_000_000, b""]),
            Update(
                ID,
                8,
                7,
                (Fulfil(6, HASHLOCK), Fail(7, b"why"), Expire(8), Settle(FEED, 1_800_000_000, 0)),
                SIGNATURE,
            ),
        ),
        ([4, ID, 8, SIGNATURE], Ack(ID, 8, SIGNATURE)),
        (
            state_copy([6, b"\x01", None, 0, TERMS]),
            StateCopy(ID, State(4, 0, {6: Claim(6, 1, None, 0, CALL)}, (6, 7)), SIGNATURE, SIGNATURE),
        ),
        ([13, bytes(2_048)], PoliciesKnown(bytes(2_048))),
        ([10, [NODE], [], b"body"], Relay((NODE,), (), b"body")),
        ([11, ID, "no route"], Complaint(ID, "no route")),
        ([12, ID, True, uint(5)], PushTerms(ID, True, 5)),
    ]
    for items, message in expected:
        assert decode(msgpack.packb(items)) == message
        assert encode(message) == msgpack.packb(items)


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], "message.tag: expected 1 to 13, got another"),
        ([0, ID], "message.tag"),
        ([99, ID], "message.tag"),
        ([True, 1, 31337, bytes(20), "alice"], "message.tag"),
        ([[1], ID], "message.tag"),
        ([6], "shutdown: expected an array of 2, got 1 items"),
        ([6, ID, ID], "shutdown: expected an array of 2, got 3 items"),
        ([6, ID[:31]], "shutdown.channel_id: expected 32 bytes, got 31 bytes"),
        ([6, "x" * 32], "shutdown.channel_id: expected 32 bytes, got str"),
        ([6, None], "shutdown.channel_id: expected 32 bytes, got nil"),
        ([1, 65_536, 31337, bytes(20), "alice"], "hello.protocol: expected uint16"),
        ([1, -1, 31337, bytes(20), "alice"], "hello.protocol: expected uint16, got a negative number"),
        ([1, 1, True, bytes(20), "alice"], "hello.chain_id: expected uint64, got bool"),
        ([1, 1, 31337, bytes(21), "alice"], "hello.adjudicator"),
        ([1, 1, 31337, bytes(20), "é" * 17], "hello.alias: expected text of at most 32 bytes, got 34"),
        ([1, 1, 31337, bytes(20), b"alice"], "hello.alias"),
        ([2, ID, 5, 6, 100, b""], "reestablish.deposit_a: expected int96 as a bin, got int"),
        ([2, ID, 5, 6, b"\x00\x64", b""], "reestablish.deposit_a: expected int96 in its shortest form"),
        ([2, ID, 5, 6, b"\x01" + bytes(12), b""], "reestablish.deposit_a: expected int96"),
        ([4, ID, 8, SIGNATURE[:63]], "ack.signature: expected 64 bytes, got 63 bytes"),
        ([4, ID, 8, b""], "ack.signature: expected 64 bytes, got 0 bytes"),
        ([7, ID, 1, b"\x01" + bytes(16), 9, SIGNATURE], "close offer.net: expected int128"),
        ([7, ID, 1, b"", 2**40, SIGNATURE], "close offer.until_s: expected uint40, got 41 bits"),
        ([13, bytes(2_047)], "policies known.digests: expected 2048 bytes, got 2047"),
        ([10, [NODE] * (MAX_RELAY_HOPS + 1), [], b""], "relay.path: expected an array of at most 20"),
        ([10, [], [NODE] * (MAX_RELAY_HOPS + 1), b""], "relay.back"),
        ([10, [NODE] * 11, [NODE] * 10, b""], "relay: expected at most 20 nodes ahead and behind, got 21"),
        ([10, [b"\x04" + bytes(32)], [], b""], "relay.path: expected a compressed key"),
        ([10, [NODE[:32]], [], b""], "relay.path: expected 33 bytes, got 32"),
        ([10, [], [], bytes(1_025)], "relay.body: expected at most 1024 bytes, got 1025 bytes"),
        ([11, ID, "x" * 513], "complaint.text: expected text of at most 512 bytes"),
        ([12, ID, 1, uint(5)], "push terms.accepts: expected bool"),
        ([12, ID, True, 5], "push terms.min_amount: expected uint96 as a bin"),
    ],
)
def test_mallory_sends_a_message(items: list[Any], reason: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(msgpack.packb(items))
    assert reason in str(caught.value)


CLAIM = [6, b"\x01", HASHLOCK, 1_700_000_000, None]


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (state_copy(CLAIM, CLAIM), "state.claims: expected ascending ids of each side"),
        (state_copy(CLAIM, with_item(CLAIM, 0, 4)), "state.claims: expected ascending ids of each side"),
        (state_copy(CLAIM, next_a=6), "state.next_id: expected an id of that side above all that are open"),
        (state_copy(CLAIM, next_a=9), "state.next_id: expected an id of that side"),
        (state_copy(CLAIM, next_b=8), "state.next_id: expected an id of that side"),
        (state_copy(CLAIM, next_a=None), "state.next_id: expected uint64, got nil"),
        (state_copy(CLAIM[:4]), "state.claims: expected an array of 5, got 4 items"),
        (state_copy(with_item(CLAIM, 2, b"")), "claim.hashlock: expected 32 bytes, got 0"),
        (
            state_copy(*[with_item(CLAIM, 0, 2 * i) for i in range(2 * MAX_CLAIMS_PER_SIDE + 1)]),
            "state.claims: expected an array of at most 460",
        ),
        ([8, ID, [4, b""], SIGNATURE, SIGNATURE], "state copy.state: expected an array of 5, got 2 items"),
    ],
)
def test_mallory_sends_a_copy_of_a_state(items: list[Any], reason: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(msgpack.packb(items))
    assert reason in str(caught.value)


def test_a_state_copy_without_claims_goes_through() -> None:
    copy = StateCopy(ID, ZERO_STATE, SIGNATURE, SIGNATURE)
    assert decode(encode(copy)) == copy


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (msgpack.packb([3, bytes(16)]), "relay body.tag: expected 1 to 2"),
        (
            msgpack.packb([1, bytes(16), None, bytes(20)]),
            "quote request.leg: expected an array of 2, got nil",
        ),
        (msgpack.packb([1, bytes(15), [TERMS, b"\x01"], bytes(20)]), "quote request.request_id"),
        (msgpack.packb([2, bytes(16), bytes(16), b"\x01", 9, "x" * 801]), "quote reply.refusal"),
        (bytes(MAX_RELAY_BODY_BYTES + 1), "relay body: expected at most 1024 bytes"),
    ],
)
def test_mallory_sends_a_relay_body(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason.replace(".", r"\.")):
        decode_relay_body(data)


POLICY = PolicyAnnouncement(ID, NODE, 1, 2, 3, 4, 5, 6, 7, True, SIGNATURE)


@pytest.mark.parametrize(
    "message",
    [
        Ack(ID, 8),  # nobody has signed it yet
        Ack(ID, -1, SIGNATURE),
        Ack(ID[:31], 8, SIGNATURE),
        Ack(ID, True, SIGNATURE),
        Update(ID, 8, 7, (), SIGNATURE),
        Update(ID, 8, 7, (Expire(2),) * (MAX_OPERATIONS + 1), SIGNATURE),
        Complaint(ID, "\ud800"),
        Complaint(ID, "x" * 513),
        Shutdown(b""),
        replace(POLICY, node=b"\x04" + bytes(32)),
        replace(POLICY, base_fee=-1),
        replace(POLICY, max_amount=MAX_AMOUNT + 1),
        replace(POLICY, enabled=1),
        Reestablish(ID, 1, 1, 2**95, 0),
        Relay((NODE,) * (MAX_RELAY_HOPS + 1), (), b""),
        Relay((NODE,) * 20, (NODE,), b""),
    ],
)
def test_our_own_mistakes_stop_us_before_bob_sees_them(message: Message) -> None:
    with pytest.raises(AssertionError, match="cannot encode"):
        encode(message)


def test_a_hop_can_pass_on_every_relay_that_it_may_receive() -> None:
    """Attack stopped: a way back that is full already, so that the hop that adds itself trips over it."""
    relay = Relay((NODE,) * 20, (), b"body")
    while relay.path:
        relay = replace(relay, path=relay.path[1:], back=(*relay.back, NODE))
        assert decode(encode(relay)) == relay


def test_quotes_fit_a_relay() -> None:
    leg = OptionLeg(replace(CALL, strike=2**128 - 1, bound=2**128 - 1), MAX_AMOUNT)
    assert len(encode_relay_body(QuoteRequest(bytes(16), leg, bytes(20)))) <= 160
    assert (
        len(encode_relay_body(QuoteReply(bytes(16), bytes(16), MAX_AMOUNT, MAX_TIME_S, "é" * 400))) <= 1_024
    )


def test_a_table_must_name_the_fields_of_its_class() -> None:
    """A field that a colleague adds to a record cannot be forgotten here."""
    with pytest.raises(AssertionError, match="expected the fields"):
        Layout(Channel, "channel", channel_id=HASH)


def test_no_content_reaches_the_error() -> None:
    secret = b"the preimage that nobody may see"
    for operation in ([2, 6, secret + b"!"], [2, None, secret], [1, *ADD[1:3], secret, secret, None, b""]):
        with pytest.raises(MalformedMessage) as caught:
            decode(msgpack.packb(update(operation)))
        assert "preimage that" not in str(caught.value)
