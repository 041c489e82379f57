"""One value, one encoding: what alice may send bob, and what mallory may not."""

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channeld.wire.limits import MAX_MESSAGE_BYTES
from channeld.wire.malformed import MalformedMessage
from channeld.wire.msgpack_strict import (
    MAX_ARRAY_ITEMS,
    MAX_BIN_BYTES,
    MAX_DEPTH,
    MAX_STR_BYTES,
    decode,
    encode,
)

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=300)
    | st.text(max_size=80)
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=6).map(tuple), max_leaves=40)
messages = st.lists(values, max_size=6).map(tuple).filter(lambda message: depth_of(message) <= MAX_DEPTH)


def depth_of(value: object) -> int:
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, tuple) else 0


def nested(depth: int) -> tuple[object, ...]:
    value: tuple[object, ...] = ()
    for _ in range(depth - 1):
        value = (value,)
    return value


@given(messages)
def test_what_alice_encodes_bob_decodes(message: tuple[object, ...]) -> None:
    decoded = decode(encode(message))
    assert decoded == message
    assert repr(decoded) == repr(message)  # == alone would take True for 1


@settings(max_examples=400)
@given(st.binary(max_size=200))
def test_random_bytes_are_a_message_or_a_violation(data: bytes) -> None:
    try:
        message = decode(data)
    except MalformedMessage:
        return
    assert encode(message) == data


@settings(max_examples=400)
@given(messages, st.data())
def test_a_mutated_message_is_canonical_or_a_violation(
    message: tuple[object, ...], draws: st.DataObject
) -> None:
    data = bytearray(encode(message))
    for _ in range(draws.draw(st.integers(1, 3))):
        data[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(data))
    except MalformedMessage:
        return
    assert encode(decoded) == data


@given(messages, st.data())
def test_every_cut_message_is_refused(message: tuple[object, ...], draws: st.DataObject) -> None:
    data = encode(message)
    with pytest.raises(MalformedMessage):
        decode(data[: draws.draw(st.integers(0, len(data) - 1))])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "incomplete"),
        ("c0", "expected an array, got nil"),
        ("07", "expected an array, got int"),
        ("80", "expected an array, got dict"),
        ("9180", "got dict"),
        ("91810102", "max_map_len"),
        ("91cb3ff0000000000000", "got float"),
        ("91ca3f800000", "got float"),
        ("91d6ff00000000", "max_ext_len"),
        ("91c70005", "got ExtType"),
        ("91d40500", "max_ext_len"),
        ("91c1", "reserved"),
        ("91a1ff", "UTF-8"),
        ("91a3eda080", "UTF-8"),  # half of a surrogate pair
        ("910700", "byte 2: expected the end of the message, got 1 more bytes"),
        ("9291", "incomplete"),
        ("dc000107", "shortest"),
        ("dd0000000107", "shortest"),
        ("91cc07", "byte 1: expected the shortest encoding"),
        ("91cd00ff", "shortest"),
        ("91cf00000000ffffffff", "shortest"),
        ("91d0ff", "shortest"),
        ("91d307ffffffffffffff", "shortest"),  # a positive number in a signed encoding
        ("91c5000100", "shortest"),
        ("91d90161", "shortest"),
        ("ddffffffff", "max_array_len"),
    ],
)
def test_mallory_sends(data: str, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        decode(bytes.fromhex(data))


def test_depth_has_a_limit_on_both_sides() -> None:
    assert decode(encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 400, 100_000):
        with pytest.raises(MalformedMessage, match="levels"):
            decode(b"\x91" * (depth - 1) + b"\x90")
    with pytest.raises(AssertionError, match="levels"):
        encode(nested(MAX_DEPTH + 1))


def test_sizes_have_limits() -> None:
    assert len(decode(encode((0,) * MAX_ARRAY_ITEMS))) == MAX_ARRAY_ITEMS
    for refused in (
        (0,) * (MAX_ARRAY_ITEMS + 1),
        (bytes(MAX_BIN_BYTES + 1),),
        ("a" * (MAX_STR_BYTES + 1),),
        tuple(bytes(MAX_BIN_BYTES) for _ in range(16)),
    ):
        with pytest.raises(MalformedMessage):
            decode(msgpack.packb(refused))
    with pytest.raises(MalformedMessage, match=f"at most {MAX_MESSAGE_BYTES} bytes"):
        decode(bytes(MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize("value", [1.5, {}, [1], bytearray(b"x"), (1, {"a": 1}), object()])
def test_our_own_mistakes_stop_us(value: object) -> None:
    with pytest.raises(AssertionError, match="cannot encode"):
        encode((value,))


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_a_wider_integer_needs_the_amount_helpers(value: int) -> None:
    with pytest.raises(OverflowError):
        encode((value,))


def test_no_content_reaches_the_error() -> None:
    secret = b"the preimage that nobody may see"
    for data in (
        msgpack.packb([secret, 1.5]),
        msgpack.packb([secret])[:-1],
        msgpack.packb([secret, "x"]) + secret,
    ):
        with pytest.raises(MalformedMessage) as caught:
            decode(data)
        assert "preimage" not in str(caught.value)
